//! Makes a failing case small.
//!
//! Greedy: of the smaller cases, the first that still fails is taken, until none does or the budget of
//! runs is used up. Views go first, then epochs, rows, parts of the query, crashes.

use std::pin::Pin;

use super::case::Case;
use super::delta::{Contents, Epoch};

/// Runs a case and returns what is wrong with it.
pub type Judge<'a> = &'a dyn Fn(Case) -> Pin<Box<dyn Future<Output = Option<String>>>>;

/// The smallest failing case found with at most `budget` runs, and what is wrong with it.
pub async fn shrink(case: Case, what: String, budget: usize, judge: Judge<'_>) -> (Case, String) {
    let (mut best, mut best_what) = (case, what);
    let mut left = budget;
    'search: loop {
        for candidate in smaller(&best) {
            if left == 0 {
                break 'search;
            }
            left -= 1;
            if let Some(what) = judge(candidate.clone()).await {
                (best, best_what) = (candidate, what);
                continue 'search;
            }
        }
        break;
    }
    (best, best_what)
}

/// Smaller cases, the boldest first.
#[must_use]
pub fn smaller(case: &Case) -> Vec<Case> {
    let mut out = Vec::new();
    if case.views.len() > 1 {
        for view in &case.views {
            out.push(Case { views: vec![view.clone()], ..case.clone() });
        }
    }
    let half = case.epochs.len() / 2;
    if half > 0 {
        out.push(with_epochs(case, &case.epochs[..half]));
    }
    for i in (0..case.epochs.len()).rev() {
        let mut epochs = case.epochs.clone();
        epochs.remove(i);
        out.push(with_epochs(case, &epochs));
    }
    if !case.crashes.is_empty() {
        out.push(Case { crashes: Vec::new(), ..case.clone() });
    }
    for (i, view) in case.views.iter().enumerate() {
        let queries = view.parts().into_iter().chain(view.narrower()).chain(view.simpler());
        for query in queries {
            let mut smaller = case.clone();
            smaller.views[i] = query;
            out.push(smaller);
        }
    }
    for i in (0..case.epochs.len()).filter(|i| case.epochs[*i].seconds != 0) {
        let mut epochs = case.epochs.clone();
        epochs[i].seconds = 0;
        out.push(with_epochs(case, &epochs));
    }
    for (i, epoch) in case.epochs.iter().enumerate() {
        for j in 0..epoch.changes.len() {
            let mut epochs = case.epochs.clone();
            epochs[i].changes.remove(j);
            out.push(with_epochs(case, &epochs));
        }
    }
    out
}

/// The case with other epochs, made possible again: a retraction whose insertion is gone goes as well.
fn with_epochs(case: &Case, epochs: &[Epoch]) -> Case {
    let mut contents = Contents::new(&case.tables);
    let epochs: Vec<Epoch> = epochs.iter().map(|epoch| contents.follow(epoch)).collect();
    let crashes = case.crashes.iter().copied().filter(|c| *c < epochs.len()).collect();
    Case { epochs, crashes, ..case.clone() }
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::generate::case::Case;

    #[test]
    fn a_failure_of_one_view_and_one_row_is_found() {
        let case = Case::random(7, 6, 12, 4);
        let needle = case
            .views
            .iter()
            .map(super::super::query::Query::sql)
            .find(|sql| sql.contains("DISTINCT") || sql.contains("GROUP BY"))
            .unwrap();
        let word = if needle.contains("DISTINCT") { "DISTINCT" } else { "GROUP BY" };
        let judge = move |case: Case| {
            let rows: usize = case.epochs.iter().map(|e| e.changes.len()).sum();
            let fails = case.views.iter().any(|v| v.sql().contains(word)) && rows > 0;
            let what = fails.then(|| "it failed".to_owned());
            Box::pin(std::future::ready(what)) as _
        };
        let (small, what) = futures::executor::block_on(shrink(case, String::new(), 5_000, &judge));
        assert_eq!(what, "it failed");
        assert_eq!(small.views.len(), 1);
        assert_eq!(small.epochs.iter().map(|e| e.changes.len()).sum::<usize>(), 1);
        assert!(small.views[0].sql().len() < 200, "{}", small.views[0].sql());
    }
}
