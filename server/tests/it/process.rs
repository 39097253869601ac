//! The binary: serving, psql against it, and SQL without a server.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

fn levada() -> Command {
    Command::new(env!("CARGO_BIN_EXE_levada"))
}

/// A served database in a directory of its own.
pub(crate) struct Served {
    child: Child,
    ready: serde_json::Value,
    _data: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(options: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut child = levada()
            .args(["serve", "--json", "--pg-port", "0", "--http-port", "0", "--data"])
            .arg(data.path().join("db"))
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the ready line");
        let ready = serde_json::from_str(&line).expect("JSON");
        Self { child, ready, _data: data }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self, name: &str) -> String {
        self.ready[name].to_string()
    }

    fn psql_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-h", "127.0.0.1", "-p", &self.port("pg_port"), "-U", "admin"])
            .args(arguments)
            .arg("main");
        command
    }

    fn psql(&self, arguments: &[&str]) -> Output {
        self.psql_command(arguments).output().expect("psql runs")
    }

    fn get(&self, path: &str) -> String {
        use std::io::Write;
        let address = format!("127.0.0.1:{}", self.port("http_port"));
        let mut stream = std::net::TcpStream::connect(address).expect("HTTP listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: levada\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The most memory the process has held, in MiB.
    fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a process of ours");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
        kib / 1024
    }

    fn signal(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success(), "the signal is sent");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn psql_connects_and_the_server_ends_on_a_signal() {
    let mut served = Served::start();
    let output = served.psql(&["-At", "-c", "select 1 as one, 'x'", "-c", "select 2"]);
    assert_eq!(stdout(&output), "1|x\n2\n", "{}", String::from_utf8_lossy(&output.stderr));
    let output = served.psql(&["-c", "select totl from (values (1)) as t(total)"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("LINE 1: select totl") && stderr.contains("       ^"), "{stderr}");
    assert!(served.get("/readyz").starts_with("HTTP/1.1 200"), "ready");
    assert!(served.get("/healthz").starts_with("HTTP/1.1 200"), "alive");
    served.signal();
    let status = served.child.wait().expect("it ends");
    assert!(status.success(), "a clean end: {status}");
}

#[test]
fn a_long_result_is_not_held_in_memory() {
    let served = Served::start();
    served.psql(&["-c", "select 1"]);
    let before = served.peak_mib();
    // About 200 MB of rows.
    let rows = "select value, repeat('x', 60) from generate_series(1, 3000000)";
    for sql in [format!("copy ({rows}) to stdout"), rows.to_owned()] {
        let mut psql = served
            .psql_command(&["-At", "--set", "FETCH_COUNT=0", "-c", &sql])
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let mut stdout = psql.stdout.take().expect("piped");
        let read = std::io::copy(&mut stdout, &mut std::io::sink()).expect("rows");
        assert!(psql.wait().expect("it ends").success(), "{sql}");
        assert!(read > 190_000_000, "all rows of {sql}: {read} bytes");
        let grown = served.peak_mib() - before;
        assert!(grown < 64, "{sql} took {grown} MiB");
    }
}

#[test]
fn sql_prints_tables_json_and_csv() {
    let sql = "select 1 as n, 'a,b' as s, null::int as x";
    let run = |flags: &[&str]| {
        let output = levada().arg("sql").args(flags).args(["-c", sql]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        stdout(&output)
    };
    assert_eq!(run(&[]), " n |  s  | x \n---+-----+---\n 1 | a,b |  \n(1 row)\n\n", "table");
    assert_eq!(run(&["--json"]), "{\"n\":1,\"s\":\"a,b\",\"x\":null}\n", "json");
    assert_eq!(run(&["--csv"]), "n,s,x\n1,\"a,b\",\n", "csv");
}

#[test]
fn run_stops_at_the_first_error_and_points_at_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("f.sql");
    std::fs::write(&file, "select 1;\nselect 2, nothing;\nselect 3;\n").expect("a file");
    let output = levada()
        .arg("run")
        .arg(&file)
        .arg("--data")
        .arg(directory.path().join("db"))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1), "exit code");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("f.sql:2:11: ERROR:"), "{stderr}");
    assert!(stderr.contains("LINE 2: select 2, nothing;\n                  ^"), "{stderr}");
    let shown = stdout(&output);
    assert!(shown.contains("1") && !shown.contains("3"), "stopped after the first: {shown}");
}

#[test]
fn the_version_is_printed() {
    let output = levada().arg("--version").output().expect("it runs");
    assert!(stdout(&output).starts_with("levada 0."), "{}", stdout(&output));
}

#[test]
fn a_network_address_is_refused() {
    let output = levada()
        .args(["serve", "--host", "0.0.0.0", "--pg-port", "0", "--http-port", "0"])
        .output()
        .expect("it runs");
    assert!(!output.status.success(), "refused");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("no role has a password"), "{stderr}");
}

#[test]
fn a_query_beyond_the_memory_limit_fails_alone() {
    let served = Served::start_with(&["--memory-limit", "8MB"]);
    let table = "CREATE TABLE t (a text); INSERT INTO t SELECT repeat('x', 100) FROM \
                 generate_series(1, 20000) AS g (i)";
    assert!(served.psql(&["-c", table]).status.success(), "rows that fit");
    let wide = "SELECT count(*) FROM (SELECT DISTINCT i::text || repeat('y', 500) AS k FROM \
                generate_series(1, 200000) AS g (i)) AS d";
    let refused = served.psql(&["-v", "VERBOSITY=verbose", "-c", wide]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("53200"), "more than the limit: {error}");
    let still = served.psql(&["-Atc", "SELECT count(*) FROM t"]);
    assert_eq!(String::from_utf8_lossy(&still.stdout).trim(), "20000", "the server goes on");
}

#[test]
fn a_copy_beyond_the_memory_limit_is_refused_as_a_whole() {
    use std::io::Write;
    let served = Served::start_with(&["--memory-limit", "8MB"]);
    assert!(served.psql(&["-c", "CREATE TABLE t (a text)"]).status.success(), "a table");
    let mut child = served
        .psql_command(&["-v", "VERBOSITY=verbose", "-c", "COPY t FROM STDIN"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql runs");
    let mut input = child.stdin.take().expect("piped");
    let line = format!("{}\n", "z".repeat(99));
    for _ in 0..300 {
        // psql stops reading when it is refused.
        if input.write_all(line.repeat(1000).as_bytes()).is_err() {
            break;
        }
    }
    drop(input);
    let refused = child.wait_with_output().expect("psql ends");
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("53200"), "30 MB of rows: {error}");
    let none = served.psql(&["-Atc", "SELECT count(*) FROM t"]);
    assert_eq!(String::from_utf8_lossy(&none.stdout).trim(), "0", "nothing of it");
    let fits = served.psql(&["-c", "INSERT INTO t VALUES ('a')"]);
    assert!(fits.status.success(), "the memory is given back");
}

#[test]
fn sql_at_a_terminal_says_what_it_waits_for() {
    use std::io::Write;
    let command = format!("{} sql", env!("CARGO_BIN_EXE_levada"));
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a terminal");
    let mut terminal = child.stdin.take().expect("piped");
    terminal.write_all(b"SELECT 40 + 2 AS sum;\n\x04").expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    drop(terminal);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Ctrl-D") && said.contains("psql"), "help: {said}");
    assert!(said.contains("42"), "and the answer: {said}");
}
