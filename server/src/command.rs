//! The command line: one file per verb.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{config, telemetry};

mod run;
mod script;
mod serve;
mod sql;
mod table;

/// A SQL-first incremental pipeline database.
#[derive(Debug, Parser)]
#[command(name = "levada", version, about)]
pub struct Cli {
    /// What to log to standard error: error, warn, info, debug, trace, or a filter like
    /// `levada_engine=debug`.
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a database over the PostgreSQL protocol and HTTP.
    Serve(serve::Serve),
    /// Run SQL from a file, an argument or standard input, without a server.
    Sql(sql::Sql),
    /// Run a SQL file statement by statement; stop at the first error.
    Run(run::Run),
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// When it cannot even begin; a failing statement is an exit code.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(&config::log_filter(self.log.as_deref()))?;
        match self.verb {
            Verb::Serve(serve) => serve.run().await,
            Verb::Sql(sql) => sql.run().await,
            Verb::Run(run) => run.run().await,
        }
    }
}
