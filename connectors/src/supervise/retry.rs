//! How long to wait before the next attempt.
//!
//! The bound of the n-th wait is `base * 2^(n-1)`, at most `max`. With full jitter the wait is anything
//! between nothing and the bound, so that many clients that failed together do not come back together.

use std::time::Duration;

use crate::error::{Error, Retry};

/// A retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts in all; the first failure of one attempt is final. 0 never gives up.
    pub attempts: u32,
    /// Bound of the first wait.
    pub base: Duration,
    /// Bound of every wait.
    pub max: Duration,
    /// How waits are spread.
    pub jitter: Jitter,
}

/// How waits are spread below their bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// The wait is its bound.
    None,
    /// The wait is evenly between nothing and its bound.
    Full,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            attempts: 10,
            base: Duration::from_millis(100),
            max: Duration::from_secs(60),
            jitter: Jitter::Full,
        }
    }
}

impl Backoff {
    /// The wait after the `failed`-th failed attempt (from 1), or `None` to give up.
    ///
    /// `chance` is a random number of `[0, 1)`.
    #[must_use]
    pub fn wait(&self, failed: u32, error: &Error, chance: f64) -> Option<Duration> {
        let spent = self.attempts > 0 && failed >= self.attempts;
        if spent || error.retry() == Retry::Never {
            return None;
        }
        let doublings = failed.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.max);
        Some(match self.jitter {
            Jitter::None => bound,
            Jitter::Full => bound.mul_f64(chance.clamp(0.0, 1.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Jitter};
    use crate::error::Error;
    use std::io;
    use std::time::Duration;

    fn transient() -> Error {
        Error::io("open", "f", io::Error::other("busy"))
    }

    #[test]
    fn waits_double_up_to_the_bound_and_then_end() {
        let policy = Backoff {
            attempts: 6,
            base: Duration::from_millis(100),
            max: Duration::from_millis(500),
            jitter: Jitter::None,
        };
        let waits: Vec<_> = (1..=6).map(|n| policy.wait(n, &transient(), 0.5)).collect();
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(waits, [ms(100), ms(200), ms(400), ms(500), ms(500), None]);
    }

    #[test]
    fn full_jitter_takes_its_share_of_the_bound() {
        let policy = Backoff { attempts: 0, ..Backoff::default() };
        assert_eq!(policy.wait(1, &transient(), 0.25), Some(Duration::from_millis(25)));
        assert_eq!(policy.wait(1_000, &transient(), 0.5), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_cannot_get_better_is_not_retried() {
        let wrong = Error::MissingOption { name: "format", owner: "files" };
        assert_eq!(Backoff::default().wait(1, &wrong, 0.5), None);
    }
}
