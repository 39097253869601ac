//! The scripts of `slt/`, in every mode.

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use levada_sqllogictests::clock::SetClock;
use levada_sqllogictests::modes::{Databases, Mode};
use levada_sqllogictests::runner::{self, Purpose};
use levada_sqllogictests::script::Script;
use levada_sqllogictests::setting;
use levada_sqllogictests::target::Target;
use levada_sqllogictests::wire::{Served, Server, Wire};

use crate::runtime::block_on;

const THREADS: usize = 2;
const TIME_LIMIT: Duration = Duration::from_secs(120);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

/// Scripts whose path holds `LEVADA_SLT`, in order.
fn scripts() -> Vec<PathBuf> {
    let filter = setting::text("LEVADA_SLT").unwrap_or_default();
    let mut found = Vec::new();
    let mut folders = vec![corpus()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "slt") {
                found.push(path);
            }
        }
    }
    found.retain(|p| p.to_string_lossy().contains(&filter));
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(corpus()).unwrap_or(path).display().to_string()
}

/// Runs `play` for every script on a few threads and reports all findings at once.
fn all(scripts: Vec<PathBuf>, play: impl Fn(&Path) -> Result<(), String> + Sync) {
    let total = scripts.len();
    assert!(total > 0, "no script matches LEVADA_SLT");
    let queue = Mutex::new(VecDeque::from(scripts));
    let findings = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().unwrap().pop_front() else { break };
                    // A panic of the engine is a finding of this script, not the end of the others.
                    let played = catch_unwind(AssertUnwindSafe(|| play(&path)));
                    let finding = match played {
                        Ok(Ok(())) => continue,
                        Ok(Err(finding)) => finding,
                        Err(_) => format!("{}: panicked, see above", name(&path)),
                    };
                    findings.lock().unwrap().push(finding);
                }
            });
        }
    });
    let mut findings = findings.into_inner().unwrap();
    findings.sort();
    assert!(
        findings.is_empty(),
        "{} of {total} scripts failed\n\n{}",
        findings.len(),
        findings.join("\n\n")
    );
}

fn purpose() -> Purpose {
    match setting::text("LEVADA_COMPLETE").as_deref() {
        Some("fill") => Purpose::Fill,
        Some(_) => Purpose::Complete,
        None => Purpose::Compare,
    }
}

fn load(path: &Path) -> Result<Script, String> {
    Script::parse(&fs::read_to_string(path).unwrap()).map_err(|e| format!("{}: {e}", name(path)))
}

async fn play(path: &Path, target: &mut dyn Target) -> Result<(), String> {
    let mut script = load(path)?;
    let purpose = purpose();
    let corpus = corpus();
    let running = runner::run(&mut script, target, &corpus, purpose);
    let Ok(result) = tokio::time::timeout(TIME_LIMIT, running).await else {
        return Err(format!("{}: did not end within {TIME_LIMIT:?}", name(path)));
    };
    if purpose != Purpose::Compare {
        fs::write(path, script.to_string()).unwrap();
    }
    result.map_err(|finding| format!("{}:{finding}", name(path)))
}

fn in_mode(mode: Mode) {
    let first = setting::number("LEVADA_SEED").unwrap_or(1);
    let count = match mode {
        Mode::Batch | Mode::Rows => 1,
        Mode::Random | Mode::Crash => setting::number("LEVADA_SEEDS").unwrap_or(1),
    };
    for seed in first..first + count {
        all(scripts(), |path| {
            let folder = tempfile::tempdir().unwrap();
            let played = block_on(async {
                let standing = load(path)?.moves_clock();
                let clock = if standing { SetClock::standing() } else { SetClock::going() };
                let mut target = Databases::open(mode, seed, folder.path(), clock)
                    .await
                    .map_err(|e| format!("{}: {e:#}", name(path)))?;
                Box::pin(play(path, &mut target)).await
            });
            played.map_err(|finding| {
                format!(
                    "mode {}, seed {seed}, {finding}\nagain: LEVADA_SLT={} LEVADA_SEED={seed} \
                     cargo test -p levada-sqllogictests --test it slt::{}",
                    mode.name(),
                    name(path),
                    mode.name()
                )
            })
        });
    }
}

#[test]
fn batch() {
    in_mode(Mode::Batch);
}

#[test]
fn rows() {
    in_mode(Mode::Rows);
}

#[test]
fn random() {
    in_mode(Mode::Random);
}

#[test]
fn crash() {
    in_mode(Mode::Crash);
}

/// Every script over the wire of a spawned server, each in a database directory of its own.
#[test]
fn wire() {
    all(scripts(), |path| {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let fail = |e: anyhow::Error| format!("over the wire, {}: {e:#}", name(path));
            let data = folder.path().join("data");
            let mut target = Served::start(&data).await.map_err(fail)?;
            Box::pin(play(path, &mut target)).await
        })
    });
}

/// Scripts of the dialect shared with PostgreSQL give there what they give here. Runs where
/// `LEVADA_POSTGRES` names a server whose role may create databases.
#[test]
fn postgres() {
    let Some(url) = setting::text("LEVADA_POSTGRES") else {
        eprintln!("left out: LEVADA_POSTGRES names no PostgreSQL server");
        return;
    };
    let shared = scripts().into_iter().filter(|path| {
        let text = fs::read_to_string(path).unwrap();
        !text.lines().take(20).any(|l| l.starts_with("# not postgres"))
    });
    all(shared.collect(), |path| {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let database = name(path).replace(['/', '.', '-'], "_");
            let fresh = async {
                let mut admin = Wire::connect(Server::Postgres, &url, folder.path()).await?;
                for sql in ["DROP DATABASE IF EXISTS ", "CREATE DATABASE "] {
                    admin.run(&format!("{sql}{database}")).await??;
                }
                let url = format!("{url} dbname={database}");
                Wire::connect(Server::Postgres, &url, folder.path()).await
            };
            let mut target = fresh.await.map_err(|e| format!("{}: {e:#}", name(path)))?;
            Box::pin(play(path, &mut target)).await
        })
    });
}

/// The plans stand in the scripts, and the scripts pass: so a plan without the word has no such node.
#[test]
fn tpch_and_nexmark_are_maintained_without_a_recompute() {
    let mut plans = 0;
    for topic in ["tpch", "nexmark"] {
        for entry in fs::read_dir(corpus().join(topic)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("Recompute"), "{} has a recompute", path.display());
            plans += text.matches("EXPLAIN INCREMENTAL").count();
        }
    }
    assert!(plans >= 22 + 23, "{plans} plans");
}
