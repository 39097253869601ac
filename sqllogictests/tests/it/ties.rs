//! Windows whose order leaves equal rows open: the view decides, and `CHECK INCREMENTAL` decides alike.
//!
//! Scripts cannot show this: the same query run as a plain SELECT may put equal rows in another order.

use levada_sqllogictests::embedded::Embedded;

/// Views over joins that drop the columns by which equal rows could be told apart.
const VIEWS: [&str; 6] = [
    "SELECT a.k, b.s, lag(b.s) OVER (PARTITION BY a.g ORDER BY a.k) AS p FROM t AS a JOIN t AS b ON a.k = b.g",
    "SELECT b.s, row_number() OVER (ORDER BY a.g) AS n FROM t AS a JOIN t AS b ON a.k = b.g",
    "SELECT a.g, lead(a.s) OVER (ORDER BY a.g) AS n FROM t AS a LEFT JOIN t AS b ON a.k = b.g",
    "SELECT g, first_value(s) OVER (PARTITION BY g ORDER BY g) AS f, ntile(3) OVER (ORDER BY g) AS q FROM t",
    "SELECT g, sum(k) OVER (ORDER BY g ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS w FROM t",
    "SELECT x.g, x.n FROM (SELECT g, row_number() OVER (PARTITION BY g ORDER BY g) AS n FROM t) AS x
     JOIN t ON t.g = x.n",
];

#[tokio::test(flavor = "multi_thread")]
async fn views_and_their_checks_break_ties_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Embedded::open(folder.path()).await.unwrap();
    database.run("CREATE TABLE t (k int, g int, s text)").await.unwrap();
    for (i, query) in VIEWS.iter().enumerate() {
        database.run(&format!("CREATE MATERIALIZED VIEW v{i} AS {query}")).await.unwrap();
    }
    for change in [
        "INSERT INTO t SELECT n, n % 7, 's' || n % 3 FROM generate_series(0, 60) AS s (n)",
        "INSERT INTO t SELECT n % 10, n % 7, 't' || n FROM generate_series(0, 40) AS s (n)",
        "DELETE FROM t WHERE k % 5 = 1",
        "UPDATE t SET g = g + 1 WHERE k % 4 = 2",
    ] {
        database.run(change).await.unwrap();
        for (i, query) in VIEWS.iter().enumerate() {
            let check = database.run(&format!("CHECK INCREMENTAL v{i}")).await;
            assert!(check.is_ok(), "{change}\n{query}\n{check:?}");
        }
    }
    database.close().await.unwrap();
}
