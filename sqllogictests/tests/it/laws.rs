//! Laws of maintained views that need no second answer: what must not matter does not.
//!
//! | law | one run | the other |
//! |---|---|---|
//! | ticks split and merge | the epochs as they are | each change and each move of the clock alone; all changes of a table together, and all moves |
//! | cancellation | before `+D`, `-D` | after: the same rows, and every operator keeps as many |
//! | disjoint tables commute | the epochs as they are | table by table |
//! | memory does not matter | all state in memory | all of it in files |
//! | a view has no history | made before the rows | between them; after them |
//! | nor a former query | made with the query | made with another one, replaced between the rows; read by others |
//! | threads do not matter | deltas go through one thread | several share each |
//! | a condition parts the rows | `q` | `q` where `p`, where not `p`, where `p` is unknown |

use std::path::Path;

use levada_engine::client::OpenOptions;
use levada_sqllogictests::bag::Bag;
use levada_sqllogictests::clock::SetClock;
use levada_sqllogictests::embedded::{Embedded, SHARED};
use levada_sqllogictests::generate::case::Case;
use levada_sqllogictests::generate::delta::{Contents, Epoch};
use levada_sqllogictests::generate::expression::Expression;
use levada_sqllogictests::generate::value::{Row, Type};
use levada_sqllogictests::oracle::compare;
use levada_sqllogictests::target::Failure;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::runtime::block_on;

const SEEDS: std::ops::Range<u64> = 9_000..9_008;
const VIEWS: usize = 8;
const EPOCHS: usize = 8;

type Answer = Result<levada_sqllogictests::embedded::Table, Failure>;

/// A case without crashes.
fn case(seed: u64) -> Case {
    let options = OpenOptions::default();
    Case { crashes: Vec::new(), options, ..Case::random(seed, VIEWS, EPOCHS, 4) }
}

async fn with_tables(case: &Case, folder: &Path) -> Embedded {
    let clock = SetClock::standing();
    let mut database = Embedded::open_at(folder, case.options.clone(), clock).await.unwrap();
    for table in &case.tables {
        database.run(&table.sql()).await.unwrap();
    }
    database
}

/// Makes the views that the planner takes.
async fn with_views(case: &Case, database: &mut Embedded) {
    for (i, view) in case.views.iter().enumerate() {
        // A query that is refused is refused in both runs.
        drop(database.run(&format!("CREATE MATERIALIZED VIEW v{i} AS {}", view.sql())).await);
    }
}

async fn answers(case: &Case, database: &mut Embedded) -> Vec<Answer> {
    let mut answers = Vec::new();
    for i in 0..case.views.len() {
        answers.push(database.rows(&format!("SELECT * FROM v{i}")).await);
    }
    answers
}

/// The answers of all views after `epochs`, with the views made after `first` of them.
async fn run(case: &Case, epochs: &[Epoch], first: usize) -> Vec<Answer> {
    let folder = tempfile::tempdir().unwrap();
    let mut database = with_tables(case, folder.path()).await;
    for (i, epoch) in epochs.iter().enumerate() {
        if i == first {
            with_views(case, &mut database).await;
        }
        case.apply(epoch, &mut database).await.unwrap();
    }
    if first >= epochs.len() {
        with_views(case, &mut database).await;
    }
    let answers = answers(case, &mut database).await;
    database.close().await.unwrap();
    answers
}

fn assert_same(law: &str, seed: u64, case: &Case, one: &[Answer], other: &[Answer]) {
    for (i, (one, other)) in one.iter().zip(other).enumerate() {
        let missing = |a: &Answer| a.as_ref().is_err_and(|f| f.sqlstate == "42P01");
        if missing(one) && missing(other) {
            continue;
        }
        if let Some(what) = compare(one, other).unwrap() {
            panic!("{law}, seed {seed}: {what}\nquery: {}", case.views[i].sql());
        }
    }
}

/// Epochs of one change each.
fn split(epochs: &[Epoch]) -> Vec<Epoch> {
    let each = |epoch: &Epoch| {
        let (table, seconds) = (epoch.table, epoch.seconds);
        let alone = move |changes| Epoch { table, seconds: 0, changes };
        let clock = (0..seconds.signum()).map(move |_| Epoch { seconds, ..alone(Vec::new()) });
        clock.chain(epoch.changes.clone().into_iter().map(move |change| alone(vec![change])))
    };
    epochs.iter().flat_map(each).collect()
}

/// One epoch per table, with the sum of its changes.
fn merged(case: &Case, epochs: &[Epoch]) -> Vec<Epoch> {
    let of = |table: usize| {
        let mut sums: Vec<(Row, i64)> = Vec::new();
        for (row, weight) in epochs.iter().filter(|e| e.table == table).flat_map(|e| &e.changes) {
            match sums.iter_mut().find(|(known, _)| known == row) {
                Some((_, sum)) => *sum += weight,
                None => sums.push((row.clone(), *weight)),
            }
        }
        sums.retain(|(_, sum)| *sum != 0);
        let seconds = if table == 0 { epochs.iter().map(|epoch| epoch.seconds).sum() } else { 0 };
        Epoch { table, seconds, changes: sums }
    };
    (0..case.tables.len()).map(of).collect()
}

#[test]
fn ticks_split_merge_and_commute_and_views_have_no_history() {
    for seed in SEEDS {
        let case = case(seed);
        block_on(async {
            let plain = run(&case, &case.epochs, 0).await;
            let shared = Case { options: SHARED, ..case.clone() };
            let other = run(&shared, &case.epochs, 0).await;
            assert_same("several threads", seed, &case, &plain, &other);
            let other = run(&case, &split(&case.epochs), 0).await;
            assert_same("each change alone", seed, &case, &plain, &other);
            if case.tables.iter().all(|table| !table.keyed) {
                let other = run(&case, &merged(&case, &case.epochs), 0).await;
                assert_same("all changes together", seed, &case, &plain, &other);
            }
            let options = OpenOptions { state_memory: Some(0), ..OpenOptions::default() };
            let spilled = Case { options, ..case.clone() };
            let other = run(&spilled, &case.epochs, 0).await;
            assert_same("all state in files", seed, &case, &plain, &other);
            let mut by_table = case.epochs.clone();
            by_table.sort_by_key(|epoch| epoch.table);
            let other = run(&case, &by_table, 0).await;
            assert_same("table by table", seed, &case, &plain, &other);
            for first in [case.epochs.len() / 2, case.epochs.len()] {
                let other = run(&case, &case.epochs, first).await;
                assert_same("made later", seed, &case, &plain, &other);
            }
        });
    }
}

/// Rows that every operator keeps.
async fn state(database: &mut Embedded) -> Vec<String> {
    let select = "SELECT node, operator, state_rows FROM sys.operators ORDER BY node";
    database.run(select).await.unwrap().rows
}

#[test]
fn what_comes_and_goes_leaves_rows_and_state_as_they_were() {
    for seed in SEEDS {
        let mut case = case(seed);
        // Time does not come back.
        case.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0);
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut database = with_tables(&case, folder.path()).await;
            with_views(&case, &mut database).await;
            let mut contents = Contents::new(&case.tables);
            let (early, late) = case.epochs.split_at(case.epochs.len() / 2);
            for epoch in early {
                contents.follow(epoch);
                case.apply(epoch, &mut database).await.unwrap();
            }
            let before = (answers(&case, &mut database).await, state(&mut database).await);
            let mut done: Vec<Epoch> = Vec::new();
            for epoch in late {
                case.apply(epoch, &mut database).await.unwrap();
                done.push(epoch.clone());
            }
            for epoch in done.iter().rev() {
                let back = epoch.changes.iter().rev().map(|(row, weight)| (row.clone(), -weight));
                let back = Epoch { table: epoch.table, seconds: 0, changes: back.collect() };
                case.apply(&back, &mut database).await.unwrap();
            }
            let after = (answers(&case, &mut database).await, state(&mut database).await);
            assert_same("there and back", seed, &case, &before.0, &after.0);
            assert_eq!(before.1, after.1, "seed {seed}: the operators keep other rows\n{case}");
            database.close().await.unwrap();
        });
    }
}

/// The views with a part of their rows at first, and two readers each.
async fn with_parts(case: &Case, seed: u64, database: &mut Embedded) {
    for (i, view) in case.views.iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(seed);
        let condition = Expression::random(Type::Bool, &view.columns(), 2, &mut rng);
        let condition = condition.sql(&|i| format!("q.c{i}"));
        let part = format!("SELECT * FROM ({}) AS q WHERE {condition}", view.sql());
        for (name, query) in [
            (format!("v{i}"), part),
            (format!("copy{i}"), format!("SELECT * FROM v{i}")),
            (format!("distinct{i}"), format!("SELECT DISTINCT * FROM v{i}")),
        ] {
            drop(database.run(&format!("CREATE MATERIALIZED VIEW {name} AS {query}")).await);
        }
    }
}

/// Gives the views their queries, and leaves them as a crash does.
async fn replace(case: &Case, database: &mut Embedded) {
    for (i, view) in case.views.iter().enumerate() {
        let read = database.rows(&format!("SELECT * FROM v{i}")).await;
        if read.is_err_and(|failure| failure.sqlstate == "42P01") {
            continue;
        }
        let replace = format!("CREATE OR REPLACE MATERIALIZED VIEW v{i} AS {}", view.sql());
        database.run(&replace).await.unwrap();
    }
    database.crash().await.unwrap();
}

#[test]
fn a_view_does_not_remember_a_former_query() {
    for seed in SEEDS {
        let case = case(seed);
        block_on(async {
            let plain = run(&case, &case.epochs, 0).await;
            for options in [OpenOptions::default(), SHARED] {
                let folder = tempfile::tempdir().unwrap();
                let case = Case { options, ..case.clone() };
                let mut database = with_tables(&case, folder.path()).await;
                with_parts(&case, seed, &mut database).await;
                let (early, late) = case.epochs.split_at(case.epochs.len() / 2);
                for epoch in early {
                    case.apply(epoch, &mut database).await.unwrap();
                }
                replace(&case, &mut database).await;
                for epoch in late {
                    case.apply(epoch, &mut database).await.unwrap();
                }
                let answers = answers(&case, &mut database).await;
                for i in 0..case.views.len() {
                    for (reader, query) in [("copy", "SELECT *"), ("distinct", "SELECT DISTINCT *")]
                    {
                        let kept = database.rows(&format!("SELECT * FROM {reader}{i}")).await;
                        if kept.as_ref().is_err_and(|f| f.sqlstate == "42P01") {
                            continue;
                        }
                        let wanted = database.rows(&format!("{query} FROM v{i}")).await;
                        if let Some(what) = compare(&wanted, &kept).unwrap() {
                            panic!("{reader}{i}, seed {seed}: {what}\n{}", case.views[i].sql());
                        }
                    }
                    if answers[i].as_ref().is_err_and(|f| f.sqlstate == "42P01") {
                        continue;
                    }
                    if let Some(what) = compare(&plain[i], &answers[i]).unwrap() {
                        panic!("v{i}, seed {seed}: {what}\nquery: {}", case.views[i].sql());
                    }
                }
                database.close().await.unwrap();
            }
        });
    }
}

#[test]
fn a_condition_parts_the_rows_of_a_view() {
    for seed in SEEDS {
        let case = case(seed);
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let mut database = with_tables(&case, folder.path()).await;
            let mut parts = Vec::new();
            for (i, view) in case.views.iter().enumerate() {
                let query = view.sql();
                let made = database.run(&format!("CREATE MATERIALIZED VIEW v{i} AS {query}")).await;
                if made.is_err() {
                    continue;
                }
                let mut names = Vec::new();
                let mut rng = StdRng::seed_from_u64(seed);
                let condition = Expression::random(Type::Bool, &view.columns(), 2, &mut rng);
                let p = condition.sql(&|i| format!("q.c{i}"));
                for condition in [p.clone(), format!("NOT ({p})"), format!("({p}) IS NULL")] {
                    let name = format!("v{i}_{}", names.len());
                    let sql = format!("SELECT * FROM ({query}) AS q WHERE {condition}");
                    let create = format!("CREATE MATERIALIZED VIEW {name} AS {sql}");
                    names.extend(database.run(&create).await.ok().map(|_| name));
                }
                if names.len() == 3 {
                    parts.push((i, names));
                }
            }
            for epoch in &case.epochs {
                case.apply(epoch, &mut database).await.unwrap();
                for (i, names) in &parts {
                    let Ok((schema, whole)) = database.rows(&format!("SELECT * FROM v{i}")).await
                    else {
                        continue;
                    };
                    let mut together = Vec::new();
                    for name in names {
                        let part = database.rows(&format!("SELECT * FROM {name}")).await.unwrap();
                        together.extend(part.1);
                    }
                    let whole = Bag::of(std::sync::Arc::clone(&schema), &whole).unwrap();
                    let together = Bag::of(schema, &together).unwrap();
                    let difference = together.minus(&whole);
                    assert!(
                        difference.is_empty(),
                        "seed {seed}: {}\nquery: {}",
                        whole.describe(&difference).join("\n"),
                        case.views[*i].sql()
                    );
                }
            }
            database.close().await.unwrap();
        });
    }
}
