//! Live sessions: who is connected, what each does, and how to interrupt it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Characters of a statement that are shown, as `track_activity_query_size` has it.
const QUERY_CHARS_MAX: usize = 1024;

/// A live session.
#[derive(Clone, Debug, Default)]
pub struct PgSession {
    /// Process id announced to the client.
    pub pid: i32,
    /// Role it logged in as.
    pub role: String,
    /// `application_name`.
    pub application: String,
    /// Address of the client; none for a local socket.
    pub client_address: Option<String>,
    /// When it connected, in microseconds since 1970 UTC.
    pub connected_at: i64,
    /// When its statement began, in microseconds since 1970 UTC.
    pub statement_at: Option<i64>,
    /// `active`, `idle` or `idle in transaction`.
    pub state: String,
    /// Text of its statement.
    pub query: String,
    /// How to stop its statement.
    pub interrupt: Option<PgInterrupt>,
}

/// Stops what a session runs.
#[derive(Clone)]
pub struct PgInterrupt(pub Arc<dyn Fn() + Send + Sync>);

/// The live sessions of a database. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PgSessions {
    by_number: Arc<Mutex<BTreeMap<u64, PgSession>>>,
}

/// A session's place among the live ones; it leaves with it.
#[derive(Debug)]
pub struct PgPresence {
    sessions: PgSessions,
    number: u64,
}

impl fmt::Debug for PgInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgInterrupt")
    }
}

/// Contexts are equal when they look at the same sessions.
impl PartialEq for PgSessions {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_number, &other.by_number)
    }
}

impl From<Vec<PgSession>> for PgSessions {
    fn from(sessions: Vec<PgSession>) -> Self {
        let by_number = (0..).zip(sessions).collect();
        Self { by_number: Arc::new(Mutex::new(by_number)) }
    }
}

impl PgSessions {
    /// Adds a session.
    #[must_use]
    pub fn enter(&self, session: PgSession) -> PgPresence {
        let mut sessions = self.lock();
        let number = sessions.last_key_value().map_or(0, |(last, _)| last + 1);
        sessions.insert(number, session);
        PgPresence { sessions: self.clone(), number }
    }

    /// All of them, in the order they came.
    #[must_use]
    pub fn list(&self) -> Vec<PgSession> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Stops what the session of a process id runs; false when there is none that can be stopped.
    #[must_use]
    pub fn interrupt(&self, pid: i32) -> bool {
        let found = self.lock().values().find(|s| s.pid == pid).and_then(|s| s.interrupt.clone());
        if let Some(PgInterrupt(stop)) = &found {
            stop();
        }
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, PgSession>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PgPresence {
    /// A statement begins.
    pub fn begin(&self, query: &str, at: i64) {
        self.change(|session| {
            "active".clone_into(&mut session.state);
            session.query = query.chars().take(QUERY_CHARS_MAX).collect();
            session.statement_at = Some(at);
        });
    }

    /// The session waits for its client, in some state.
    pub fn rest(&self, state: &str, application: &str) {
        self.change(|session| {
            state.clone_into(&mut session.state);
            application.clone_into(&mut session.application);
        });
    }

    fn change(&self, change: impl FnOnce(&mut PgSession)) {
        if let Some(session) = self.sessions.lock().get_mut(&self.number) {
            change(session);
        }
    }
}

impl Drop for PgPresence {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_session_is_listed_interrupted_and_gone_with_its_presence() {
        let sessions = PgSessions::default();
        let stops = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&stops);
        let interrupt = PgInterrupt(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let session = PgSession { pid: 7, interrupt: Some(interrupt), ..PgSession::default() };
        let presence = sessions.enter(session);
        presence.begin("select 1", 5);
        assert_eq!(sessions.list()[0].query, "select 1");
        assert!(sessions.interrupt(7) && !sessions.interrupt(8));
        assert_eq!(stops.load(Ordering::Relaxed), 1);
        drop(presence);
        assert_eq!(sessions.count(), 0);
    }
}
