//! A circuit breaker: stop asking a system that keeps failing.
//!
//! | state | calls | leaves it |
//! |---|---|---|
//! | closed | pass | `failures` failures within `window`: open |
//! | open | are refused | `rest` later: half-open |
//! | half-open | one passes at a time | its success: closed; its failure: open |
//!
//! Time is a [`Duration`] since any fixed moment.

use std::collections::VecDeque;
use std::time::Duration;

/// When to open and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures that open it.
    pub failures: usize,
    /// The time within which they count.
    pub window: Duration,
    /// How long it stays open.
    pub rest: Duration,
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// One call is on trial, or the next will be.
    HalfOpen,
}

/// A breaker for one connection.
#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    /// Times of recent failures, oldest first; at most `policy.failures`.
    failures: VecDeque<Duration>,
    opened: Option<Duration>,
    trial: bool,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(30), rest: Duration::from_secs(60) }
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, failures: VecDeque::new(), opened: None, trial: false }
    }

    /// Its state at `now`.
    #[must_use]
    pub fn state(&self, now: Duration) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(at) if now < at + self.policy.rest => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether a call may pass at `now`; report its outcome afterwards.
    pub fn admit(&mut self, now: Duration) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::Open => false,
            BreakerState::HalfOpen => !std::mem::replace(&mut self.trial, true),
        }
    }

    /// An admitted call succeeded.
    pub fn succeeded(&mut self) {
        self.failures.clear();
        (self.opened, self.trial) = (None, false);
    }

    /// An admitted call failed at `now`.
    pub fn failed(&mut self, now: Duration) {
        self.trial = false;
        self.failures.push_back(now);
        let window = self.policy.window;
        while self.failures.front().is_some_and(|at| *at + window < now) {
            self.failures.pop_front();
        }
        if self.opened.is_some() || self.failures.len() >= self.policy.failures {
            self.opened = Some(now);
            self.failures.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, BreakerPolicy, BreakerState};
    use std::time::Duration;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerPolicy { failures: 3, window: s(10), rest: s(60) })
    }

    #[test]
    fn only_failures_close_together_open_it() {
        let mut b = breaker();
        for at in [0, 11, 22, 33] {
            b.failed(s(at));
        }
        assert_eq!(b.state(s(33)), BreakerState::Closed);
        b.failed(s(34));
        b.failed(s(35));
        assert_eq!(b.state(s(35)), BreakerState::Open);
        assert!(!b.admit(s(94)), "it rests for a minute");
    }

    #[test]
    fn one_trial_decides_when_it_is_half_open() {
        let mut b = breaker();
        for at in 0..3 {
            b.failed(s(at));
        }
        assert_eq!(b.state(s(62)), BreakerState::HalfOpen);
        assert!(b.admit(s(62)), "the trial");
        assert!(!b.admit(s(62)), "only one at a time");
        b.failed(s(63));
        assert_eq!(b.state(s(64)), BreakerState::Open);
        assert!(b.admit(s(123)), "the second trial");
        b.succeeded();
        assert_eq!(b.state(s(123)), BreakerState::Closed);
    }
}
