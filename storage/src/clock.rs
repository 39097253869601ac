//! Time as an injected value: one of the three seams to the world (clock, rng, task).
//!
//! Two times exist. **Wall time** (`now_us`, microseconds UTC) may jump; nothing that decides about
//! correctness reads it, `now()` of SQL is taken from the commit. **Monotonic time** only grows and
//! measures durations. [`SystemClock`] reads the machine; [`ManualClock`] moves when it is told to, so
//! that a simulation or an embedding program owns time.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::oneshot;

/// The source of time of a database.
pub trait Clock: Send + Sync + Debug {
    /// Wall time in microseconds since 1970-01-01 UTC; may jump in either direction.
    fn now_us(&self) -> i64;

    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes once `duration` has passed. Cancel-safe.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Yields once per `period`, the first time after one period; a reader that is late skips beats.
    fn every(&self, period: Duration) -> BoxStream<'static, ()>;
}

/// The machine's clock.
#[derive(Clone, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_micros()).map_or(i64::MIN, i64::wrapping_neg)
            }
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }

    fn every(&self, period: Duration) -> BoxStream<'static, ()> {
        beats(Arc::new(self.clone()), period)
    }
}

/// A clock that stands still until [`ManualClock::advance`] moves it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    state: Arc<Mutex<Manual>>,
}

#[derive(Debug)]
struct Manual {
    wall_us: i64,
    monotonic: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// A clock at wall time `now_us` and monotonic time zero.
    #[must_use]
    pub fn new(now_us: i64) -> Self {
        let manual = Manual { wall_us: now_us, monotonic: Duration::ZERO, sleepers: Vec::new() };
        Self { state: Arc::new(Mutex::new(manual)) }
    }

    /// Moves both times forward and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        self.with(|manual| {
            let us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            manual.wall_us = manual.wall_us.saturating_add(us);
            manual.monotonic += by;
            let reached = manual.monotonic;
            for (at, wake) in std::mem::take(&mut manual.sleepers) {
                if at > reached {
                    manual.sleepers.push((at, wake));
                } else if wake.send(()).is_err() {
                    tracing::trace!("a sleeper went away before its time");
                }
            }
        });
    }

    /// Sets the wall time, as an administrator or NTP would; monotonic time is not touched.
    pub fn jump_to(&self, now_us: i64) {
        self.with(|manual| manual.wall_us = now_us);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Manual) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.with(|manual| manual.wall_us)
    }

    fn monotonic(&self) -> Duration {
        self.with(|manual| manual.monotonic)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        self.with(|manual| {
            let at = manual.monotonic + duration;
            manual.sleepers.push((at, wake));
        });
        if duration.is_zero() {
            self.advance(Duration::ZERO);
        }
        Box::pin(async move {
            if woken.await.is_err() {
                // The clock is gone: its time never comes.
                std::future::pending::<()>().await;
            }
        })
    }

    fn every(&self, period: Duration) -> BoxStream<'static, ()> {
        beats(Arc::new(self.clone()), period)
    }
}

/// Beats at whole multiples of `period` after the call; missed ones are skipped.
fn beats(clock: Arc<dyn Clock>, period: Duration) -> BoxStream<'static, ()> {
    let period = period.max(Duration::from_micros(1));
    let due = clock.monotonic() + period;
    stream::unfold((clock, due), move |(clock, due)| async move {
        clock.sleep(due.saturating_sub(clock.monotonic())).await;
        let now = clock.monotonic();
        let mut next = due + period;
        if next <= now {
            let late = (now - due).as_nanos() / period.as_nanos();
            next = due + period * u32::try_from(late + 1).unwrap_or(u32::MAX);
        }
        Some(((), (clock, next)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_manual_clock_wakes_sleepers_in_time_and_not_before() {
        let clock = ManualClock::new(7);
        let mut sleeper = clock.sleep(Duration::from_secs(2));
        clock.advance(Duration::from_secs(1));
        assert!((&mut sleeper).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!(sleeper.now_or_never().is_some());
        assert_eq!(clock.now_us(), 2_000_007);
        assert!(clock.sleep(Duration::ZERO).now_or_never().is_some());
    }

    #[test]
    fn beats_that_nobody_waited_for_are_skipped() {
        let clock = ManualClock::new(0);
        let mut beats = clock.every(Duration::from_secs(1));
        assert!(beats.next().now_or_never().is_none());
        clock.advance(Duration::from_millis(3_500));
        assert!(beats.next().now_or_never().is_some());
        assert!(beats.next().now_or_never().is_none());
        clock.advance(Duration::from_millis(500));
        assert!(beats.next().now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_system_clock_sleeps_at_least_as_long_as_asked() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(2)).await;
        assert!(clock.monotonic() - before >= Duration::from_millis(2));
        assert!(clock.now_us() > 1_600_000_000_000_000);
    }
}
