//! Names, options and queries know where they stand.

use super::{all, one};
use crate::parse::{expression, position_at, query};
use crate::statement::{Statement, Step};

/// The text that starts at a 1-based character.
fn from(sql: &str, position: usize) -> String {
    sql.chars().skip(position - 1).collect()
}

#[test]
fn statements_know_their_text_and_offset() {
    let sql = "SELECT 'öß'; /* ü */ DROP TABLE ä ; SELECT 2";
    for parsed in all(sql) {
        let slice: String =
            sql.chars().skip(parsed.offset).take(parsed.text.chars().count()).collect();
        assert_eq!(slice, parsed.text);
    }
}

#[test]
fn names_count_characters_of_the_whole_string() {
    let sql = "SELECT '🦀é';\r\n\tDROP TABLE a, büro.\"T\"";
    let Statement::Drop(drop) = all(sql).remove(1).statement else { panic!("a drop") };
    let texts: Vec<String> = drop.names.iter().map(|name| from(sql, name.position)).collect();
    assert_eq!(texts, ["a, büro.\"T\"", "büro.\"T\""]);
}

#[test]
fn queries_of_steps_keep_their_text() {
    let sql =
        "CREATE PIPELINE p (a AS ( SELECT x -- why\n FROM t ), b MATERIALIZED AS (VALUES (1)))";
    let Statement::CreatePipeline(pipeline) = one(sql) else { panic!("a pipeline") };
    let texts: Vec<&str> = pipeline
        .steps
        .iter()
        .map(|step| match step {
            Step::Query(step) => step.query.text.as_str(),
            Step::Sink(_) => panic!("no sink"),
        })
        .collect();
    assert_eq!(texts, ["SELECT x -- why\n FROM t", "VALUES (1)"]);
}

#[test]
fn options_know_where_they_stand() {
    let sql = "CREATE SOURCE s FROM FILES ('a') FORMAT CSV (header true, delimiter = ';')";
    let Statement::CreateSource(source) = one(sql) else { panic!("a source") };
    let format = source.format.expect("a format");
    assert_eq!(from(sql, format.options[1].position), "delimiter = ';')");
    assert_eq!(from(sql, format.position.0), "CSV (header true, delimiter = ';')");
    assert_eq!(from(sql, source.connector.position).get(..5), Some("FILES"));
}

#[test]
fn inner_statements_keep_their_text() {
    let sql = "BEGIN; EXPLAIN ANALYZE  SELECT 'é' ; COMMIT";
    let Statement::Explain(crate::statement::Explain::Plan { statement, .. }) =
        all(sql).remove(1).statement
    else {
        panic!("an explain")
    };
    assert_eq!(statement.text, "SELECT 'é'");
    assert_eq!(from(sql, statement.offset + 1), "SELECT 'é' ; COMMIT");
}

#[test]
fn lines_and_columns_become_characters() {
    let sql = "SELECT 'é',\n  b\r\nFROM t";
    assert_eq!(position_at(sql, 1, 1), 1);
    assert_eq!(from(sql, position_at(sql, 2, 3)), "b\r\nFROM t");
    assert_eq!(from(sql, position_at(sql, 3, 6)), "t");
    assert_eq!(position_at(sql, 9, 1), 0);
    assert_eq!(position_at(sql, 0, 0), 0);
}

#[test]
fn kept_text_is_one_query_or_one_expression() {
    assert_eq!(query("SELECT 1 -- kept").expect("a query").to_string(), "SELECT 1");
    assert!(query("SELECT 1; SELECT 2").is_err(), "two queries");
    assert!(query("DELETE FROM t").is_err(), "no query");
    assert_eq!(expression("a + 1").expect("an expression").to_string(), "a + 1");
    assert!(expression("a + 1, 2").is_err(), "two expressions");
}
