//! Random views over random tables: after every epoch each equals its query run again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use levada_sqllogictests::generate::case::{Case, Outcome};
use levada_sqllogictests::generate::shrink::shrink;
use levada_sqllogictests::setting;

use crate::runtime::block_on;

const VIEWS: usize = 10;
const EPOCHS: usize = 12;
const THREADS: u64 = 2;
const DEPTH: u64 = 4;
const SHRINKING_RUNS: usize = 300;

async fn run(case: &Case) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    Box::pin(case.run(folder.path())).await.map_err(|e| format!("{e:#}"))
}

/// Runs the case of a seed; a failure comes back small, with the command that repeats it.
fn seed(seed: u64, depth: u64) -> Result<Outcome, String> {
    let case = Case::random(seed, VIEWS, EPOCHS, usize::try_from(depth).unwrap());
    block_on(async {
        let what = match run(&case).await {
            Ok(outcome) => return Ok(outcome),
            Err(what) => what,
        };
        let judge = |case: Case| Box::pin(async move { run(&case).await.err() }) as _;
        let (small, what) = shrink(case, what, SHRINKING_RUNS, &judge).await;
        Err(format!(
            "seed {seed}: {what}\nsmallest case:\n{small}again: LEVADA_SEED={seed} LEVADA_VIEWS={VIEWS} \
             LEVADA_DEPTH={depth} cargo test -p levada-sqllogictests --test it random::random_views"
        ))
    })
}

#[test]
fn random_views() {
    let views = setting::number("LEVADA_VIEWS").unwrap_or(500);
    let depth = setting::number("LEVADA_DEPTH").unwrap_or(DEPTH);
    let first = setting::number("LEVADA_SEED").unwrap_or(1);
    let last = first + views.div_ceil(VIEWS as u64);
    let next = AtomicU64::new(first);
    let findings = Mutex::new(Vec::new());
    let total = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= last || findings.lock().unwrap().len() >= 3 {
                        break;
                    }
                    match seed(at, depth) {
                        Ok(outcome) => {
                            let mut total = total.lock().unwrap();
                            total.views += outcome.views;
                            total.refused += outcome.refused;
                            total.gaps += outcome.gaps;
                            total.comparisons += outcome.comparisons;
                        }
                        Err(finding) => findings.lock().unwrap().push(finding),
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().unwrap();
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    let total = total.into_inner().unwrap();
    eprintln!(
        "{} views equal to their query in {} comparisons, {} refused like their query, {} refused",
        total.views, total.comparisons, total.refused, total.gaps
    );
    assert!(
        (total.refused + total.gaps) * 20 <= total.views,
        "{} of {} queries are refused: the generator proves too little",
        total.refused + total.gaps,
        total.views + total.refused + total.gaps
    );
}
