//! How many rows fit a rate limit at this moment.
//!
//! A token bucket that fills by `per_second` and holds what one second brings, at least one row. Taking
//! more than it holds is refused, never owed.

use std::time::Duration;

/// A rate limit; time is a [`Duration`] since any fixed moment.
#[derive(Clone, Debug)]
pub struct RateLimit {
    per_second: f64,
    tokens: f64,
    filled: Duration,
}

impl RateLimit {
    /// A limit of `per_second` rows from `now` on; the bucket starts empty but for one row.
    #[must_use]
    pub fn new(per_second: f64, now: Duration) -> Self {
        Self { per_second: per_second.max(f64::MIN_POSITIVE), tokens: 1.0, filled: now }
    }

    /// How many rows may pass at `now`.
    pub fn available(&mut self, now: Duration) -> usize {
        let elapsed = now.saturating_sub(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second.max(1.0));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tokens are at least 0, and the cast saturates"
        )]
        let whole = self.tokens as usize;
        whole
    }

    /// Rows passed.
    pub fn took(&mut self, rows: usize) {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
        let rows = rows as f64;
        self.tokens = (self.tokens - rows).max(0.0);
    }

    /// How long until the next row fits.
    #[must_use]
    pub fn wait(&self) -> Duration {
        let missing = (1.0 - self.tokens).max(0.0);
        Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;
    use std::time::Duration;

    #[test]
    fn rows_follow_the_clock_and_do_not_pile_up() {
        let ms = Duration::from_millis;
        let mut limit = RateLimit::new(100.0, ms(0));
        assert_eq!(limit.available(ms(0)), 1);
        limit.took(1);
        assert_eq!(limit.wait(), ms(10));
        assert_eq!(limit.available(ms(250)), 25);
        limit.took(25);
        assert_eq!(limit.available(ms(60_000)), 100, "an idle minute is worth one second");
    }
}
