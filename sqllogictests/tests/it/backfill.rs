//! Views are filled while others write.
//!
//! One session makes and replaces views over tables with many rows; another one inserts, updates and deletes
//! all the while. Whatever falls into the time of a fill must be in the view, once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::TryStreamExt;
use levada_engine::client::{Database, OpenOptions, Outcome, Session, SessionOptions};
use levada_engine::{Error, Result};

const ROWS: u64 = 60_000;

const VIEWS: [(&str, &str); 5] = [
    (
        "groups",
        "SELECT g, count(*) AS n, sum(x) AS s, min(x) AS lo, max(id) AS hi FROM t GROUP BY g",
    ),
    ("pairs", "SELECT a.id, b.x FROM t AS a JOIN u AS b ON a.g = b.g"),
    ("best", "SELECT * FROM t ORDER BY x DESC, id LIMIT 20"),
    ("over_groups", "SELECT n, count(*) AS c FROM groups GROUP BY n"),
    (
        "recomputed",
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5)
         SELECT r.n, count(*) AS c FROM r JOIN t ON t.g = r.n GROUP BY r.n",
    ),
];

async fn run(session: &mut Session, sql: &str) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for statement in session.parse(sql)? {
        if let Outcome::Rows(found) = session.execute(&statement, Vec::new()).await? {
            let batches: Vec<_> = found.stream.try_collect().await.map_err(Error::from)?;
            rows = batches.iter().flat_map(levada_sqllogictests::text::lines).collect();
        }
    }
    Ok(rows)
}

/// Opens the database; the one before gives its directory back as its tasks end.
async fn open(folder: &Path) -> Database {
    let options = OpenOptions { beside_rows: Some(1), ..OpenOptions::default() };
    Database::open_with(&folder.to_string_lossy(), options).await.unwrap()
}

fn session(database: &Database, pid: i32) -> Session {
    database.connect(SessionOptions { pid, ..SessionOptions::default() })
}

/// Leaves the database as a crash does and opens it again.
async fn crash(folder: &Path, database: Database, one: Session) -> (Database, Session) {
    drop((one, database));
    let database = open(folder).await;
    let one = session(&database, 1);
    (database, one)
}

/// Makes `t` of 20,001 rows.
async fn fill_table(one: &mut Session) {
    run(one, "CREATE TABLE t (id bigint, g bigint)").await.unwrap();
    let rows = "INSERT INTO t SELECT n, n FROM generate_series(0, 20000) AS s (n)";
    run(one, rows).await.unwrap();
}

/// Changes rows until told to stop, and counts the statements.
async fn write(mut session: Session, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) {
    let mut n = ROWS;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let old = (n * 7919) % ROWS;
        let sql = match n % 4 {
            0 => format!("DELETE FROM t WHERE id = {old}"),
            1 => format!("UPDATE t SET x = x + 1, g = g + 1 WHERE id = {old}"),
            2 => format!("INSERT INTO u VALUES ({}, {n})", n % 900),
            _ => format!("INSERT INTO t VALUES ({n}, {}, {})", n % 300, n % 1000),
        };
        run(&mut session, &sql).await.unwrap();
        written.fetch_add(1, Ordering::Relaxed);
    }
}

async fn check(session: &mut Session) {
    for (view, _) in VIEWS {
        run(session, &format!("CHECK INCREMENTAL {view}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_made_and_replaced_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let mut one = session(&database, 1);
    run(&mut one, "CREATE TABLE t (id bigint PRIMARY KEY, g bigint, x bigint)").await.unwrap();
    run(&mut one, "CREATE TABLE u (g bigint, x bigint)").await.unwrap();
    let rows = format!(
        "INSERT INTO t SELECT n, n % 300, n % 1000 FROM generate_series(0, {}) AS s (n);
         INSERT INTO u SELECT n, n FROM generate_series(0, 900) AS s (n)",
        ROWS - 1
    );
    run(&mut one, &rows).await.unwrap();
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writing = write(session(&database, 2), Arc::clone(&stop), Arc::clone(&written));
    let writer = tokio::spawn(writing);
    for (view, query) in VIEWS {
        run(&mut one, &format!("CREATE MATERIALIZED VIEW {view} AS {query}")).await.unwrap();
    }
    let made = written.load(Ordering::Relaxed);
    check(&mut one).await;
    for (view, query) in [
        ("groups", VIEWS[0].1.replace("FROM t", "FROM t WHERE x % 2 = 0")),
        ("pairs", format!("{} WHERE a.x < 100", VIEWS[1].1)),
        ("groups", VIEWS[0].1.to_owned()),
    ] {
        let replace = format!("CREATE OR REPLACE MATERIALIZED VIEW {view} AS {query}");
        run(&mut one, &replace).await.unwrap();
        check(&mut one).await;
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert!(made > 0, "the writer was not held up until all views were made");
    assert_eq!(run(&mut one, "SELECT * FROM sys.backfill_progress").await.unwrap().len(), 0);
    check(&mut one).await;
    let before = run(&mut one, "SELECT * FROM groups ORDER BY g").await.unwrap();
    let (database, mut one) = crash(folder.path(), database, one).await;
    check(&mut one).await;
    assert_eq!(run(&mut one, "SELECT * FROM groups ORDER BY g").await.unwrap(), before);
    drop(one);
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_filled_is_not_pulled_away() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let (mut one, mut two) = (session(&database, 1), session(&database, 2));
    fill_table(&mut one).await;
    // Two of each row: long enough to be seen.
    let create = "CREATE MATERIALIZED VIEW v AS SELECT a.g, count(*) AS n
         FROM t AS a JOIN t AS b ON a.g % 150 = b.g % 150 GROUP BY a.g";
    let making = tokio::spawn(async move { run(&mut one, create).await.map(|_| one) });
    while run(&mut two, "SELECT * FROM sys.backfill_progress").await.unwrap().is_empty() {
        assert!(!making.is_finished(), "it is shown while it runs");
        tokio::task::yield_now().await;
    }
    let state = async |two: &mut Session, sql: &str| {
        let error = run(two, sql).await.expect_err(sql);
        levada_server::sqlstate::Report::from(error).sqlstate.to_owned()
    };
    assert_eq!(state(&mut two, "DROP TABLE t").await, "55006");
    assert_eq!(state(&mut two, "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a").await, "42P07");
    run(&mut two, "CREATE TABLE other (a int)").await.unwrap();
    run(&mut two, "COMMENT ON TABLE t IS 'read'").await.unwrap();
    run(&mut two, "INSERT INTO t VALUES (-1, -1)").await.unwrap();
    let mut one = making.await.unwrap().unwrap();
    run(&mut one, "CHECK INCREMENTAL v").await.unwrap();
    run(&mut two, "DROP TABLE t CASCADE").await.unwrap();
    drop((one, two));
    database.close().await.unwrap();
}

async fn expect(session: &mut Session, query: &str, rows: &[&str]) {
    assert_eq!(run(session, query).await.unwrap(), rows, "{query}");
}

/// A view whose rows never went is given a query that takes rows away. Its readers were planned on the former, those that
/// the same transaction makes or replaces too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_view_that_begins_to_shrink_are_planned_again() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let mut one = session(&database, 1);
    for statement in [
        "CREATE TABLE t (v bigint)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE SOURCE s FROM GENERATOR COUNTER (EVENTS 10)",
        "WAIT FOR s",
        "CREATE MATERIALIZED VIEW c1 AS SELECT n FROM s",
        "CREATE MATERIALIZED VIEW top AS SELECT max(n) AS n, min(n) AS m FROM c1",
        "BEGIN",
        "CREATE MATERIALIZED VIEW c2 AS SELECT * FROM c1",
        "CREATE MATERIALIZED VIEW c3 AS SELECT * FROM c2",
        "CREATE MATERIALIZED VIEW c4 AS SELECT max(n) AS n, min(n) AS m FROM c3",
        "CREATE OR REPLACE MATERIALIZED VIEW c1 AS SELECT v AS n FROM t",
        "COMMIT",
        "DELETE FROM t WHERE v = 1",
    ] {
        run(&mut one, statement).await.unwrap();
    }
    expect(&mut one, "SELECT * FROM c3", &["2"]).await;
    expect(&mut one, "SELECT * FROM c4", &["2 2"]).await;
    expect(&mut one, "SELECT * FROM top", &["2 2"]).await;
    for statement in [
        "CREATE MATERIALIZED VIEW b1 AS SELECT n FROM s",
        "CREATE MATERIALIZED VIEW b2 AS SELECT n FROM s",
        "CREATE MATERIALIZED VIEW b3 AS SELECT x.n AS a, y.n AS b
         FROM (SELECT max(n) AS n FROM b1) AS x CROSS JOIN (SELECT max(n) AS n FROM b2) AS y",
        "BEGIN",
        "CREATE OR REPLACE MATERIALIZED VIEW b2 AS SELECT max(n) AS n FROM b1",
        "CREATE OR REPLACE MATERIALIZED VIEW b1 AS SELECT v AS n FROM t",
        "COMMIT",
        "INSERT INTO t VALUES (3), (4)",
        "DELETE FROM t WHERE v = 4",
    ] {
        run(&mut one, statement).await.unwrap();
    }
    expect(&mut one, "SELECT * FROM b2", &["3"]).await;
    expect(&mut one, "SELECT * FROM b3", &["3 3"]).await;
    let (database, mut one) = crash(folder.path(), database, one).await;
    run(&mut one, "DELETE FROM t WHERE v = 2").await.unwrap();
    expect(&mut one, "SELECT * FROM c4", &["3 3"]).await;
    expect(&mut one, "SELECT * FROM b3", &["3 3"]).await;
    for view in ["top", "c1", "c2", "c3", "c4", "b1", "b2", "b3"] {
        run(&mut one, &format!("CHECK INCREMENTAL {view}")).await.unwrap();
    }
    drop(one);
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let (mut one, mut two) = (session(&database, 1), session(&database, 2));
    fill_table(&mut one).await;
    let endless = "CREATE MATERIALIZED VIEW v AS WITH RECURSIVE r (n) AS
         (SELECT 1 UNION ALL SELECT n + 1 - 1 FROM r) SELECT count(*) AS n FROM r, t";
    let withdrawal = one.withdrawal();
    let making = tokio::spawn(async move { run(&mut one, endless).await });
    while run(&mut two, "SELECT * FROM sys.backfill_progress").await.unwrap().is_empty() {
        assert!(!making.is_finished(), "it does not end by itself");
        tokio::task::yield_now().await;
    }
    assert!(withdrawal.withdraw(), "nothing of it is logged yet");
    // Its name and what it reads are free at once, although its thread may be at work yet.
    run(&mut two, "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t").await.unwrap();
    run(&mut two, "CHECK INCREMENTAL v").await.unwrap();
    run(&mut two, "DROP TABLE t CASCADE").await.unwrap();
    assert!(making.await.unwrap().is_err(), "it was given up");
    while !run(&mut two, "SELECT * FROM sys.backfill_progress").await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(two);
    database.close().await.unwrap();
}
