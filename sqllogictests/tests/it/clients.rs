//! Real clients against a spawned server: psql, psycopg with `SQLAlchemy`, pgjdbc, DuckDB on the files.
//!
//! Python packages are installed into a virtual environment in the target folder. A client that cannot be
//! had is reported with its reason; where `CI` is `true` that fails the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use levada_sqllogictests::service::Service;
use levada_sqllogictests::setting;
use levada_sqllogictests::text;

/// Runs a command and returns its standard output.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|e| format!("{shown}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{shown}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Reports a client that cannot be had.
fn absent(client: &str, reason: &str) {
    assert!(setting::text("CI").as_deref() != Some("true"), "{client} cannot be had: {reason}");
    eprintln!("left out: {client} cannot be had: {reason}");
}

/// The Python of a virtual environment with psycopg, `SQLAlchemy` and DuckDB.
fn python() -> Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(install).clone()
}

fn install() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-venv");
    let python = folder.join("bin/python");
    if !python.exists() {
        output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let import = ["-c", "import psycopg, sqlalchemy, duckdb"];
    if output(Command::new(&python).args(import)).is_err() {
        let packages = ["psycopg[binary]==3.2.*", "sqlalchemy==2.0.*", "duckdb>=1.1"];
        output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    }
    Ok(python)
}

fn with_server<T>(run: impl AsyncFnOnce(&Path, Service) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = Service::start(&folder.path().join("data")).await.unwrap();
        run(folder.path(), service).await
    })
}

fn psql(port: u16, sql: &str) -> Result<String, String> {
    let mut command = Command::new("psql");
    command.args(["-X", "-h", "127.0.0.1", "-U", "admin", "-v", "ON_ERROR_STOP=1", "-p"]);
    output(command.arg(port.to_string()).args(["-c", sql, "main"]))
}

#[test]
fn psql_describes_and_runs() {
    if let Err(reason) = output(Command::new("psql").arg("--version")) {
        absent("psql", &reason);
        return;
    }
    with_server(async |_, service| {
        let port = service.port();
        for sql in [
            "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, x double precision)",
            "INSERT INTO t VALUES (1, 'a', 0.5), (2, 'b', NULL)",
            "CREATE VIEW p AS SELECT id FROM t",
            "CREATE MATERIALIZED VIEW v AS SELECT name, count(*) AS n FROM t GROUP BY name",
        ] {
            psql(port, sql).unwrap();
        }
        let select = psql(port, "SELECT id, name, x FROM t ORDER BY id").unwrap();
        let table =
            " id | name |  x  \n----+------+-----\n  1 | a    | 0.5\n  2 | b    |    \n(2 rows)\n";
        assert_eq!(select.trim_end(), table.trim_end());
        let list = psql(port, "\\d").unwrap();
        for line in
            ["public | p    | view", "public | t    | table", "public | v    | materialized view"]
        {
            assert!(list.contains(line), "{list}");
        }
        let tables = psql(port, "\\dt").unwrap();
        assert!(tables.contains("public | t ") && !tables.contains("| v "), "{tables}");
        assert!(psql(port, "\\dm").unwrap().contains("public | v "), "\\dm lists the view");
        let columns = psql(port, "\\d t").unwrap();
        for part in
            ["id     | integer", "name   | text", "x      | double precision", "not null", "t_pkey"]
        {
            assert!(columns.contains(part), "{part} is not in\n{columns}");
        }
        assert!(psql(port, "\\d v").unwrap().contains("n      | bigint"), "\\d of a view");
        let error = psql(port, "SELECT nope FROM t").unwrap_err();
        assert!(error.contains("column \"nope\" does not exist") && error.contains('^'), "{error}");
        service.stop().await.unwrap();
    });
}

#[test]
fn sqlalchemy_connects_and_reflects() {
    match python() {
        Err(reason) => absent("SQLAlchemy", &reason),
        Ok(python) => with_server(async |_, service| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/sqlalchemy_check.py");
            let mut command = Command::new(python);
            output(command.arg(script).arg(service.port().to_string())).unwrap();
            service.stop().await.unwrap();
        }),
    }
}

/// pgjdbc where Debian's `libpostgresql-jdbc-java` puts it, or where `LEVADA_PGJDBC` says.
#[test]
fn jdbc_connects_and_reflects() {
    let jar = setting::text("LEVADA_PGJDBC")
        .unwrap_or_else(|| "/usr/share/java/postgresql.jar".to_owned());
    if !Path::new(&jar).exists() {
        return absent("pgjdbc", &format!("{jar} is missing (package libpostgresql-jdbc-java)"));
    }
    if let Err(reason) = output(Command::new("javac").arg("-version")) {
        return absent("a JDK", &reason);
    }
    with_server(async |_, service| {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/Jdbc.java");
        let mut command = Command::new("java");
        command.arg("-cp").arg(&jar).arg(program).arg(service.port().to_string());
        output(&mut command).unwrap();
        service.stop().await.unwrap();
    });
}

/// Rows by psql, unaligned and sorted.
fn rows(port: u16, sql: &str) -> Vec<String> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-A", "-t", "-F", " ", "-P", "null=NULL", "-h", "127.0.0.1"]);
    command.args(["-U", "admin", "-p"]).arg(port.to_string()).args(["-c", sql, "main"]);
    let mut rows: Vec<String> = output(&mut command).unwrap().lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

/// The same rows by DuckDB, read from files.
fn duckdb(python: &Path, sql: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/duckdb_check.py");
    let json = output(Command::new(python).arg(script).arg(sql)).unwrap();
    let values: Vec<Vec<Option<String>>> = serde_json::from_str(&json).unwrap();
    let mut rows: Vec<String> = values.iter().map(|row| text::line(row)).collect();
    rows.sort();
    rows
}

/// After an orderly stop the view, the sink and the lineage are Parquet that another program reads.
#[test]
fn duckdb_reads_what_the_server_left() {
    let python = match python() {
        Err(reason) => return absent("DuckDB", &reason),
        Ok(python) => python,
    };
    with_server(async |folder, service| {
        let port = service.port();
        let lake = folder.join("lake");
        let sink =
            format!("CREATE SINK lake FROM v INTO FILES '{}' FORMAT PARQUET", lake.display());
        for sql in [
            "CREATE TABLE t (g text, x int, d date)",
            "CREATE MATERIALIZED VIEW v AS \
             SELECT g, count(*) AS n, sum(x) AS s, max(d) AS last FROM t GROUP BY g",
            &sink,
            "INSERT INTO t VALUES ('a', 1, '2024-01-01'), ('a', 2, NULL), (NULL, 3, '2024-02-29')",
            "INSERT INTO t SELECT 'g' || n, n, NULL FROM generate_series(1, 1000) AS s (n)",
            "DELETE FROM t WHERE x > 900",
            "UPDATE t SET x = x + 1 WHERE g = 'a'",
        ] {
            psql(port, sql).unwrap();
        }
        let view = rows(port, "SELECT g, n, s, last FROM v");
        assert_eq!(view.len(), 902);
        let lineage = rows(port, "SELECT * FROM sys.lineage");
        assert!(!lineage.is_empty(), "a view has lineage");
        service.stop().await.unwrap();
        let data = folder.join("data").join("data");
        let stored =
            format!("SELECT g, n, s, last FROM read_parquet('{}/*v-*/*.parquet')", data.display());
        assert_eq!(duckdb(&python, &stored), view);
        let sunk =
            format!("SELECT g, n, s, last FROM read_parquet('{}/*.parquet')", lake.display());
        assert_eq!(duckdb(&python, &sunk), view);
        let kept =
            format!("SELECT * FROM read_parquet('{}/sys.lineage-*/*.parquet')", data.display());
        assert_eq!(duckdb(&python, &kept), lineage);
    });
}
