//! The listener: takes connections until the server stops, then sees them off.
//!
//! Stopping: no new connection is taken; idle clients are told 57P01; running statements may finish
//! within [`DRAIN_MAX`]; what runs on is cancelled, and what does not even answer to that is
//! dropped.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use levada_engine::client::Database;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::address;
use crate::pg::cancel::Registry;
use crate::pg::startup;
use crate::pg::wire::Wire;

/// Clients that may be logged in at a time.
pub const CONNECTIONS_MAX: usize = 200;

/// Sockets that may be on their way to a login besides.
const PENDING_MAX: usize = 200;

/// How long a login may take.
const LOGIN_MAX: Duration = Duration::from_secs(10);

/// How long running statements may go on after the server was told to stop.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long a cancelled statement may take to notice.
const CANCEL_MAX: Duration = Duration::from_secs(2);

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address can be reached from outside.
    #[error(
        "refusing to listen on {0}: it can be reached from other machines, and no role has a password"
    )]
    NotLoopback(IpAddr),
    /// The address cannot be bound.
    #[error("could not listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    registry: Arc<Registry>,
}

impl Listener {
    /// Binds a loopback address; port 0 takes any free port.
    ///
    /// # Errors
    /// When the address is not a loopback address or cannot be bound.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        Self::bind_with_limit(address, CONNECTIONS_MAX).await
    }

    /// Binds a loopback address for at most `connections_max` clients.
    ///
    /// # Errors
    /// When the address is not a loopback address or cannot be bound.
    pub async fn bind_with_limit(
        address: SocketAddr,
        connections_max: usize,
    ) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address.ip()));
        }
        let refused = |source| Error::Bind { address, source };
        let listener = address::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address, registry: Registry::new(connections_max) })
    }

    /// The address that was bound, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients until `stop` fires and they are gone.
    pub async fn serve(self, database: Database, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => note(ended),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() >= CONNECTIONS_MAX + PENDING_MAX => {
                        drop(stream);
                    }
                    Ok((stream, _)) => {
                        let (registry, database) = (Arc::clone(&self.registry), database.clone());
                        let stop = stop.clone();
                        connections.spawn(connection(stream, registry, database, stop));
                    }
                    // Out of file descriptors, for one: wait for some to be given back.
                    Err(error) => {
                        tracing::warn!(%error, "could not accept a connection");
                        pause(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(self.listener);
        if timeout(DRAIN_MAX, drain(&mut connections)).await.is_err() {
            self.registry.cancel_all();
            if timeout(CANCEL_MAX, drain(&mut connections)).await.is_err() {
                connections.shutdown().await;
            }
        }
    }
}

async fn drain(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended in a panic");
    }
}

async fn pause(duration: Duration) {
    // The elapsed error is the point.
    drop(timeout(duration, std::future::pending::<()>()).await);
}

/// One connection from its first byte to its last.
async fn connection(
    stream: TcpStream,
    registry: Arc<Registry>,
    database: Database,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let login = startup::accept(Wire::new(stream), &registry, &database);
    let client = tokio::select! {
        client = timeout(LOGIN_MAX, login) => client,
        () = stop.cancelled() => return,
    };
    match client {
        Ok(Some(client)) => Box::pin(client.converse(stop)).await,
        Ok(None) => {}
        Err(_elapsed) => tracing::debug!("a login took too long"),
    }
}
