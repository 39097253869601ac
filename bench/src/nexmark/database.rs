//! The embedded database end to end: a source over each file, a materialized view, until it has everything.

use std::path::Path;

use anyhow::{Context, ensure};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use levada_engine::client::{OpenOptions, Outcome, SessionOptions};
use levada_engine::{Database, Session};

use super::event::Events;
use super::query::Query;
use super::{ALL_TABLES, load};
use crate::answer::Answer;
use crate::measure::{Line, Stopwatch, reset_peak};
use crate::view::View;

/// Runs `query` over the files of `folder` in a database in a temporary folder.
///
/// # Errors
/// When a statement fails or the answer is wrong.
pub(super) async fn run(
    folder: &Path,
    events: Events,
    query: &Query,
    options: OpenOptions,
    verify: bool,
) -> anyhow::Result<()> {
    let place = std::env::temp_dir().join(format!("levada-bench/database-{}", std::process::id()));
    let database = Database::open_with(&place.to_string_lossy(), options).await?;
    let mut session = database.connect(SessionOptions::default());
    let folder = std::path::absolute(folder)?;
    reset_peak();
    let watch = Stopwatch::start();
    for table in ALL_TABLES {
        let file = folder.join(format!("{table}.parquet"));
        let sql = format!("CREATE SOURCE {table} FROM FILES ('{}')", file.display());
        session.run_script(&sql).await?;
    }
    session.run_script(&format!("CREATE MATERIALIZED VIEW result AS {}", query.sql)).await?;
    session.run_script("WAIT FOR result").await?;
    let cost = watch.stop();
    let answer = Answer::of(&rows(&mut session).await?, query.counted)?;
    Line::new("nexmark", "database", query.name)
        .costing(cost, events.events.unsigned_abs())
        .answering(answer)
        .print()?;
    drop(session);
    database.close().await?;
    drop(database);
    std::fs::remove_dir_all(&place)
        .with_context(|| format!("could not remove \"{}\"", place.display()))?;
    if verify {
        let tables = load(&folder, query)?;
        let expected = View::plan(query.sql, &tables, true)?.batch(&tables).await?;
        let expected = Answer::of(&expected, query.counted)?;
        ensure!(answer == expected, "the view {answer:?}, batch {expected:?}");
    }
    Ok(())
}

async fn rows(session: &mut Session) -> anyhow::Result<Vec<RecordBatch>> {
    match session.run_script("SELECT * FROM result").await? {
        Outcome::Rows(rows) => Ok(rows.stream.try_collect().await?),
        _ => anyhow::bail!("a query gives rows"),
    }
}
