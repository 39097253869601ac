//! COPY in both directions.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::Client;

use crate::support::{cell, rows, server, state};

async fn copy_in(
    client: &Client,
    sql: &str,
    pieces: &[&[u8]],
) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in::<_, Bytes>(sql).await?;
    futures::pin_mut!(sink);
    for piece in pieces {
        sink.send(Bytes::copy_from_slice(piece)).await?;
    }
    sink.finish().await
}

async fn copy_out(client: &Client, sql: &str) -> Vec<u8> {
    let stream = client.copy_out(sql).await.expect("the copy starts");
    let pieces: Vec<Bytes> = stream.try_collect().await.expect("the copy ends");
    pieces.concat()
}

async fn with_table(columns: &str) -> (crate::support::Server, Client) {
    let server = server().await;
    let client = server.client().await;
    client.batch_execute(&format!("create table t ({columns})")).await.expect("a table");
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_read_across_message_borders() {
    let (_server, client) = with_table("a int, b text").await;
    let pieces: [&[u8]; 4] = [b"1\tone\n2\t", b"tw\\", b"to\n3\t\\N\n", b"\\.\n"];
    let count = copy_in(&client, "copy t from stdin", &pieces).await.expect("the copy");
    assert_eq!(count, 3, "rows in the tag");
    let cells: Vec<_> =
        rows(&client, "select a, b from t order by a").await.into_iter().flatten().collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        cells,
        [some("1"), some("one"), some("2"), some("tw\to"), some("3"), None],
        "escapes and nulls"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_read_with_quotes_and_header() {
    let (_server, client) = with_table("a int, b text").await;
    let pieces: [&[u8]; 2] = [b"a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n2,", b"\n3,\"\"\n"];
    let count = copy_in(&client, "copy t from stdin with (format csv, header true)", &pieces)
        .await
        .expect("the copy");
    assert_eq!(count, 3, "rows");
    let cells: Vec<_> =
        rows(&client, "select b from t order by a").await.into_iter().flatten().collect();
    assert_eq!(
        cells,
        [Some("x, \"y\"\nz".to_owned()), None, Some(String::new())],
        "a quoted empty string is not null"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_is_named_and_nothing_is_kept() {
    let (_server, client) = with_table("a int, b text").await;
    let failed = copy_in(&client, "copy t from stdin", &[b"1\tx\n2\ty\nabc\tz\n"])
        .await
        .expect_err("no number");
    assert_eq!(state(&failed).0, "22P02", "invalid text");
    let context = failed.as_db_error().and_then(|error| error.where_()).unwrap_or_default();
    assert!(context.contains("COPY t, line 3, column a: \"abc\""), "{context}");
    let failed =
        copy_in(&client, "copy t from stdin", &[b"1\n"]).await.expect_err("a column is missing");
    assert_eq!(state(&failed).0, "22P04", "bad copy format");
    assert_eq!(cell(&client, "select count(*) from t").await.as_deref(), Some("0"), "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_give_up() {
    let (_server, client) = with_table("a int").await;
    {
        let sink = client.copy_in::<_, Bytes>("copy t from stdin").await.expect("the copy");
        futures::pin_mut!(sink);
        sink.send(Bytes::from_static(b"1\n")).await.expect("a row");
        // Dropped without an end: the driver sends CopyFail.
    }
    assert_eq!(cell(&client, "select count(*) from t").await.as_deref(), Some("0"), "nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_written_in_all_formats_and_read_back() {
    let (_server, client) = with_table("a int, b text").await;
    client
        .batch_execute("insert into t values (1, 'x,\"y\"'), (2, null), (3, E'tab\\there')")
        .await
        .expect("rows");
    let query = "(select a, b from t order by a)";
    assert_eq!(
        String::from_utf8_lossy(&copy_out(&client, &format!("copy {query} to stdout")).await),
        "1\tx,\"y\"\n2\t\\N\n3\ttab\\there\n",
        "text"
    );
    let csv = copy_out(&client, &format!("copy {query} to stdout with (format csv, header)")).await;
    assert_eq!(String::from_utf8_lossy(&csv), "a,b\n1,\"x,\"\"y\"\"\"\n2,\n3,tab\there\n", "csv");
    let binary = copy_out(&client, &format!("copy {query} to stdout with (format binary)")).await;
    assert!(binary.starts_with(b"PGCOPY\n\xff\r\n\0"), "signature");
    assert!(binary.ends_with(&[0xff, 0xff]), "trailer");
    client.batch_execute("create table u (a int, b text)").await.expect("a table");
    // Three bytes at a time: rows are cut everywhere.
    let pieces: Vec<&[u8]> = binary.chunks(3).collect();
    let count = copy_in(&client, "copy u from stdin with (format binary)", &pieces)
        .await
        .expect("the copy");
    assert_eq!(count, 3, "rows");
    assert_eq!(
        rows(&client, "select * from u order by a").await,
        rows(&client, "select * from t order by a").await,
        "the same rows"
    );
}
