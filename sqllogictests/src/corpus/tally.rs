//! Counts of what became of the queries, with reasons.

use std::collections::BTreeMap;
use std::fmt;

use super::reader::Query;
use crate::target::Failure;

/// What became of the queries of some scripts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Queries found.
    pub queries: usize,
    /// Queries that DataFusion plans.
    pub planned: usize,
    /// Queries that run here as they stand.
    pub runnable: usize,
    /// Queries with another answer each time.
    pub unstable: usize,
    /// Views made.
    pub views: usize,
    /// Views that were their query after every epoch.
    pub right: usize,
    /// Comparisons.
    pub comparisons: usize,
    /// Views with a part that is recomputed.
    pub with_recompute: usize,
    /// Why queries do not run, with their number.
    pub not_run: BTreeMap<String, usize>,
    /// Why views are recomputed, with the number of views.
    pub recompute: BTreeMap<String, usize>,
    /// Views refused though their query runs.
    pub refusals: Vec<Finding>,
    /// Views that were not their query.
    pub wrong: Vec<Finding>,
}

/// A view that is wrong or refused.
#[derive(Clone, Debug)]
pub struct Finding {
    /// File and line.
    pub place: String,
    /// The query.
    pub sql: String,
    /// The step after which it was found.
    pub when: String,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    /// A finding about a query of a file.
    #[must_use]
    pub fn new(file: &str, query: &Query, when: &str, what: String) -> Self {
        let place = format!("{file}:{}", query.line);
        Self { place, sql: query.sql.clone(), when: when.to_owned(), what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.place, self.when)?;
        writeln!(f, "{}", self.sql)?;
        write!(f, "{}", self.what)
    }
}

impl Tally {
    /// Counts a query that does not run.
    pub fn not_run(&mut self, reason: &str) {
        *self.not_run.entry(without_names(reason)).or_default() += 1;
    }

    /// Counts a view that is refused though its query runs.
    pub fn refused(&mut self, file: &str, query: &Query, failure: &Failure) {
        self.refusals.push(Finding::new(file, query, "is refused", failure.line()));
    }

    /// Counts the reasons why parts of a view are recomputed.
    pub fn recomputed(&mut self, reasons: impl Iterator<Item = String>) {
        let before = self.recompute.values().sum::<usize>();
        for reason in reasons {
            *self.recompute.entry(reason).or_default() += 1;
        }
        self.with_recompute += usize::from(self.recompute.values().sum::<usize>() > before);
    }

    /// Counts a wrong view.
    pub fn found(&mut self, finding: Finding) {
        self.wrong.push(finding);
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.queries += other.queries;
        self.planned += other.planned;
        self.runnable += other.runnable;
        self.unstable += other.unstable;
        self.views += other.views;
        self.right += other.right;
        self.comparisons += other.comparisons;
        self.with_recompute += other.with_recompute;
        for (mine, theirs) in
            [(&mut self.not_run, other.not_run), (&mut self.recompute, other.recompute)]
        {
            for (reason, count) in theirs {
                *mine.entry(reason).or_default() += count;
            }
        }
        self.refusals.extend(other.refusals);
        self.wrong.extend(other.wrong);
    }
}

/// A reason without what stands in quotes, so that like reasons are counted together.
fn without_names(reason: &str) -> String {
    let first = reason.lines().next().unwrap_or_default();
    let parts = first.split('"').enumerate();
    let kept: Vec<&str> = parts.map(|(i, part)| if i % 2 == 0 { part } else { "..." }).collect();
    kept.join("\"").chars().take(90).collect()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, what) in [
            (self.queries, "queries found"),
            (self.planned, "planned by DataFusion"),
            (self.runnable, "run as they stand"),
            (self.unstable, "without one answer"),
            (self.views, "made as views"),
            (self.right, "right"),
            (self.wrong.len(), "wrong"),
            (self.refusals.len(), "refused as a view"),
            (self.with_recompute, "with a recompute"),
            (self.comparisons, "comparisons"),
        ] {
            writeln!(f, "{count:7} {what}")?;
        }
        for (title, reasons) in
            [("recomputed for", &self.recompute), ("not run for", &self.not_run)]
        {
            let mut sorted: Vec<_> = reasons.iter().collect();
            sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            writeln!(f, "{title}:")?;
            for (reason, count) in sorted.into_iter().take(40) {
                writeln!(f, "{count:7} {reason}")?;
            }
        }
        Ok(())
    }
}
