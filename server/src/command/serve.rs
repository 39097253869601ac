//! `levada serve`: the server process, from its listeners to its last connection.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use levada_engine::client::{Database, OpenOptions};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::{self, Readiness};
use crate::pg::accept;
use crate::shutdown::Signals;
use crate::{config, sqlstate};

/// How long listeners may take to end: statements, then what is left of their connections.
const LISTENERS_MAX: Duration = Duration::from_secs(accept::DRAIN_MAX.as_secs() + 5);

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Directory or URL of the database; made if it does not exist.
    #[arg(long, default_value = config::DATA)]
    data: String,
    /// Address to listen on. Only loopback addresses are possible while no role has a password.
    #[arg(long, default_value_t = config::HOST)]
    host: IpAddr,
    /// Port of the PostgreSQL protocol; 0 takes any free one.
    #[arg(long, default_value_t = config::PG_PORT)]
    pg_port: u16,
    /// Port of HTTP; 0 takes any free one.
    #[arg(long, default_value_t = config::HTTP_PORT)]
    http_port: u16,
    /// Memory that rows, operators and queries may take together, such as 4GB; by default three quarters
    /// of what the machine or the control group has.
    #[arg(long, value_name = "SIZE", value_parser = config::parse_bytes)]
    memory_limit: Option<usize>,
    /// Memory for rows and the state of operators, what is beyond goes to files; by default what the memory
    /// limit leaves beside a reserve for queries.
    #[arg(long, value_name = "SIZE", value_parser = config::parse_bytes)]
    state_memory: Option<usize>,
    /// Folder for state that does not fit into memory; by default the data folder if it is a local one.
    #[arg(long, value_name = "PATH")]
    spill_folder: Option<PathBuf>,
    /// Threads that share a large change; by default one per processor.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
    /// The steps in which time passes for views that call `now()`, for example 100ms; by default a second.
    #[arg(long, value_name = "DURATION", value_parser = config::parse_duration)]
    clock_resolution: Option<Duration>,
    /// Write the ports as a line of JSON to this file once the server is ready.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Print the ports as a line of JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Serve {
    /// Serves until a signal.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::new().context("could not listen for signals")?;
        let pg = accept::Listener::bind(SocketAddr::new(self.host, self.pg_port)).await?;
        let http_address = SocketAddr::new(self.host, self.http_port);
        let http = http::Listener::bind(http_address)
            .await
            .with_context(|| format!("could not listen on {http_address}"))?;
        let (pg_address, http_address) = (pg.address(), http.address());

        let stop = CancellationToken::new();
        let readiness = Readiness::default();
        let mut servers = JoinSet::new();
        let http_stop = stop.clone();
        let http_readiness = readiness.clone();
        servers.spawn(async move {
            if let Err(error) = http.serve(http_readiness, http_stop).await {
                tracing::error!(%error, "HTTP stopped");
            }
        });

        let options = OpenOptions {
            memory_limit: self.memory_limit,
            state_memory: self.state_memory,
            spill_folder: self.spill_folder.clone(),
            threads: self.threads,
            clock_resolution: self.clock_resolution,
            ..OpenOptions::default()
        };
        let database = tokio::select! {
            opened = Database::open_with(&self.data, options) => opened.map_err(|error| self.refused(error))?,
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        servers.spawn(pg.serve(database.clone(), stop.clone()));
        readiness.set(true);
        self.announce(pg_address, http_address)?;

        signals.next().await;
        readiness.set(false);
        stop.cancel();
        database.interrupt_fills();
        let closed = signals
            .finish(async {
                if timeout(LISTENERS_MAX, drain(&mut servers)).await.is_err() {
                    servers.shutdown().await;
                }
                database.close().await
            })
            .await;
        closed.map_err(|error| anyhow::anyhow!("{}", sqlstate::Report::from(error).message))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Why the database cannot be opened.
    fn refused(&self, error: levada_engine::error::Error) -> anyhow::Error {
        let report = sqlstate::Report::from(error);
        let hint = report.hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        anyhow::anyhow!("could not open \"{}\": {}{hint}", self.data, report.message)
    }

    /// Says where the server is, to people and to programs.
    fn announce(&self, pg: SocketAddr, http: SocketAddr) -> anyhow::Result<()> {
        let ready = json!({
            "data": self.data,
            "host": pg.ip().to_string(),
            "pg_port": pg.port(),
            "http_port": http.port(),
            "pid": std::process::id(),
        });
        let mut out = std::io::stdout();
        let printed = if self.json {
            writeln!(out, "{ready}")
        } else {
            writeln!(
                out,
                "data directory  {}\n\
                 psql            psql -h {} -p {} -U admin main\n\
                 URL             postgres://admin@{pg}/main\n\
                 health          http://{http}/readyz\n\
                 Loopback connections need no password.",
                self.data,
                pg.ip(),
                pg.port(),
            )
        };
        printed.and_then(|()| out.flush()).context("could not write to standard output")?;
        if let Some(path) = &self.ready_file {
            let write = || -> std::io::Result<()> {
                File::create(path)?.write_all(format!("{ready}\n").as_bytes())
            };
            write().with_context(|| format!("could not write \"{}\"", path.display()))?;
        }
        Ok(())
    }
}

async fn drain(servers: &mut JoinSet<()>) {
    while let Some(ended) = servers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a listener ended in a panic");
        }
    }
}
