//! Statements that are stopped: by a request, by their time limit, by the client's leaving.

use std::io::Write;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tokio_postgres::NoTls;

use crate::process::Served;
use crate::support::{cell, error, field, rows, server, state};

/// How soon a statement stops, with room for a busy machine.
const SOON: Duration = Duration::from_secs(2);

/// Statements that would run for minutes, each busy in another way.
const ENDLESS: [(&str, &str); 9] = [
    ("a source", "select count(*) from generate_series(1, 1000000000000)"),
    (
        "a cross join",
        "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b",
    ),
    (
        "a join that finds nothing",
        "select count(*) from generate_series(1, 100000) a(x) \
         join generate_series(1, 100000) b(y) on x * y < 0",
    ),
    (
        "an outer join that finds nothing",
        "select count(*) from generate_series(1, 300000) a(x) \
         left join generate_series(1, 300000) b(y) on x * y < x - 1000000",
    ),
    (
        "a hash join whose condition finds nothing",
        "select count(*) from (select x % 3 as k, x from generate_series(1, 200000) a(x)) a \
         join (select y % 3 as k, y from generate_series(1, 200000) b(y)) b \
         on a.k = b.k and x + y < 0",
    ),
    (
        "groups over a join",
        "select x % 7, sum(y) from generate_series(1, 100000) a(x), generate_series(1, 100000) b(y) \
         group by 1",
    ),
    (
        "a sort over a join",
        "select x from generate_series(1, 100000) a(x), generate_series(1, 100000) b(y) \
         order by x * y limit 3",
    ),
    (
        "a filter that passes nothing",
        "select x from generate_series(1, 100000) a(x), generate_series(1, 100000) b(y) \
         where x + y < 0",
    ),
    (
        "a recursion",
        "with recursive r(n) as (select 1 union all select n + 1 from r where n > 0) \
         select count(*) from r",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_runs_stops_at_its_time_limit() {
    let server = server().await;
    for (what, sql) in ENDLESS {
        let client = server.client().await;
        rows(&client, "set statement_timeout = '300ms'").await;
        let begun = Instant::now();
        let (sqlstate, message) = error(&client, sql).await;
        let took = begun.elapsed();
        assert_eq!(sqlstate, "57014", "{what}: {message}");
        assert_eq!(message, "canceling statement due to statement timeout", "{what}");
        assert!(took >= Duration::from_millis(290), "{what} stopped early, after {took:?}");
        assert!(took < Duration::from_millis(300) + SOON, "{what} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_runs_can_be_cancelled() {
    let server = server().await;
    for (what, sql) in ENDLESS {
        let client = server.client().await;
        let token = client.cancel_token();
        let canceller = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await.expect("the request is sent");
            Instant::now()
        });
        let (sqlstate, message) = error(&client, sql).await;
        let stopped = Instant::now();
        let asked = canceller.await.expect("it asks");
        assert_eq!(sqlstate, "57014", "{what}: {message}");
        assert_eq!(message, "canceling statement due to user request", "{what}");
        let took = stopped.saturating_duration_since(asked);
        assert!(took < SOON, "{what} took {took:?} to stop");
    }
}

#[test]
fn a_client_that_leaves_takes_its_statement_along() {
    let served = Served::start();
    let address = format!("127.0.0.1:{}", served.port("pg_port"));
    for (at, (_, sql)) in ENDLESS.into_iter().enumerate() {
        let mut socket = std::net::TcpStream::connect(&address).expect("a connection");
        let startup = b"\0\0\0\x14\0\x03\0\0user\0admin\0\0";
        socket.write_all(startup).expect("the server reads");
        let mut query = vec![b'Q'];
        query.extend(u32::try_from(sql.len() + 5).expect("a short query").to_be_bytes());
        query.extend(sql.as_bytes());
        query.push(0);
        socket.write_all(&query).expect("the server reads");
        // Two ways to leave: with a farewell, and without.
        if at % 2 == 0 {
            socket.write_all(b"X\0\0\0\x04").expect("the server reads");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let begun = Instant::now();
    let mut used = u64::MAX;
    while used > 5 {
        assert!(begun.elapsed() < SOON * 5, "something computes on: {used}");
        let before = processor_time(served.pid());
        std::thread::sleep(Duration::from_millis(300));
        used = processor_time(served.pid()) - before;
    }
}

/// Processor time of a process so far, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a Linux system");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_is_each_statements_own() {
    let server = server().await;
    let client = server.client().await;
    rows(&client, "set statement_timeout = '2s'").await;
    assert_eq!(cell(&client, "show statement_timeout").await.as_deref(), Some("2s"), "shown");
    rows(&client, "set statement_timeout = 1500").await;
    assert_eq!(cell(&client, "show statement_timeout").await.as_deref(), Some("1500ms"), "shown");
    for wrong in ["'soon'", "-1", "'1 week'"] {
        let (sqlstate, _) = error(&client, &format!("set statement_timeout = {wrong}")).await;
        assert_eq!(sqlstate, "22023", "{wrong} is no limit, nor does it lift one");
    }
    rows(&client, "set statement_timeout = 200").await;
    let endless = ENDLESS[1].1;
    let (sqlstate, _) = error(&client, &format!("select 1; {endless}; select 2")).await;
    assert_eq!(sqlstate, "57014", "in a string of several");
    let failed = client.query(endless, &[]).await.expect_err("extended");
    assert_eq!(state(&failed).0, "57014", "in the extended protocol");
    client.batch_execute("create table t (n bigint)").await.expect("a table");
    for writes in [
        format!("insert into t {endless}"),
        format!("create table u as {endless}"),
        format!("explain analyze {endless}"),
    ] {
        let (sqlstate, message) = error(&client, &writes).await;
        assert_eq!(sqlstate, "57014", "{writes}: {message}");
    }
    let copied = client.copy_out(&format!("copy ({endless}) to stdout")).await;
    let last = pin!(copied.expect("it starts")).next().await.expect("an answer");
    assert_eq!(state(&last.expect_err("stopped")).0, "57014", "copy");
    rows(&client, "set statement_timeout = 0").await;
    assert_eq!(cell(&client, "select count(*) from t").await.as_deref(), Some("0"), "undone");
    assert!(server.client_as("options='-c statement_timeout=soon'").await.is_err(), "at login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_waits_for_data_is_stopped_too() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'Q', b"create table t (n int); set statement_timeout = 200\0").await;
    raw.until(b'Z').await;
    raw.message(b'Q', b"copy t from stdin\0").await;
    raw.until(b'G').await;
    raw.message(b'd', b"1\n").await;
    let answer = raw.until(b'Z').await;
    let (_, body) = answer.iter().find(|(tag, _)| *tag == b'E').expect("an error");
    assert_eq!(field(body, b'C').as_deref(), Some("57014"), "no data came in time");
}
