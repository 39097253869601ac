//! Whether a statement that is being cancelled can still be taken back.

use std::sync::{Arc, Mutex};

use super::Notice;
use crate::database::lock;
use crate::transaction::Commitment;

/// A session's say in its running commit. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Withdrawal(Arc<Mutex<Arc<Commitment>>>);

impl Withdrawal {
    /// Takes the running commit back, if there is one. `true`: nothing of the statement will happen, its
    /// future may be dropped. `false`: it is being carried out, and its answer is worth waiting for.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        lock(&self.0).withdraw()
    }

    /// How far the running commit is, when it fills views for long.
    #[must_use]
    pub fn progress(&self) -> Option<Notice> {
        let message = lock(&self.0).progress()?.line();
        let (severity, sqlstate) = ("NOTICE", "00000");
        Some(Notice { severity, sqlstate, message, detail: None, hint: None })
    }

    /// A commit begins.
    pub(super) fn renew(&self) -> Arc<Commitment> {
        let fresh = Arc::new(Commitment::default());
        *lock(&self.0) = Arc::clone(&fresh);
        fresh
    }
}
