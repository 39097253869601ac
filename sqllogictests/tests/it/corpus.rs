//! A corpus of scripts whose queries become views: the one of this tree, or the folder of `LEVADA_CORPUS`.

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use levada_sqllogictests::corpus;
use levada_sqllogictests::corpus::tally::Tally;
use levada_sqllogictests::setting;

const THREADS: usize = 2;

fn scripts(root: &Path) -> Vec<PathBuf> {
    let filter = setting::text("LEVADA_SLT").unwrap_or_default();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
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

fn play(path: &Path) -> Result<Tally, String> {
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = async { Box::pin(corpus::run(path, folder.path())).await };
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(running)));
    match played {
        Ok(Ok(tally)) => Ok(tally),
        Ok(Err(e)) => Err(format!("{}: {e:#}", path.display())),
        Err(_) => Err(format!("{}: panicked, see above", path.display())),
    }
}

#[test]
fn queries_of_the_corpus_are_maintained() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let root = setting::text("LEVADA_CORPUS").map_or(own, PathBuf::from);
    let scripts = scripts(&root);
    assert!(!scripts.is_empty(), "no script below {}", root.display());
    let queue = Mutex::new(VecDeque::from(scripts));
    let total = Mutex::new(Tally::default());
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().unwrap().pop_front() else { break };
                    match play(&path) {
                        Ok(tally) => total.lock().unwrap().add(tally),
                        Err(finding) => broken.lock().unwrap().push(finding),
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let mut findings = broken.into_inner().unwrap();
    findings.extend(total.wrong.iter().map(ToString::to_string));
    findings.extend(total.refusals.iter().map(ToString::to_string));
    eprintln!("{total}");
    assert!(findings.is_empty(), "{} findings\n\n{}", findings.len(), findings.join("\n\n"));
}
