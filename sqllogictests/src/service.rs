//! A `levada serve` process of our own.
//!
//! The binary is built once per run of the tests (`LEVADA_BIN` names another one). The server listens on
//! free ports that it tells by its ready file; nothing here knows a port before. Only the child that was
//! started is ever killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::setting;

/// The binary under test, built when first asked for.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> Result<PathBuf> {
    static BINARY: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(|| build().map_err(|e| format!("{e:#}"))).clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(path) = setting::text("LEVADA_BIN") {
        ensure!(Path::new(&path).is_file(), "LEVADA_BIN names no file: {path}");
        return Ok(path.into());
    }
    // <target>/<profile>/deps/it-0123 -> <target>/<profile>/levada
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("a test binary lies in deps/")?;
    let binary = profile.join("levada");
    ensure!(binary.is_file(), "{} is missing: test the whole workspace", binary.display());
    Ok(binary)
}

/// A running server.
pub struct Service {
    child: Child,
    port: u16,
}

impl Service {
    /// Starts a server on a data directory and waits until it accepts connections. Its messages go to
    /// `server.log` beside the directory.
    ///
    /// # Errors
    /// When it ends or is not ready within 30 seconds.
    pub async fn start(data: &Path) -> Result<Self> {
        let folder = data.parent().context("a data directory has a parent")?;
        let ready = folder.join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("server.log"))?;
        let mut child = Command::new(binary()?)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--pg-port", "0", "--http-port", "0", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("could not start the server")?;
        for _ in 0..3_000 {
            if let Some(port) = port(&ready) {
                return Ok(Self { child, port });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended with {status}: {}", log_tail(folder));
            }
            pause(Duration::from_millis(10)).await;
        }
        child.kill()?;
        child.wait()?;
        bail!("the server was not ready within 30 seconds: {}", log_tail(folder))
    }

    /// Its PostgreSQL port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection string for tokio-postgres.
    #[must_use]
    pub fn url(&self) -> String {
        format!("host=127.0.0.1 port={} user=admin dbname=main connect_timeout=10", self.port)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the orderly end.
    ///
    /// # Errors
    /// When it does not end within 30 seconds, or not with success.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "kill failed");
        for _ in 0..3_000 {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server stopped with {status}");
                return Ok(());
            }
            pause(Duration::from_millis(10)).await;
        }
        bail!("the server did not stop within 30 seconds")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already ended when `kill` or `stop` ran; otherwise a failing test must not leave a server.
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The port in the ready file, once it is complete.
fn port(ready: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(ready).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    value.get("pg_port")?.as_u64()?.try_into().ok()
}

fn log_tail(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Waits; the harness lives in real time.
#[expect(clippy::disallowed_methods, reason = "a real process is awaited in real time")]
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
