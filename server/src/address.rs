//! Addresses that clients connect to.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

/// Tries at an address that is taken, before that is an error: five seconds.
const ATTEMPTS: usize = 50;
/// Time between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds an address; port 0 takes any free port. A process that was killed keeps its own until its memory is given
/// back, so one that is taken is tried for a while.
///
/// # Errors
/// When it cannot be bound.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 1..ATTEMPTS {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let _waited = timeout(PAUSE, pending::<()>()).await;
            }
            bound => return bound,
        }
    }
    TcpListener::bind(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_waited_for() {
        let any = "127.0.0.1:0".parse().expect("an address");
        let first = bind(any).await.expect("a free port");
        let address = first.local_addr().expect("its address");
        let second = tokio::spawn(bind(address));
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "the port is taken");
        drop(first);
        let second = second.await.expect("no panic").expect("the port is free now");
        assert_eq!(second.local_addr().expect("its address"), address);
    }
}
