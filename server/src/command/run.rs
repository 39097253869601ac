//! `levada run`: a SQL file, statement by statement.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::command::script::{self, Style};
use crate::config;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// File to run.
    file: String,
    /// Directory or URL of the database; made if it does not exist.
    #[arg(long, default_value = config::DATA)]
    data: String,
}

impl Run {
    /// Runs the file.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("could not read \"{}\"", self.file))?;
        script::run(&self.data, &self.file, &text, Style::Table).await
    }
}
