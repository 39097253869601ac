//! Whether somebody still waits for a backfill.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use levada_storage::clock::Clock;

use super::Progress;
use crate::error::{Error, Result};
use crate::transaction::Commitment;

/// How long work goes on that nobody waits for any more, about.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks whether a backfill is still wanted.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(super) progress: Arc<Progress>,
    pub(super) commitment: Arc<Commitment>,
}

impl Wanted {
    /// Fails when nobody wants it any more.
    ///
    /// # Errors
    /// 57014 after a cancelled statement, 57P01 when the database is about to close.
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.progress.is_stopped() {
            return Err(Error::statement(
                "57P01",
                "terminating connection due to administrator command",
            ));
        }
        if self.commitment.is_withdrawn() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// The result of `work`, unless it is no longer wanted before there is one.
    ///
    /// # Errors
    /// Those of `work` and of [`Self::go_on`].
    pub(crate) async fn guard<T>(
        &self,
        clock: &dyn Clock,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = clock.sleep(LOOK_EVERY) => self.go_on()?,
            }
        }
    }
}
