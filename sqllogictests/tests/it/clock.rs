//! Time that passes: which moves of the clock are epochs, and that views follow it by themselves.

use std::time::Duration;

use levada_engine::client::OpenOptions;
use levada_sqllogictests::clock::SetClock;
use levada_sqllogictests::embedded::Embedded;
use levada_sqllogictests::service::pause;

use crate::runtime::block_on;

const SECOND: i64 = 1_000_000;

async fn ids(database: &mut Embedded, view: &str) -> Vec<String> {
    database.run(&format!("SELECT id FROM {view} ORDER BY id")).await.unwrap().rows
}

async fn moved(database: &mut Embedded, seconds: i64) -> u64 {
    database.clock().advance(seconds * SECOND);
    database.keep_time().await.unwrap();
    database.epoch().unwrap()
}

/// Views of which only some rows cross, and one that is evaluated anew for all rows at each move.
const VIEWS: [&str; 3] = [
    "CREATE MATERIALIZED VIEW recent AS SELECT id FROM e WHERE at > now() - interval '10 seconds'",
    "CREATE MATERIALIZED VIEW many AS SELECT count(*) > 5 AS id FROM e WHERE at > now() - interval '10 seconds'",
    "CREATE MATERIALIZED VIEW late AS SELECT id, at < now() - interval '10 seconds' AS late FROM e",
];

#[test]
fn only_a_move_that_changes_a_view_is_an_epoch() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (options, clock) = (OpenOptions::default(), SetClock::standing());
        let mut database = Embedded::open_at(folder.path(), options, clock).await.unwrap();
        database.run("CREATE TABLE e (id int, at timestamptz)").await.unwrap();
        for view in VIEWS {
            database.run(view).await.unwrap();
        }
        let first = database.epoch().unwrap();
        assert_eq!(moved(&mut database, 5).await, first, "over no rows");
        database
            .run("INSERT INTO e VALUES (1, now()), (2, now() + interval '3 seconds')")
            .await
            .unwrap();
        let inserted = database.epoch().unwrap();
        for _ in 0..9 {
            assert_eq!(moved(&mut database, 1).await, inserted, "before the first row is due");
        }
        database.run("CHECKPOINT").await.unwrap();
        let checkpoint = moved(&mut database, 0).await;
        let left = moved(&mut database, 1).await;
        assert!(left > checkpoint, "the first row leaves");
        assert_eq!(ids(&mut database, "recent").await, ["2"]);
        assert_eq!(moved(&mut database, 2).await, left + 1, "it is late now, the count as before");
        let gone = moved(&mut database, 1).await;
        assert_eq!(ids(&mut database, "recent").await, Vec::<String>::new());
        // The clock is set back: views stay, and what comes has the time that they have.
        assert_eq!(moved(&mut database, -3_600).await, gone);
        let insert = "INSERT INTO e VALUES (3, now() + interval '3591 seconds'), (4, now())";
        database.run(insert).await.unwrap();
        assert_eq!(ids(&mut database, "recent").await, ["3"]);
        database.crash().await.unwrap();
        assert_eq!(ids(&mut database, "recent").await, ["3"]);
        moved(&mut database, 3_602).await;
        assert_eq!(ids(&mut database, "recent").await, Vec::<String>::new());
        database.close().await.unwrap();
    });
}

#[test]
fn a_view_follows_the_clock_by_itself_and_after_a_crash() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            clock_resolution: Some(Duration::from_millis(100)),
            ..OpenOptions::default()
        };
        let mut database = Embedded::open_with(folder.path(), options).await.unwrap();
        database.run("CREATE TABLE e (id int, at timestamptz)").await.unwrap();
        let view = "CREATE MATERIALIZED VIEW begun AS SELECT id FROM e WHERE at <= now()";
        database.run(view).await.unwrap();
        let insert = "INSERT INTO e VALUES (1, now() + interval '1 second'), (2, now() + interval '2 seconds')";
        database.run(insert).await.unwrap();
        assert_eq!(ids(&mut database, "begun").await, Vec::<String>::new());
        until(&mut database, &["1"]).await;
        database.crash().await.unwrap();
        until(&mut database, &["1", "2"]).await;
        database.close().await.unwrap();
    });
}

/// Waits until `begun` has these rows; reading does not move the clock.
async fn until(database: &mut Embedded, rows: &[&str]) {
    for _ in 0..500 {
        if ids(database, "begun").await == rows {
            return;
        }
        pause(Duration::from_millis(20)).await;
    }
    panic!("the rows {rows:?} are not there after ten seconds");
}
