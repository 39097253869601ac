//! The extended protocol.

use tokio_postgres::types::Type;

use crate::support::{field, server, state};

/// A string with its zero.
fn text(value: &str) -> Vec<u8> {
    [value.as_bytes(), b"\0"].concat()
}

/// Parse of the unnamed statement.
fn parse(sql: &str) -> Vec<u8> {
    [text(""), text(sql), vec![0, 0]].concat()
}

/// Bind of the unnamed statement to a portal, without values, columns in text.
fn bind(portal: &str) -> Vec<u8> {
    [text(portal), text(""), vec![0; 6]].concat()
}

fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    [text(portal), rows_max.to_be_bytes().to_vec()].concat()
}

fn tags(answer: &[(u8, Vec<u8>)]) -> String {
    answer.iter().map(|(tag, _)| char::from(*tag)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_inferred_and_values_used() {
    let server = server().await;
    let client = server.client().await;
    client.batch_execute("create table t (a int, b text)").await.expect("a table");
    let insert = client.prepare("insert into t values ($1, $2)").await.expect("a statement");
    assert_eq!(insert.params(), [Type::INT4, Type::TEXT], "from the table");
    assert!(insert.columns().is_empty(), "no columns");
    let count = client.execute(&insert, &[&7_i32, &"seven"]).await.expect("an insert");
    assert_eq!(count, 1, "rows in the tag");
    let row = client.query_one("select b from t where a = $1", &[&7_i32]).await.expect("the row");
    assert_eq!(row.get::<_, &str>(0), "seven", "found by its key");
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_parameter_types_are_kept() {
    let server = server().await;
    let client = server.client().await;
    let statement = client.prepare_typed("select $1", &[Type::INT8]).await.expect("a statement");
    assert_eq!(statement.params(), [Type::INT8], "as declared");
    let row = client.query_one(&statement, &[&42_i64]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 42, "comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_its_rows_in_parts() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'Q', b"begin\0").await;
    raw.until(b'Z').await;
    raw.message(b'P', &parse("select * from generate_series(1, 5)")).await;
    raw.message(b'B', &bind("p")).await;
    for rows_max in [2, 2, 2, 0] {
        raw.message(b'E', &execute("p", rows_max)).await;
    }
    raw.message(b'S', b"").await;
    let answer = raw.until(b'Z').await;
    assert_eq!(tags(&answer), "12DDsDDsDCCZ", "two, two, one, none");
    let words: Vec<_> = answer
        .iter()
        .filter(|(tag, _)| *tag == b'C')
        .map(|(_, body)| String::from_utf8_lossy(&body[..body.len() - 1]).into_owned())
        .collect();
    assert_eq!(words, ["SELECT 1", "SELECT 0"], "tags count their own rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_messages_are_skipped_to_sync() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'P', &parse("select nothing")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'S', b"").await;
    assert_eq!(tags(&raw.until(b'Z').await), "EZ", "one error, then ready");
    raw.message(b'P', &parse("select 1")).await;
    raw.message(b'D', &text("S")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'D', &text("P")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'S', b"").await;
    assert_eq!(tags(&raw.until(b'Z').await), "1tT2TDCZ", "usable again");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_without_rows_describe_as_no_data() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'P', &parse("create table t (a int)")).await;
    raw.message(b'D', &text("S")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'S', b"").await;
    assert_eq!(tags(&raw.until(b'Z').await), "1tn2CZ", "NoData");
    raw.message(b'P', &parse("")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'S', b"").await;
    assert_eq!(tags(&raw.until(b'Z').await), "12IZ", "EmptyQueryResponse");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_exist_are_errors() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    for (tag, body, expected) in [
        (b'B', [text(""), text("no"), vec![0; 6]].concat(), "26000"),
        (b'E', execute("no", 0), "34000"),
        (b'D', text("Sno"), "26000"),
        (b'P', parse("select 1; select 2"), "42601"),
    ] {
        raw.message(tag, &body).await;
        raw.message(b'S', b"").await;
        let answer = raw.until(b'Z').await;
        let (_, error) = answer.first().expect("an answer");
        assert_eq!(field(error, b'C').as_deref(), Some(expected), "{:?}", char::from(tag));
    }
    // Closing what is not there is no error.
    raw.message(b'C', &text("Sno")).await;
    raw.message(b'S', b"").await;
    assert_eq!(tags(&raw.until(b'Z').await), "3Z", "CloseComplete");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_up_to_sync_are_one_transaction() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.login().await;
    raw.message(b'Q', b"create table t (a int)\0").await;
    raw.until(b'Z').await;
    raw.message(b'P', &parse("insert into t values (1)")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'P', &parse("select 1 / 0")).await;
    raw.message(b'B', &bind("")).await;
    raw.message(b'E', &execute("", 0)).await;
    raw.message(b'S', b"").await;
    raw.until(b'Z').await;
    let client = server.client().await;
    let count = crate::support::cell(&client, "select count(*) from t").await;
    assert_eq!(count.as_deref(), Some("0"), "the insert is undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_are_refused() {
    let server = server().await;
    let client = server.client().await;
    let statement = client.prepare_typed("select $1", &[Type::INT4]).await.expect("a statement");
    let refused = client.query(&statement, &[]).await;
    assert!(refused.is_err(), "too few values");
    let mut raw = server.raw().await;
    raw.login().await;
    // Three bytes are no integer.
    let parse = [text(""), text("select $1"), vec![0, 1, 0, 0, 0, 23]].concat();
    let bind = [text(""), text(""), vec![0, 1, 0, 1, 0, 1, 0, 0, 0, 3, 1, 2, 3, 0, 0]].concat();
    raw.message(b'P', &parse).await;
    raw.message(b'B', &bind).await;
    raw.message(b'S', b"").await;
    let answer = raw.until(b'Z').await;
    let (_, error) = answer.iter().find(|(tag, _)| *tag == b'E').expect("an error");
    assert_eq!(field(error, b'C').as_deref(), Some("22P03"), "binary format");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_statement_names_its_sqlstate() {
    let server = server().await;
    let client = server.client().await;
    let statement =
        client.prepare_typed("select $1 / 0", &[Type::INT4]).await.expect("a statement");
    let failed = client.query(&statement, &[&1_i32]).await.expect_err("no answer");
    assert_eq!(state(&failed).0, "22012", "division by zero");
}

/// Table and attribute number of each column.
type Origins<'a> = &'a [Option<(u32, i16)>];

#[tokio::test(flavor = "multi_thread")]
async fn columns_say_where_they_come_from() {
    let server = server().await;
    let client = server.client().await;
    client
        .batch_execute(
            "create table t (a int, b text); create view v as select b, a + 1 as c from t; \
             create materialized view m as select b, a from t",
        )
        .await
        .expect("relations");
    let oid = async |name: &str| {
        let row = client.query_one(&format!("select '{name}'::regclass::oid"), &[]).await;
        row.expect("an oid").get::<_, u32>(0)
    };
    let (t, v, m) = (oid("t").await, oid("v").await, oid("m").await);
    let cases: [(&str, Origins<'_>); 7] = [
        ("select * from t", &[Some((t, 1)), Some((t, 2))]),
        ("select b as x, a + 1, lower(b) from t where a > 1", &[Some((t, 2)), None, None]),
        ("select c, b from v order by 1 limit 3", &[Some((v, 2)), Some((v, 1))]),
        ("select x.a from (select distinct a from m) x", &[Some((m, 2))]),
        ("select t.b, m.b from t join m on t.a = m.a", &[Some((t, 2)), Some((m, 1))]),
        ("with w as (select a from t) select a, count(*) from w group by a", &[Some((t, 1)), None]),
        ("select a from t union all select a from m", &[None]),
    ];
    for (sql, origins) in cases {
        let statement = client.prepare(sql).await.expect("a statement");
        let found: Vec<_> =
            statement.columns().iter().map(|c| c.table_oid().zip(c.column_id())).collect();
        assert_eq!(found, origins, "{sql}");
    }
}
