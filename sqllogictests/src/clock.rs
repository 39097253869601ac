//! A clock that a script moves.
//!
//! It goes with the machine's, or its wall time stands still between moves. Durations are real either way, so that
//! sources, checkpoints and waits go on as ever. All databases of a script read one clock, so that a query and
//! the view it is compared with have one time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use levada_storage::clock::{Clock, SystemClock};

/// Where a standing clock begins: half a minute before a leap day.
pub const START_US: i64 = 1_709_164_770_000_000;

/// The clock.
#[derive(Clone, Debug)]
pub struct SetClock {
    /// The wall time, or how far it is ahead of the machine's.
    micros: Arc<AtomicI64>,
    stands: bool,
    machine: SystemClock,
}

impl SetClock {
    /// A clock that goes with the machine's.
    #[must_use]
    pub fn going() -> Self {
        Self { micros: Arc::default(), stands: false, machine: SystemClock::new() }
    }

    /// A clock that stands at [`START_US`].
    #[must_use]
    pub fn standing() -> Self {
        let micros = Arc::new(AtomicI64::new(START_US));
        Self { micros, stands: true, machine: SystemClock::new() }
    }

    /// Moves the wall time, forwards or backwards.
    pub fn advance(&self, micros: i64) {
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_us(&self) -> i64 {
        let micros = self.micros.load(Ordering::SeqCst);
        if self.stands { micros } else { self.machine.now_us().saturating_add(micros) }
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.machine.sleep(duration)
    }

    fn every(&self, period: Duration) -> BoxStream<'static, ()> {
        self.machine.every(period)
    }
}
