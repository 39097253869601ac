//! Values of every type, in text and binary form, against the drivers' own ideas of them.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::{FromSql, Kind, Type};

use crate::support::{cell, server};

/// Bytes as they came.
struct Binary(Vec<u8>);

impl<'a> FromSql<'a> for Binary {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_forms_are_postgres_text_forms() {
    let server = server().await;
    let client = server.client().await;
    for (expression, expected) in [
        ("true", "t"),
        ("cast(-7 as smallint)", "-7"),
        ("cast(1 as bigint)", "1"),
        ("cast(1e20 as double precision)", "1e+20"),
        ("cast(0.1 as real)", "0.1"),
        ("cast('NaN' as double precision)", "NaN"),
        ("cast(12.50 as decimal(10, 2))", "12.50"),
        ("cast('abc' as text)", "abc"),
        ("date '2024-02-29'", "2024-02-29"),
        ("time '01:02:03.5'", "01:02:03.5"),
        ("timestamp '2024-02-29 01:02:03.12'", "2024-02-29 01:02:03.12"),
        ("cast('2024-02-29T01:02:03Z' as timestamp with time zone)", "2024-02-29 01:02:03+00"),
        ("interval '1 month 2 days 3 hours'", "1 mon 2 days 03:00:00"),
        ("array[1, null, 3]", "{1,NULL,3}"),
        ("array['a b', 'null']", "{\"a b\",\"null\"}"),
        ("array[array[1, 2], array[3, 4]]", "{{1,2},{3,4}}"),
        ("named_struct('a', 1, 'b', 'x y')", "(1,\"x y\")"),
        ("arrow_cast('x', 'Dictionary(Int32, Utf8)')", "x"),
        ("arrow_cast(18446744073709551615, 'UInt64')", "18446744073709551615"),
        ("map(array['k'], array[1])", "{\"k\":1}"),
        ("arrow_cast('ab', 'Binary')", "\\x6162"),
    ] {
        let shown = cell(&client, &format!("select {expression}")).await;
        assert_eq!(shown.as_deref(), Some(expected), "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_forms_are_read_by_a_driver() {
    let server = server().await;
    let client = server.client().await;
    let row = client
        .query_one(
            "select true, cast(-7 as smallint), cast(8 as int), cast(9 as bigint), \
             cast(1.5 as real), cast(2.5 as double precision), cast('x' as text), \
             timestamp '2000-01-01 00:00:01', array[1, 2], arrow_cast('ab', 'Binary'), \
             cast(null as int)",
            &[],
        )
        .await
        .expect("the query runs");
    assert!(row.get::<_, bool>(0), "bool");
    assert_eq!(row.get::<_, i16>(1), -7, "int2");
    assert_eq!(row.get::<_, i32>(2), 8, "int4");
    assert_eq!(row.get::<_, i64>(3), 9, "int8");
    assert!((row.get::<_, f32>(4) - 1.5).abs() < f32::EPSILON, "float4");
    assert!((row.get::<_, f64>(5) - 2.5).abs() < f64::EPSILON, "float8");
    assert_eq!(row.get::<_, &str>(6), "x", "text");
    let moment: SystemTime = row.get(7);
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_801);
    assert_eq!(moment, expected, "timestamp");
    assert_eq!(row.get::<_, Vec<i32>>(8), [1, 2], "int4[]");
    assert_eq!(row.get::<_, &[u8]>(9), b"ab", "bytea");
    assert_eq!(row.get::<_, Option<i32>>(10), None, "null");
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_forms_have_postgres_layout() {
    let server = server().await;
    let client = server.client().await;
    for (expression, ty, expected) in [
        (
            "cast(12.50 as decimal(10, 2))",
            Type::NUMERIC,
            vec![0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 19, 136],
        ),
        ("date '2000-01-02'", Type::DATE, vec![0, 0, 0, 1]),
        ("time '00:00:01'", Type::TIME, 1_000_000_i64.to_be_bytes().to_vec()),
        (
            "interval '1 month 2 days 1 second'",
            Type::INTERVAL,
            [&1_000_000_i64.to_be_bytes()[..], &2_i32.to_be_bytes(), &1_i32.to_be_bytes()].concat(),
        ),
    ] {
        let row = client.query_one(&format!("select {expression}"), &[]).await.expect(expression);
        assert_eq!(*row.columns()[0].type_(), ty, "{expression}");
        assert_eq!(row.get::<_, Binary>(0).0, expected, "{expression}");
    }
}

async fn round<T>(client: &tokio_postgres::Client, ty: Type, value: T)
where
    T: tokio_postgres::types::ToSql + Sync + PartialEq + std::fmt::Debug + for<'a> FromSql<'a>,
{
    let statement =
        client.prepare_typed("select $1", std::slice::from_ref(&ty)).await.expect("a statement");
    let row = client.query_one(&statement, &[&value]).await.expect("a row");
    assert_eq!(row.get::<_, T>(0), value, "{ty}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_back_as_they_went() {
    let server = server().await;
    let client = server.client().await;
    round(&client, Type::BOOL, true).await;
    round(&client, Type::INT2, -3_i16).await;
    round(&client, Type::INT4, i32::MIN).await;
    round(&client, Type::INT8, i64::MAX).await;
    round(&client, Type::FLOAT4, 1.25_f32).await;
    round(&client, Type::FLOAT8, -1e300_f64).await;
    round(&client, Type::TEXT, "na\u{ef}ve".to_owned()).await;
    round(&client, Type::BYTEA, vec![0_u8, 255, 7]).await;
    round(&client, Type::TIMESTAMP, SystemTime::UNIX_EPOCH + Duration::from_micros(7)).await;
    round(&client, Type::TIMESTAMPTZ, SystemTime::UNIX_EPOCH + Duration::from_micros(7)).await;
    round(&client, Type::INT8_ARRAY, vec![Some(1_i64), None, Some(3)]).await;
    round(&client, Type::TEXT_ARRAY, vec!["a".to_owned(), "b,c".to_owned()]).await;
    round(&client, Type::TEXT, Option::<String>::None).await;
    assert!(matches!(Type::INT8_ARRAY.kind(), Kind::Array(_)), "arrays were among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_streams() {
    use futures::TryStreamExt;

    let server = server().await;
    let client = server.client().await;
    let no_values: [i32; 0] = [];
    let stream = client
        .query_raw("select * from generate_series(1, 100000)", no_values)
        .await
        .expect("the query runs");
    futures::pin_mut!(stream);
    let mut sum = 0_i64;
    while let Some(row) = stream.try_next().await.expect("a row") {
        sum += row.get::<_, i64>(0);
    }
    assert_eq!(sum, 5_000_050_000, "every row once");
}
