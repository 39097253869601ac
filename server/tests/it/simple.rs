//! Simple queries.

use std::time::Duration;

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::support::{cell, error, field, rows, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_query_answers_rows_and_its_tag() {
    let server = server().await;
    let client = server.client().await;
    let messages = client
        .simple_query("select * from (values (1, 'a'), (2, null)) as t(n, s) order by n")
        .await
        .expect("the query runs");
    let [.., SimpleQueryMessage::CommandComplete(count)] = messages.as_slice() else {
        panic!("the last message is the tag: {messages:?}");
    };
    assert_eq!(*count, 2, "rows in the tag");
    let rows = rows(&client, "select * from (values (1, 'a'), (2, null)) as t(n, s) order by n");
    assert_eq!(
        rows.await,
        vec![vec![Some("1".to_owned()), Some("a".to_owned())], vec![Some("2".to_owned()), None]],
        "cells"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_their_sqlstate_and_leave_the_connection_usable() {
    let server = server().await;
    let client = server.client().await;
    for (sql, expected) in [
        ("selekt 1", "42601"),
        ("select nothing", "42703"),
        ("select * from nowhere", "42P01"),
        ("select no_such_function(1)", "42883"),
        ("select 1 / 0", "22012"),
        ("select 'abc'::int", "22P02"),
        ("select a from (values (1)) x(a), (values (2)) y(a)", "42702"),
    ] {
        let (sqlstate, message) = error(&client, sql).await;
        assert_eq!(sqlstate, expected, "{sql}: {message}");
        assert_eq!(cell(&client, "select 1").await.as_deref(), Some("1"), "after {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_points_into_the_text_as_sent() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'Q', "select '\u{e4}',\n       totl from (values (1)) t(total)\0".as_bytes())
        .await;
    let answer = raw.until(b'Z').await;
    let (_, body) = answer.iter().find(|(tag, _)| *tag == b'E').expect("an error");
    assert_eq!(field(body, b'C').as_deref(), Some("42703"), "undefined column");
    assert_eq!(field(body, b'P').as_deref(), Some("20"), "characters, not bytes");
    assert!(field(body, b'H').is_some_and(|hint| hint.contains("total")), "nearest name");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_are_answered_in_turn() {
    let server = server().await;
    let client = server.client().await;
    let answer = rows(&client, "select 1; select 2;; select 3").await;
    let cells: Vec<_> = answer.into_iter().flatten().flatten().collect();
    assert_eq!(cells, ["1", "2", "3"], "all three");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_ends_the_string_and_undoes_it() {
    let server = server().await;
    let client = server.client().await;
    client.simple_query("create table t (a int)").await.expect("a table");
    let failed = client
        .simple_query("insert into t values (1); select 1 / 0; insert into t values (2)")
        .await;
    assert!(failed.is_err(), "the second statement fails");
    assert_eq!(cell(&client, "select count(*) from t").await.as_deref(), Some("0"), "undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_string_with_a_syntax_error_runs_nothing() {
    let server = server().await;
    let client = server.client().await;
    client.simple_query("create table t (a int)").await.expect("a table");
    let (sqlstate, _) = error(&client, "insert into t values (1); selekt 2").await;
    assert_eq!(sqlstate, "42601", "syntax error");
    assert_eq!(cell(&client, "select count(*) from t").await.as_deref(), Some("0"), "nothing ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_string_has_an_empty_answer() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    for text in ["\0", ";\0", "  -- nothing\n\0"] {
        raw.message(b'Q', text.as_bytes()).await;
        let tags: Vec<u8> = raw.until(b'Z').await.into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(tags, b"IZ", "EmptyQueryResponse for {text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_for_query_tells_the_transaction() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    for (sql, status) in [
        ("begin\0", b'T'),
        ("select 1\0", b'T'),
        ("select 1 / 0\0", b'E'),
        ("select 1\0", b'E'),
        ("rollback\0", b'I'),
    ] {
        raw.message(b'Q', sql.as_bytes()).await;
        let answer = raw.until(b'Z').await;
        let (_, body) = answer.last().expect("ReadyForQuery");
        assert_eq!(body.as_slice(), [status], "after {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_can_be_cancelled() {
    let server = server().await;
    let client = server.client().await;
    let token = client.cancel_token();
    let endless = "select count(*) from generate_series(1, 1000000000000)";
    let canceller = tokio::spawn(async move {
        // The request is repeated because it does nothing before the query has begun.
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await.expect("the request is sent");
        }
    });
    let (sqlstate, _) = error(&client, endless).await;
    canceller.abort();
    assert_eq!(sqlstate, "57014", "canceled");
    // A late request may hit this one.
    while client.simple_query("select 1").await.is_err() {}
    assert_eq!(cell(&client, "select 2").await.as_deref(), Some("2"), "usable again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_reads_can_be_cancelled() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.startup(3 << 16, &[("user", "admin")]).await;
    let login = raw.until(b'Z').await;
    let (_, key) = login.iter().find(|(tag, _)| *tag == b'K').expect("BackendKeyData");
    raw.message(b'Q', b"select * from generate_series(1, 1000000000)\0").await;
    raw.until(b'D').await;
    let mut request = 16_i32.to_be_bytes().to_vec();
    request.extend(80_877_102_i32.to_be_bytes());
    request.extend(key);
    let mut other = server.raw().await;
    other.send(&request).await;
    assert!(other.read().await.is_none(), "cancel requests get no answer");
    let answer = raw.until(b'Z').await;
    let (_, body) = answer.iter().find(|(tag, _)| *tag == b'E').expect("an error");
    assert_eq!(field(body, b'C').as_deref(), Some("57014"), "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_can_be_cancelled() {
    let server = server().await;
    let (client, busy) = (server.client().await, server.client().await);
    let pid = cell(&busy, "select pg_backend_pid()").await.expect("a process id");
    let endless = "select count(*) from generate_series(1, 1000000000000)";
    let running = tokio::spawn(async move { error(&busy, endless).await });
    let shown = format!(
        "select count(*) from pg_stat_activity \
         where pid = {pid} and state = 'active' and query = '{endless}'"
    );
    while cell(&client, &shown).await.as_deref() != Some("1") {
        tokio::task::yield_now().await;
    }
    let address = format!("select client_addr from pg_stat_activity where pid = {pid}");
    assert_eq!(cell(&client, &address).await.as_deref(), Some("127.0.0.1"));
    let cancelled = cell(&client, &format!("select pg_cancel_backend({pid})")).await;
    assert_eq!(cancelled.as_deref(), Some("t"));
    assert_eq!(running.await.expect("its end").0, "57014");
    assert_eq!(cell(&client, "select pg_cancel_backend(0)").await.as_deref(), Some("f"));
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_of_the_system_are_in_the_catalog() {
    let server = server().await;
    let client = server.client().await;
    let columns =
        "select count(*) from pg_attribute where attrelid = 'sys.lineage'::regclass and attnum > 0";
    assert_eq!(cell(&client, columns).await.as_deref(), Some("4"));
    for sql in [
        "select pg_relation_size('sys.lineage') >= 0",
        "select pg_total_relation_size('sys.lineage') >= 0",
        "select pg_database_size('main') >= 0",
    ] {
        assert_eq!(cell(&client, sql).await.as_deref(), Some("t"), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_in_a_branch_runs_for_the_rows_of_the_branch() {
    let server = server().await;
    let client = server.client().await;
    rows(&client, "set statement_timeout = '5s'").await;
    // One of these runs takes milliseconds; drivers ask it of every type there is, for domains only.
    let bases = "select count(case when t.typtype = 'd' then \
                 (with recursive b(oid, depth) as (\
                    select t2.typbasetype, 0 from pg_type t2 where t2.oid = t.oid \
                    union all \
                    select t2.typbasetype, b.depth + 1 from pg_type t2, b \
                    where b.oid = t2.oid and t2.typbasetype != 0) \
                  select oid from b order by depth desc limit 1) end), \
                 count(case when t.typtype = 'd' then 1 end) from pg_type t";
    let answer = rows(&client, bases).await;
    assert_eq!(answer[0][0], answer[0][1], "a base for each domain");
}
