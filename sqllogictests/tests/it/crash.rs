//! SIGKILL of the real server at random moments, two hundred times over.
//!
//! While files are dropped into a source's folder and a client inserts rows, the process is killed. After
//! each restart:
//!
//! * every insert that was acknowledged is there once, every other one once or not at all, and a
//!   statement of several rows is there as a whole;
//! * every row of every dropped file is there once;
//! * each view equals its query run again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use levada_sqllogictests::folder;
use levada_sqllogictests::service::{Service, pause};
use levada_sqllogictests::setting;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const VIEWS: [&str; 4] = ["totals", "per_group", "p.joined", "p.carriers"];

/// What must be, must not be, and may be in the database.
#[derive(Default)]
struct Expected {
    /// Identifiers that are surely there.
    acknowledged: BTreeSet<i64>,
    /// The statement in flight when the server was killed.
    in_doubt: Vec<i64>,
    next: i64,
    /// Rows in all files.
    file_rows: i64,
    files: usize,
}

struct Connection {
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(service: &Service) -> Connection {
    let (client, connection) = tokio_postgres::connect(&service.url(), NoTls).await.unwrap();
    let task = tokio::spawn(async move { drop(connection.await) });
    Connection { client, task }
}

async fn rows(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let values = messages.iter().filter_map(|m| match m {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect())
        }
        _ => None,
    });
    values.collect()
}

async fn number(client: &Client, sql: &str) -> i64 {
    rows(client, sql).await[0][0].parse().unwrap()
}

async fn set_up(client: &Client, files: &Path) {
    let sql = format!(
        "CREATE TABLE acks (id bigint PRIMARY KEY, g int);
         CREATE TABLE names (carrier text PRIMARY KEY, name text);
         INSERT INTO names VALUES ('AA', 'American'), ('UA', 'United'), ('DL', 'Delta');
         CREATE SOURCE src (id bigint, carrier text, delay int)
           FROM FILES ('{}/*.csv') FORMAT CSV (HEADER true);
         CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum(id) AS s FROM acks;
         CREATE MATERIALIZED VIEW per_group AS SELECT g, count(*) AS n, max(id) AS last FROM acks GROUP BY g;
         CREATE PIPELINE p (
           joined MATERIALIZED AS (SELECT src.id, n.name, src.delay FROM src JOIN names n USING (carrier)),
           carriers MATERIALIZED AS (SELECT name, count(*) AS n, sum(delay) AS s FROM joined GROUP BY name)
         )",
        files.display()
    );
    for statement in sql.split(";\n") {
        client.batch_execute(statement).await.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    }
}

/// Inserts until the connection breaks.
async fn insert(client: &Client, expected: &mut Expected, rng: &mut StdRng) {
    loop {
        let count = if rng.random_bool(0.3) { 3 } else { 1 };
        let ids: Vec<i64> = (expected.next..expected.next + count).collect();
        expected.next += count;
        let values: Vec<String> = ids.iter().map(|id| format!("({id}, {})", id % 5)).collect();
        expected.in_doubt.clone_from(&ids);
        let sql = format!("INSERT INTO acks VALUES {}", values.join(", "));
        match client.batch_execute(&sql).await {
            Ok(()) => expected.acknowledged.extend(expected.in_doubt.drain(..)),
            Err(e) if e.as_db_error().is_none() => break,
            Err(e) => panic!("{sql}: {e:?}"),
        }
        if rng.random_bool(0.01) && client.batch_execute("CHECKPOINT").await.is_err() {
            break;
        }
    }
}

/// Drops files until `stop` is set by the kill.
async fn drop_files(
    folder: &Path,
    stop: &std::sync::atomic::AtomicBool,
    mut next: (usize, i64),
    rng: &mut StdRng,
) -> (usize, i64) {
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let mut text = "id,carrier,delay\n".to_owned();
        for _ in 0..rng.random_range(1..40) {
            let carrier = ["AA", "UA", "DL", "ZZ"][rng.random_range(0..4)];
            text += &format!("{},{carrier},{}\n", next.1, rng.random_range(-5..60));
            next.1 += 1;
        }
        folder::place(&folder.join(format!("{:06}.csv", next.0)), text.as_bytes()).unwrap();
        next.0 += 1;
        pause(Duration::from_millis(rng.random_range(20..150))).await;
    }
    next
}

/// Compares the database with what must be there.
async fn verify(client: &Client, expected: &mut Expected, context: &str) {
    if let Some(first) = expected.in_doubt.first().copied() {
        let found = number(client, &format!("SELECT count(*) FROM acks WHERE id >= {first}")).await;
        let whole = i64::try_from(expected.in_doubt.len()).unwrap();
        assert!(found == 0 || found == whole, "{context}: {found} of {whole} rows of a statement");
        if found == whole {
            expected.acknowledged.extend(expected.in_doubt.drain(..));
        }
        expected.in_doubt.clear();
    }
    let got = rows(client, "SELECT count(*), count(DISTINCT id), sum(id) FROM acks").await;
    let count = expected.acknowledged.len().to_string();
    let sum: i64 = expected.acknowledged.iter().sum();
    let sum = if expected.acknowledged.is_empty() { "NULL".to_owned() } else { sum.to_string() };
    assert_eq!(got[0], [count.clone(), count, sum], "{context}: acknowledged inserts");

    client.batch_execute("WAIT FOR p.carriers").await.unwrap();
    let got = rows(client, "SELECT count(*), count(DISTINCT id), sum(id) FROM src").await;
    let n = expected.file_rows;
    let sum = if n == 0 { "NULL".to_owned() } else { (n * (n - 1) / 2).to_string() };
    assert_eq!(got[0], [n.to_string(), n.to_string(), sum], "{context}: rows of files");
    for view in VIEWS {
        let check = client.simple_query(&format!("CHECK INCREMENTAL {view}")).await;
        check.unwrap_or_else(|e| panic!("{context}: {view}: {e:?}"));
    }
}

struct Place {
    data: PathBuf,
    files: PathBuf,
}

async fn cycle(place: &Place, expected: &mut Expected, rng: &mut StdRng, context: &str) {
    let service = Service::start(&place.data).await.unwrap_or_else(|e| panic!("{context}: {e:#}"));
    let connection = connect(&service).await;
    if expected.next == 0 {
        set_up(&connection.client, &place.files).await;
        expected.next = 1;
    }
    verify(&connection.client, expected, context).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let life = Duration::from_millis(rng.random_range(5..450));
    let kill = async {
        pause(life).await;
        service.kill().unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let mut own = StdRng::seed_from_u64(rng.random());
    let next = (expected.files, expected.file_rows);
    let (files, (), ()) = tokio::join!(
        drop_files(&place.files, &stop, next, &mut own),
        insert(&connection.client, expected, rng),
        kill
    );
    (expected.files, expected.file_rows) = files;
}

#[test]
fn kills_lose_and_duplicate_nothing() {
    let kills = setting::number("LEVADA_KILLS").unwrap_or(200);
    let seed = setting::number("LEVADA_SEED").unwrap_or(1);
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let place = Place { data: folder.path().join("data"), files: folder.path().join("in") };
    std::fs::create_dir_all(&place.files).unwrap();
    let mut expected = Expected::default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for kill in 0..kills {
            let context = format!("seed {seed}, after {kill} kills");
            Box::pin(cycle(&place, &mut expected, &mut rng, &context)).await;
        }
        let service = Service::start(&place.data).await.unwrap();
        let connection = connect(&service).await;
        verify(&connection.client, &mut expected, "at the end").await;
        drop(connection);
        service.stop().await.unwrap();
    });
    eprintln!(
        "{kills} kills: {} inserts acknowledged, {} rows in {} files, nothing lost or twice",
        expected.acknowledged.len(),
        expected.file_rows,
        expected.files
    );
    let enough = expected.acknowledged.len() as u64 >= kills && expected.files as u64 >= kills;
    assert!(enough, "too little happened between the kills");
}
