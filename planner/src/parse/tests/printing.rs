//! What is printed reads back as the same tree.

use super::{all, one};

/// Statements of every kind; each stands for a form of the grammar.
const STATEMENTS: &str = r#"
SELECT 1
TABLE orders
(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1
WITH recent AS (SELECT * FROM orders WHERE at > now() - INTERVAL '1 day') SELECT count(*) FROM recent
SELECT a, sum(b) FILTER (WHERE c > 0) OVER (PARTITION BY a ORDER BY d) FROM t
INSERT INTO airlines VALUES ('AA', 'American'), ('UA', 'United') RETURNING *
INSERT INTO airlines (carrier) SELECT DISTINCT carrier FROM flights ON CONFLICT(carrier) DO NOTHING
UPDATE airlines SET name = 'x' WHERE carrier = 'AA'
DELETE FROM airlines WHERE carrier = $1
TRUNCATE TABLE airlines
CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT NOT NULL, rank INT DEFAULT 0)
CREATE TABLE copied AS SELECT * FROM airlines
CREATE SCHEMA app
CREATE SCHEMA IF NOT EXISTS "App"
CREATE SOURCE flights FROM FILES ('data/*.csv') FORMAT CSV (header true)
CREATE OR REPLACE SOURCE app.flights FROM FILES ('a.json', 'b.json') (poll '1s') FORMAT JSON ON ERROR FAIL
CREATE SOURCE IF NOT EXISTS p FROM FILES ('x.parquet') FORMAT PARQUET ON ERROR QUARANTINE
CREATE SOURCE f (id BIGINT NOT NULL, name TEXT, PRIMARY KEY (id)) FROM FILES ('f.csv') FORMAT CSV (delimiter ';', columns ('a', 'b'), depth -1, mode fast, s3.region 'x')
CREATE SOURCE bids FROM GENERATOR nexmark (seed 42, rate 1000.5)
CREATE VIEW v AS SELECT 1 AS one
CREATE OR REPLACE VIEW app.v (a, "B") AS SELECT 1, 2
CREATE VIEW IF NOT EXISTS v AS VALUES (1)
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t
CREATE OR REPLACE MATERIALIZED VIEW mv (a, n) KEY (a) INCREMENTAL STRICT AS SELECT a, count(*) FROM t GROUP BY a
CREATE MATERIALIZED VIEW IF NOT EXISTS mv AS WITH x AS (SELECT 1 AS y) SELECT y FROM x
CREATE PIPELINE p (s AS (SELECT 1)) TRIGGER CONTINUOUS
CREATE OR REPLACE PIPELINE p VERSION 'v2' (clean AS (SELECT * FROM t WHERE a IS NOT NULL), total MATERIALIZED KEY (a) AS (SELECT a, sum(b) AS b FROM clean GROUP BY a), SINK lake FROM total INTO FILES './out' FORMAT PARQUET) TRIGGER CONTINUOUS
CREATE PIPELINE IF NOT EXISTS p (sink AS (SELECT 1), test MATERIALIZED AS (SELECT 2)) TRIGGER CONTINUOUS
CREATE SINK lake FROM delays.by_carrier INTO FILES './out' FORMAT PARQUET
CREATE OR REPLACE SINK s FROM t INTO FILES 's3://bucket/x' (region 'eu') FORMAT CSV (header)
ALTER SOURCE flights PAUSE
ALTER SOURCE app.flights RESUME
DROP TABLE a
DROP SOURCE IF EXISTS a, app.b CASCADE
DROP MATERIALIZED VIEW mv
DROP PIPELINE delays CASCADE
DROP SCHEMA app
DROP SINK lake
DROP VIEW IF EXISTS v
COMMENT ON TABLE t IS 'it''s a table'
COMMENT ON MATERIALIZED VIEW app.mv IS NULL
EXPLAIN SELECT 1
EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) SELECT * FROM t
EXPLAIN (FORMAT TREE) DELETE FROM t
EXPLAIN INCREMENTAL SELECT a, count(*) FROM t GROUP BY a
EXPLAIN INCREMENTAL FOR app.mv
EXPLAIN LINEAGE FOR delays.by_carrier
EXPLAIN LINEAGE COLUMN total FOR mv
EXPLAIN LINEAGE SELECT a FROM t
CHECK INCREMENTAL delays.by_carrier
SHOW PIPELINES
SHOW MATERIALIZED VIEWS IN app LIKE '%x'
SHOW CREATE PIPELINE delays
SHOW CREATE MATERIALIZED VIEW app.mv
SHOW search_path
SHOW levada.setting
SHOW ALL
DESCRIBE app.orders
REFRESH MATERIALIZED VIEW mv
WAIT FOR mv
WAIT FOR app.mv UNTIL EPOCH 12
CHECKPOINT
VACUUM
VACUUM ANALYZE t, app.u
ANALYZE t
COPY t FROM STDIN
COPY app.t (a, "B") FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL 'null', QUOTE '''', ESCAPE '\', FORCE_NULL (a))
COPY t TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)
COPY (SELECT * FROM t) TO STDOUT (FORMAT binary)
COPY t FROM 'x.csv' (FORMAT csv, HEADER match, DEFAULT 'd')
COPY t TO 'x.parquet' (FORMAT parquet)
BEGIN
BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
COMMIT
COMMIT AND CHAIN
ROLLBACK
ROLLBACK TO SAVEPOINT s
SAVEPOINT s
RELEASE SAVEPOINT s
SET search_path TO 'app', 'public'
SET LOCAL statement_timeout TO '5s'
SET datestyle TO DEFAULT
SET TRANSACTION READ ONLY
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ
RESET search_path
RESET ALL
DISCARD ALL
DISCARD TEMP
PREPARE q (INT, TEXT) AS SELECT $1, $2
EXECUTE q (1, 'a')
EXECUTE q
DEALLOCATE q
DEALLOCATE ALL
DECLARE c CURSOR FOR SELECT * FROM t
DECLARE c BINARY NO SCROLL CURSOR WITH HOLD FOR SELECT 1
FETCH FORWARD 100 FROM c
MOVE BACKWARD ALL FROM c
FETCH ABSOLUTE -1 FROM "C"
CLOSE c
CLOSE ALL
LISTEN channel
UNLISTEN *
NOTIFY channel, 'payload'
"#;

fn statements() -> impl Iterator<Item = &'static str> {
    STATEMENTS.lines().filter(|line| !line.is_empty())
}

#[test]
fn what_is_printed_reads_back_as_the_same_statement() {
    for sql in statements() {
        let first = one(sql);
        let printed = first.to_string();
        assert_eq!(one(&printed), first, "{printed}");
    }
}

#[test]
fn canonical_text_is_printed_as_it_stands() {
    for sql in statements() {
        assert_eq!(one(sql).to_string(), sql);
    }
}

#[test]
fn spellings_of_one_statement_have_one_canonical_form() {
    let pairs = [
        ("create or replace view V as select 1", "CREATE OR REPLACE VIEW v AS SELECT 1"),
        (
            "CREATE SOURCE s FROM FILES 'a' FORMAT csv",
            "CREATE SOURCE s FROM FILES ('a') FORMAT CSV",
        ),
        (
            "CREATE SOURCE s (a int PRIMARY KEY) FROM FILES ('a') KEEP ALL FORMAT JSON START AT EARLIEST",
            "CREATE SOURCE s (a INT, PRIMARY KEY (a)) FROM FILES ('a') FORMAT JSON",
        ),
        (
            "CREATE MATERIALIZED VIEW m REFRESH CONTINUOUS INCREMENTAL ALLOW RECOMPUTE AS SELECT a FROM t EMIT CHANGES",
            "CREATE MATERIALIZED VIEW m AS SELECT a FROM t",
        ),
        (
            "CREATE PIPELINE p (s EPHEMERAL AS (SELECT 1));",
            "CREATE PIPELINE p (s AS (SELECT 1)) TRIGGER CONTINUOUS",
        ),
        ("explain analyze verbose select 1", "EXPLAIN (ANALYZE, VERBOSE) SELECT 1"),
        ("EXPLAIN LINEAGE delays.x", "EXPLAIN LINEAGE FOR delays.x"),
        (
            "START TRANSACTION READ WRITE ISOLATION LEVEL READ COMMITTED",
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE",
        ),
        ("END", "COMMIT"),
        ("ABORT WORK", "ROLLBACK"),
        ("ROLLBACK TO s", "ROLLBACK TO SAVEPOINT s"),
        ("RELEASE s", "RELEASE SAVEPOINT s"),
        ("SET TIME ZONE 'UTC'", "SET timezone TO 'UTC'"),
        ("SET TIME ZONE LOCAL", "SET timezone TO DEFAULT"),
        ("SET NAMES 'utf8'", "SET client_encoding TO 'utf8'"),
        ("SET DateStyle = ISO, mdy", "SET datestyle TO 'iso', 'mdy'"),
        ("SET extra_float_digits = -3", "SET extra_float_digits TO '-3'"),
        ("SET SESSION AUTHORIZATION DEFAULT", "SET session_authorization TO DEFAULT"),
        ("SET ROLE admin", "SET role TO 'admin'"),
        ("SHOW TIME ZONE", "SHOW timezone"),
        ("SHOW TRANSACTION ISOLATION LEVEL", "SHOW transaction_isolation"),
        (
            "COPY t FROM STDIN WITH CSV HEADER DELIMITER AS ';' NULL ''",
            "COPY t FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL '')",
        ),
        (
            "COPY t TO STDOUT CSV FORCE QUOTE a, b",
            "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (a, b))",
        ),
        ("COPY BINARY t FROM STDIN", "COPY t FROM STDIN (FORMAT binary)"),
        (
            "COPY t FROM STDIN WITH (FORMAT 'csv', HEADER off, ENCODING 'UTF-8')",
            "COPY t FROM STDIN (FORMAT csv)",
        ),
        ("COPY t FROM STDIN WITH (FREEZE on)", "COPY t FROM STDIN"),
        ("VACUUM (FULL, ANALYZE) t (a, b)", "VACUUM ANALYZE t"),
        ("SELECT - - a, - + 1, NOT NOT b", "SELECT -(-a), -(+1), NOT NOT b"),
        ("FETCH c", "FETCH FORWARD 1 FROM c"),
        ("FETCH 5 IN c", "FETCH FORWARD 5 FROM c"),
        ("FETCH PRIOR FROM c", "FETCH FORWARD -1 FROM c"),
        ("FETCH ALL c", "FETCH FORWARD ALL FROM c"),
        ("DEALLOCATE PREPARE q", "DEALLOCATE q"),
        ("UNLISTEN \"Ch\"", "UNLISTEN \"Ch\""),
        ("WAIT FOR mv UNTIL FRESH", "WAIT FOR mv"),
        ("DROP TABLE main.app.t RESTRICT", "DROP TABLE main.app.t"),
    ];
    for (sql, canonical) in pairs {
        assert_eq!(one(sql).to_string(), canonical, "{sql}");
    }
}

#[test]
fn names_fold_unless_they_are_quoted() {
    let sql = r#"DROP TABLE Orders, "Orders", "select", "a""b", App."T""#;
    assert_eq!(one(sql).to_string(), r#"DROP TABLE orders, "Orders", "select", "a""b", app."T""#);
}

#[test]
fn comments_and_blanks_are_in_no_statement() {
    let sql = "-- first\nSELECT 1 /* one */ ; ;; /* none */\n  COMMIT -- done\n;";
    let parsed = all(sql);
    let texts: Vec<&str> = parsed.iter().map(|parsed| parsed.text.as_str()).collect();
    assert_eq!(texts, ["SELECT 1", "COMMIT"]);
    assert!(all(" ; -- nothing\n ;").is_empty(), "no statement in blanks");
    assert!(all("").is_empty(), "no statement in nothing");
}

#[test]
fn semicolons_in_parentheses_and_strings_end_nothing() {
    let parsed = all("SELECT ';'; SELECT $$;$$; SELECT \";\" FROM t; SELECT E'\\';'");
    assert_eq!(parsed.len(), 4);
}
