//! Who is connected, and how to interrupt them.
//!
//! Each connection has a slot with its process id and secret key. While a statement runs the slot
//! holds its [`CancellationToken`]; a `CancelRequest` with the right key fires it. A request that
//! comes between two statements does nothing. [`Running`] is that statement's side: the token and the
//! deadline of `statement_timeout`.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use levada_engine::client::PgInterrupt;
use pgwire::messages::startup::SecretKey;
use rustls::crypto::SecureRandom;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::sqlstate::Report;

/// The connections of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    limit: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    last_pid: i32,
    by_pid: HashMap<i32, Arc<Slot>>,
}

/// A connection's place in the registry; leaving it frees the place.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    slot: Arc<Slot>,
}

#[derive(Debug)]
struct Slot {
    pid: i32,
    key: Bytes,
    running: Mutex<Option<CancellationToken>>,
}

/// A statement that runs: what may interrupt it.
pub(crate) struct Running {
    token: CancellationToken,
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Running {
    fn new(token: CancellationToken, limit: Option<Duration>) -> Self {
        let deadline = limit.map(|limit| {
            let reached = async move { drop(timeout(limit, pending::<()>()).await) };
            Box::pin(reached) as Pin<Box<dyn Future<Output = ()> + Send>>
        });
        Self { token, deadline }
    }

    /// Returns, with what to tell the client, when the statement is to stop. May be dropped and asked
    /// again.
    pub(crate) async fn interrupted(&mut self) -> Report {
        let deadline = async {
            match &mut self.deadline {
                Some(deadline) => deadline.await,
                None => pending().await,
            }
        };
        let reason = tokio::select! {
            biased;
            () = self.token.cancelled() => "user request",
            () = deadline => "statement timeout",
        };
        if reason == "statement timeout" {
            // It stays reached; its future does not.
            self.deadline = Some(Box::pin(std::future::ready(())));
        }
        Report::error("57014", format!("canceling statement due to {reason}"))
    }
}

impl Registry {
    /// A registry of at most `limit` connections.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let slots = Mutex::new(Slots { last_pid: 0, by_pid: HashMap::new() });
        Arc::new(Self { limit, slots })
    }

    /// Takes a place; `None` when all are taken. The key has 4 bytes for protocol 3.0 and 32 for
    /// later ones.
    pub(crate) fn register(self: &Arc<Self>, key_bytes: usize) -> Option<Registration> {
        let mut key = vec![0; key_bytes];
        let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).ok()?;
        let mut slots = lock(&self.slots);
        if slots.by_pid.len() >= self.limit {
            return None;
        }
        // Process ids go up from 1 and start again when they are used up.
        let mut pid = slots.last_pid;
        loop {
            pid = pid.checked_add(1).unwrap_or(1);
            if !slots.by_pid.contains_key(&pid) {
                break;
            }
        }
        slots.last_pid = pid;
        let slot = Arc::new(Slot { pid, key: key.into(), running: Mutex::new(None) });
        slots.by_pid.insert(pid, Arc::clone(&slot));
        Some(Registration { registry: Arc::clone(self), slot })
    }

    /// Interrupts the statement of a connection, if the key is its own.
    pub(crate) fn cancel(&self, pid: i32, key: &SecretKey) {
        let slot = lock(&self.slots).by_pid.get(&pid).cloned();
        let Some(slot) = slot else { return };
        if same(&slot.key, &key.to_bytes())
            && let Some(token) = lock(&slot.running).as_ref()
        {
            token.cancel();
        }
    }

    /// Interrupts every statement.
    pub(crate) fn cancel_all(&self) {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).by_pid.values().cloned().collect();
        for slot in slots {
            if let Some(token) = lock(&slot.running).as_ref() {
                token.cancel();
            }
        }
    }
}

impl Registration {
    /// The connection's process id.
    pub(crate) fn pid(&self) -> i32 {
        self.slot.pid
    }

    /// The connection's secret key.
    pub(crate) fn key(&self) -> SecretKey {
        match <[u8; 4]>::try_from(&self.slot.key[..]) {
            Ok(word) => SecretKey::I32(i32::from_be_bytes(word)),
            Err(_longer) => SecretKey::Bytes(self.slot.key.clone()),
        }
    }

    /// Stops what the connection runs.
    pub(crate) fn interrupt(&self) -> PgInterrupt {
        let slot = Arc::clone(&self.slot);
        PgInterrupt(Arc::new(move || {
            if let Some(token) = lock(&slot.running).as_ref() {
                token.cancel();
            }
        }))
    }

    /// A statement begins, which may take as long as `limit`.
    pub(crate) fn begin(&self, limit: Option<Duration>) -> Running {
        let token = CancellationToken::new();
        *lock(&self.slot.running) = Some(token.clone());
        Running::new(token, limit)
    }

    /// The statement is over.
    pub(crate) fn end(&self) {
        *lock(&self.slot.running) = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.registry.slots).by_pid.remove(&self.slot.pid);
    }
}

/// A lock whose data is whole at every moment, so that another thread's panic does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Equality in a time that does not depend on where the keys differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_fires_and_only_while_running() {
        let registry = Registry::new(2);
        let connection = registry.register(32).expect("a free place");
        let token = connection.begin(None).token;
        registry.cancel(connection.pid(), &SecretKey::I32(1));
        assert!(!token.is_cancelled(), "wrong key");
        connection.end();
        registry.cancel(connection.pid(), &connection.key());
        assert!(!token.is_cancelled(), "nothing is running");
        let token = connection.begin(None).token;
        registry.cancel(connection.pid(), &connection.key());
        assert!(token.is_cancelled(), "running, right key");
    }

    #[test]
    fn places_are_limited_and_freed() {
        let registry = Registry::new(1);
        let first = registry.register(4).expect("a free place");
        assert!(registry.register(4).is_none(), "full");
        drop(first);
        assert!(registry.register(4).is_some(), "free again");
    }
}
