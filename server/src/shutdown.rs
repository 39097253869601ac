//! Signals: the first SIGINT or SIGTERM asks the server to stop, the second ends the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status after a second signal, as a shell reports a process ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// The signals that stop a server.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts listening for them.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Finishes a piece of work, unless another signal ends the process first.
    pub async fn finish<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = self.next() => {
                std::process::exit(INTERRUPTED)
            }
        }
    }
}
