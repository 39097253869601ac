//! The `levada` binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use levada_server::command::Cli;

/// Threads at least: a query that computes for long keeps one busy, and others must still be heard.
const THREADS_MIN: usize = 4;

/// Stack of the threads that plan queries: deep expressions are walked by recursion.
const STACK_BYTES: usize = 32 * 1024 * 1024;

fn main() -> ExitCode {
    // Two TLS providers are linked in by connectors; without a default, builders of clients panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    levada_engine::spill::return_freed_memory();
    let cli = Cli::parse();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(cores.max(THREADS_MIN))
        .thread_stack_size(STACK_BYTES)
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => Err(anyhow::Error::new(error).context("could not start the runtime")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            drop(writeln!(std::io::stderr(), "levada: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
