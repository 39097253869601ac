//! How a source or sink is doing, in one word.
//!
//! | word | when |
//! |---|---|
//! | starting | nothing has been read yet |
//! | running | the last attempt succeeded, and all splits can be read |
//! | degraded | it goes on, but some splits have problems |
//! | retrying | the last attempt failed and another follows |
//! | broken | it has given up until somebody acts |

use std::fmt;

/// The state of one source or sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    word: Word,
    problems: usize,
    failures: u32,
    last_error: Option<String>,
}

/// A state in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Nothing has been read yet.
    #[default]
    Starting,
    /// All is well.
    Running,
    /// Some splits have problems.
    Degraded,
    /// An attempt failed and another follows.
    Retrying,
    /// It has given up.
    Broken,
}

impl Health {
    /// The state in one word.
    #[must_use]
    pub fn word(&self) -> Word {
        self.word
    }

    /// Attempts that failed since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// What went wrong last, if that still stands.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// An attempt succeeded; `problems` are those of single splits.
    pub fn succeeded(&mut self, problems: &[crate::source::Problem]) {
        self.failures = 0;
        self.problems = problems.len();
        self.word = if problems.is_empty() { Word::Running } else { Word::Degraded };
        self.last_error = problems.first().map(|p| format!("\"{}\": {}", p.split, p.message));
    }

    /// An attempt failed; `again` says whether another follows.
    pub fn failed(&mut self, error: &crate::error::Error, again: bool) {
        self.failures = self.failures.saturating_add(1);
        self.word = if again { Word::Retrying } else { Word::Broken };
        self.last_error = Some(error.to_string());
    }

    /// Splits with problems at the last success.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.problems
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Retrying => "retrying",
            Self::Broken => "broken",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Word};
    use crate::error::Error;
    use crate::source::Problem;

    #[test]
    fn a_success_clears_failures_and_shows_problems() {
        let mut health = Health::default();
        assert_eq!(health.word(), Word::Starting);
        let gone = Error::NoFilesMatch { pattern: "*.csv".into() };
        health.failed(&gone, true);
        health.failed(&gone, false);
        assert_eq!((health.word(), health.failures()), (Word::Broken, 2));
        let problem = Problem { split: "a.csv".into(), message: "file vanished".into() };
        health.succeeded(&[problem]);
        assert_eq!((health.word(), health.failures()), (Word::Degraded, 0));
        assert_eq!(health.last_error(), Some("\"a.csv\": file vanished"));
        health.succeeded(&[]);
        assert_eq!((health.word(), health.last_error()), (Word::Running, None));
    }
}
