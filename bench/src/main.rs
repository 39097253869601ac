//! `levada-bench`: measures of the engine beside those of other systems on the same files.
//!
//! | command | what |
//! |---|---|
//! | `nexmark` | the auction house: 23 views over a stream of events |
//! | `tpch` | 22 queries over a trading company, as views and ad hoc |
//! | `micro` | what one change costs |
//! | `report` | a table of results, with ratios |
//!
//! Every measurement is one JSON line on standard output that names the machine, the version and the
//! command, and holds a row count and a check value, so that answers are compared and not only times.

mod answer;
mod batch;
mod maintained;
mod measure;
mod micro;
mod nexmark;
mod orders;
mod random;
mod report;
mod table;
mod tpch;
mod view;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Stack of the threads that plan queries: deep expressions are walked by recursion.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Measures of the engine beside those of other systems on the same files.
#[derive(Debug, Parser)]
#[command(name = "levada-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Command {
    /// Views over the events of an auction house.
    Nexmark(nexmark::Nexmark),
    /// The queries of TPC-H.
    Tpch(tpch::Tpch),
    /// What one change costs.
    Micro(micro::Micro),
    /// Prints result files as a table.
    Report(report::Report),
}

impl Command {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Nexmark(nexmark) => nexmark.run().await,
            Self::Tpch(tpch) => tpch.run().await,
            Self::Micro(micro) => micro.run().await,
            Self::Report(report) => report.run(),
        }
    }
}

fn main() -> ExitCode {
    levada_engine::spill::return_freed_memory();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(cli.command.run()),
        Err(error) => Err(anyhow::Error::new(error).context("could not start the runtime")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            drop(writeln!(std::io::stderr(), "levada-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
