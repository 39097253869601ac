//! HTTP: whether the process lives (`/healthz`) and whether it serves (`/readyz`).
//!
//! Two fixed answers to `GET`, one request per connection: no body is read, no header looked at.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bytes of a request line that are read at most.
const REQUEST_BYTES_MAX: u64 = 8 * 1024;

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Tells `/readyz` when the database is open.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// The database is open, or is not any more.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Listener {
    /// Binds an address; port 0 takes any free port.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was bound, with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` fires.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, readiness: Readiness, stop: CancellationToken) -> io::Result<()> {
        loop {
            let (stream, _) = tokio::select! {
                accepted = self.listener.accept() => accepted?,
                () = stop.cancelled() => return Ok(()),
            };
            // A peer that breaks off has no claim to an answer.
            answer(stream, &readiness).await.ok();
        }
    }
}

async fn answer(stream: TcpStream, readiness: &Readiness) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(REQUEST_BYTES_MAX).read_line(&mut line).await?;
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let (status, body) = match path {
        Some("/healthz") => ("200 OK", "ok\n"),
        Some("/readyz") if readiness.get() => ("200 OK", "ready\n"),
        Some("/readyz") => ("503 Service Unavailable", "opening the database\n"),
        Some(_) => ("404 Not Found", "not found\n"),
        None => ("405 Method Not Allowed", "only GET is served\n"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).await
}
