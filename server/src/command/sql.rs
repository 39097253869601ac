//! `levada sql`: SQL without a server.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::command::script::{self, Style};
use crate::config;

/// What someone is told who gave neither a file nor a command, and would wait for a prompt.
const AT_A_TERMINAL: &str = "\
reading statements from the terminal; Ctrl-D runs them, Ctrl-C leaves
To work statement by statement, start `levada serve` and connect with psql by the line that it prints.
For one statement: levada sql -c 'SELECT 1'.  For a file: levada sql FILE.";

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// File to run; `-` or nothing reads standard input.
    #[arg(conflicts_with = "command")]
    file: Option<String>,
    /// Statements to run.
    #[arg(short, long, value_name = "SQL")]
    command: Option<String>,
    /// Directory or URL of the database; in memory if not given.
    #[arg(long)]
    data: Option<String>,
    /// Print a JSON object per row.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV with a header.
    #[arg(long)]
    csv: bool,
}

impl Sql {
    /// Runs the statements.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let style = match (self.json, self.csv) {
            (true, _) => Style::Json,
            (_, true) => Style::Csv,
            _ => Style::Table,
        };
        let (name, text) = match (self.command, self.file) {
            (Some(command), _) => ("-c".to_owned(), command),
            (None, Some(path)) if path != "-" => {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("could not read \"{path}\""))?;
                (path, text)
            }
            (None, file) => {
                let mut stdin = std::io::stdin();
                if file.is_none() && stdin.is_terminal() {
                    writeln!(std::io::stderr(), "{AT_A_TERMINAL}")?;
                }
                let mut text = String::new();
                stdin.read_to_string(&mut text).context("could not read standard input")?;
                ("-".to_owned(), text)
            }
        };
        let data = self.data.as_deref().unwrap_or(config::IN_MEMORY);
        script::run(data, &name, &text, style).await
    }
}
