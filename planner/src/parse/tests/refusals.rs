//! Constructs that are refused by name.

use super::fail;

#[test]
fn what_is_described_and_not_carried_out_is_refused_by_name() {
    let refusals = [
        ("CREATE SECRET x FROM ENV 'X'", "CREATE SECRET"),
        ("CREATE CONNECTION c TO POSTGRES (HOST 'x')", "CREATE CONNECTION"),
        ("CREATE OR REPLACE EXPECTATION e ON t CHECK (a > 0)", "CREATE EXPECTATION"),
        ("CREATE TABLES FROM SOURCE s FOR ALL TABLES", "CREATE TABLES FROM SOURCE"),
        ("CREATE TABLE t FROM SOURCE s (REFERENCE a.b)", "CREATE TABLE ... FROM SOURCE"),
        ("CREATE SOURCE s FROM CONNECTION c (TOPIC 't')", "CREATE SOURCE ... FROM CONNECTION"),
        ("CREATE SOURCE s WITH (connector = 'kafka')", "CREATE SOURCE ... WITH"),
        ("CREATE SOURCE s (a int METADATA FROM 'k') FROM FILES 'x'", "METADATA FROM"),
        ("CREATE SOURCE s (a int, WATERMARK FOR a AS a) FROM FILES 'x'", "WATERMARK"),
        ("CREATE SOURCE s FROM FILES 'x' FORMAT AVRO", "FORMAT AVRO"),
        ("CREATE SOURCE s FROM FILES 'x' FORMAT CSV ENVELOPE UPSERT", "ENVELOPE UPSERT"),
        ("CREATE SOURCE s FROM FILES 'x' (key SECRET k)", "SECRET"),
        ("CREATE SINK s FROM t INTO CONNECTION c (TABLE 'x')", "CREATE SINK ... INTO CONNECTION"),
        ("CREATE SINK s FROM (SELECT 1) INTO FILES 'x'", "a sink of a query"),
        ("CREATE SINK s FROM t INTO FILES 'x' DELIVERY AT LEAST ONCE", "DELIVERY AT LEAST ONCE"),
        ("CREATE MATERIALIZED VIEW m REFRESH EVERY '1m' AS SELECT 1", "REFRESH EVERY"),
        ("CREATE MATERIALIZED VIEW m NO WAIT AS SELECT 1", "NO WAIT"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 EMIT ON WINDOW CLOSE", "EMIT ON WINDOW CLOSE"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 WITH NO DATA", "WITH NO DATA"),
        ("CREATE TEMP VIEW v AS SELECT 1", "CREATE TEMP VIEW"),
        ("CREATE PIPELINE p (EXPECT e ON s CHECK (a > 0))", "EXPECT in a pipeline"),
        ("CREATE PIPELINE p (RUN r AS (CALL f()))", "RUN in a pipeline"),
        ("CREATE PIPELINE p (s AS (SELECT 1)) TRIGGER EVERY '1m'", "TRIGGER EVERY"),
        ("CREATE PIPELINE p (s AS (SELECT 1)) RETRY (ATTEMPTS 1)", "RETRY"),
        ("ALTER SOURCE s SEEK EARLIEST", "ALTER SOURCE ... SEEK"),
        ("ALTER PIPELINE p PAUSE", "ALTER PIPELINE"),
        ("DROP SECRET s", "DROP SECRET"),
        ("PLAN DROP TABLE t", "PLAN"),
        ("SUBSCRIBE TO t", "SUBSCRIBE"),
        ("COPY (SUBSCRIBE t) TO STDOUT", "COPY (SUBSCRIBE ...)"),
        ("COPY t FROM PROGRAM 'x'", "COPY ... PROGRAM"),
        ("RUN PIPELINE p", "RUN PIPELINE"),
        ("SHOW SECRETS", "SHOW SECRETS"),
        ("SHOW FRESHNESS t", "SHOW FRESHNESS"),
        ("SHOW CREATE CONNECTION c", "SHOW CREATE CONNECTION"),
        ("EXPLAIN WATERMARK FOR t", "EXPLAIN WATERMARK"),
        ("EXPLAIN (ANALYZE, BUFFERS) SELECT 1", "EXPLAIN option BUFFERS"),
        ("CHECK INCREMENTAL m SAMPLE 10", "CHECK INCREMENTAL of a part"),
        ("SELECT * FROM t FOR SYSTEM_TIME AS OF 1", "FOR SYSTEM_TIME AS OF"),
        ("SELECT * FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1 h')", "TUMBLE(TABLE ...)"),
        ("DO $$ BEGIN END $$", "DO"),
        (
            "CREATE VIEW v AS WITH x AS (SELECT 1) INSERT INTO t SELECT 1",
            "a query that changes rows",
        ),
    ];
    for (sql, construct) in refusals {
        let error = fail(sql);
        assert_eq!(error.to_string(), format!("{construct} is not supported yet"), "{sql}");
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
        assert!(error.position().is_some(), "{sql}");
    }
}

#[test]
fn words_of_ours_are_names_elsewhere() {
    for sql in [
        "SELECT pipeline, source, sink, files, emit, trigger FROM expectation AS plan",
        "CREATE TABLE pipeline (source int, sink int, incremental int, format text)",
        "CREATE VIEW profile AS SELECT 1",
        "DROP TABLE secret, connection, test",
        "CREATE PIPELINE pipeline (expect AS (SELECT 1), alert KEY (k) AS (SELECT 1 AS k))",
        "SELECT * FROM t emit",
    ] {
        super::one(sql);
    }
}
