//! The four modes a script runs in against the engine in this process.
//!
//! | mode | what becomes of a statement that changes rows |
//! |---|---|
//! | `batch` | it runs as written |
//! | `rows` | each row it adds or takes away is an epoch |
//! | `random` | its change is cut into random epochs with retractions and noise that cancels out; threads share each |
//! | `crash` | like `rows` or `random`, and the database is dropped and reopened between epochs |
//!
//! In all but the first, a *reference* database runs every statement as written. The difference it makes
//! to a table is the change that the *subject* is given through `Session::apply`. So `INSERT`, `UPDATE`,
//! `DELETE`, defaults and transactions all come under one rule, and both databases must hold the same
//! rows whenever the script looks. The [oracle](crate::oracle) compares all views after every epoch.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use levada_engine::client::OpenOptions;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bag::{Bag, Change};
use crate::class::{Class, classify};
use crate::clock::SetClock;
use crate::embedded::{Embedded, SHARED};
use crate::epochs;
use crate::oracle::{Depth, Oracle};
use crate::target::{Answer, Failure, Target};

/// How a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As written.
    Batch,
    /// One row per epoch.
    Rows,
    /// Random epochs.
    Random,
    /// Crash and reopen between epochs.
    Crash,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Batch, Self::Rows, Self::Random, Self::Crash];

    /// Its name in `onlyif`, `skipif` and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Rows => "rows",
            Self::Random => "random",
            Self::Crash => "crash",
        }
    }
}

/// A table whose changes are handed to the subject.
struct Tracked {
    name: String,
    key: Vec<usize>,
    contents: Bag,
}

/// A script's target: one database, and a reference beside it unless the mode is `batch`.
pub struct Databases {
    mode: Mode,
    rng: StdRng,
    subject: Embedded,
    reference: Option<Embedded>,
    tables: Vec<Tracked>,
    oracle: Oracle,
    as_written: bool,
}

impl Databases {
    /// Opens empty databases below `folder`, with the time of `clock`.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open(mode: Mode, seed: u64, folder: &Path, clock: SetClock) -> Result<Self> {
        let options = if mode == Mode::Random { SHARED } else { OpenOptions::default() };
        let subject = subfolder(folder, "subject")?;
        let subject = Embedded::open_at(&subject, options, clock.clone()).await?;
        let reference = match mode {
            Mode::Batch => None,
            _ => {
                let folder = subfolder(folder, "reference")?;
                Some(Embedded::open_at(&folder, OpenOptions::default(), clock).await?)
            }
        };
        Ok(Self {
            mode,
            rng: StdRng::seed_from_u64(seed),
            subject,
            reference,
            tables: Vec::new(),
            oracle: Oracle::default(),
            as_written: true,
        })
    }

    /// Runs on the subject alone and checks the views.
    async fn direct(&mut self, sql: &str, class: &Class) -> Result<Result<Answer, Failure>> {
        let answer = match self.subject.run(sql).await {
            Ok(answer) => answer,
            Err(failure) => return Ok(Err(failure)),
        };
        self.oracle.note(class, &mut self.subject).await;
        if *class != Class::Read && !self.subject.in_block() {
            self.oracle.check(&mut self.subject, Depth::Check).await?;
            if self.mode == Mode::Crash {
                self.perhaps_crash(0.5).await?;
            }
        }
        Ok(Ok(answer))
    }

    async fn mirrored(&mut self, sql: &str, class: &Class) -> Result<Result<Answer, Failure>> {
        let reference = self.reference.as_mut().context("every mode but batch has a reference")?;
        let was_in_block = reference.in_block();
        if !was_in_block {
            self.as_written = match self.mode {
                Mode::Batch => true,
                Mode::Rows => false,
                Mode::Random => self.rng.random_bool(0.2),
                Mode::Crash => self.rng.random_bool(0.5),
            };
            // How rows came is of little interest to a view that is made later.
            self.as_written |= self.oracle.is_empty() && self.rng.random_bool(0.8);
            // `Session::apply` takes plain names.
            self.as_written |= self.tables.iter().any(|t| t.name.contains('"'));
        }
        if *class == Class::Read && !was_in_block {
            return self.direct(sql, class).await;
        }
        let answer = reference.run(sql).await;
        let in_block = was_in_block || reference.in_block();
        let given_as_change = in_block || *class == Class::Rows;
        if self.as_written || !given_as_change || (answer.is_err() && !in_block) {
            let own = self.direct(sql, class).await?;
            if own.is_ok() != answer.is_ok() {
                bail!("as written it gives {answer:?}, on the subject {own:?}");
            }
            self.track(class).await?;
            if given_as_change {
                self.synchronise(true).await?;
            }
            return Ok(own);
        }
        self.track(class).await?;
        self.synchronise(false).await?;
        Ok(answer)
    }

    /// Keeps the list of tables.
    async fn track(&mut self, class: &Class) -> Result<()> {
        let Some(reference) = self.reference.as_mut() else { return Ok(()) };
        if let Class::CreateTable(table) = class
            && let Ok((schema, _)) = reference.rows(&format!("SELECT * FROM {}", table.name)).await
        {
            let name = match reference.value("SELECT current_schema()").await {
                Some(schema) if !table.name.contains('.') => format!("{schema}.{}", table.name),
                _ => table.name.clone(),
            };
            self.tables.retain(|t| t.name != name);
            let key = (0..schema.fields().len())
                .filter(|i| table.key.contains(schema.field(*i).name()))
                .collect();
            // A table made by a query has rows on both sides already.
            let (_, batches) = self
                .subject
                .rows(&format!("SELECT * FROM {}", table.name))
                .await
                .unwrap_or_else(|_| (SchemaRef::clone(&schema), Vec::new()));
            let contents = Bag::of(schema, &batches)?;
            self.tables.push(Tracked { name, key, contents });
        }
        if *class == Class::Drop {
            let mut kept = Vec::new();
            for table in std::mem::take(&mut self.tables) {
                let select = format!("SELECT * FROM {}", table.name);
                if reference.rows(&select).await.is_ok() {
                    kept.push(table);
                }
            }
            self.tables = kept;
        }
        Ok(())
    }

    /// Brings the subject's tables to the reference's contents, unless they are there already.
    async fn synchronise(&mut self, there_already: bool) -> Result<()> {
        for at in 0..self.tables.len() {
            let Some(reference) = self.reference.as_mut() else { return Ok(()) };
            if reference.in_block() {
                return Ok(());
            }
            let select = format!("SELECT * FROM {}", self.tables[at].name);
            let (schema, batches) = reference.rows(&select).await?;
            let after = Bag::of(schema, &batches)?;
            let changes = after.minus(&self.tables[at].contents);
            if changes.is_empty() {
                continue;
            }
            if !there_already {
                self.give(at, &changes).await.with_context(|| {
                    format!("while {} took {} changes", self.tables[at].name, changes.len())
                })?;
            }
            let (schema, batches) = self.subject.rows(&select).await?;
            let difference = Bag::of(schema, &batches)?.minus(&after);
            ensure!(
                difference.is_empty(),
                "table {} does not hold what it was given:\n{}",
                self.tables[at].name,
                after.describe(&difference).join("\n")
            );
            self.tables[at].contents = after;
        }
        self.oracle.check(&mut self.subject, Depth::Check).await
    }

    /// Commits the changes of a table epoch by epoch.
    async fn give(&mut self, at: usize, changes: &[Change]) -> Result<()> {
        let table = &self.tables[at];
        let single = match self.mode {
            Mode::Batch | Mode::Rows => true,
            Mode::Random => false,
            Mode::Crash => self.rng.random(),
        };
        let epochs = if single {
            epochs::one_row_each(changes)
        } else {
            epochs::random(changes, &table.contents, &table.key, &mut self.rng)?
        };
        let name = table.name.clone();
        let count = epochs.len();
        for (i, epoch) in epochs.into_iter().enumerate() {
            let contents = &self.tables[at].contents;
            let delta = contents.delta(&epoch)?;
            let place = || {
                let rows = contents.describe(&epoch).join("\n");
                format!("in epoch {} of {count}, {name} given:\n{rows}", i + 1)
            };
            self.subject.apply(&name, vec![delta]).await.with_context(place)?;
            self.oracle.check(&mut self.subject, Depth::Compare).await.with_context(place)?;
            if self.mode == Mode::Crash {
                self.perhaps_crash(0.4)
                    .await
                    .with_context(|| format!("after epoch {} of {count} of {name}", i + 1))?;
            }
        }
        Ok(())
    }

    async fn perhaps_crash(&mut self, probability: f64) -> Result<()> {
        if !self.rng.random_bool(probability) {
            return Ok(());
        }
        if self.rng.random_bool(0.3) {
            self.subject.run("CHECKPOINT").await?;
        }
        self.subject.crash().await?;
        self.oracle.check(&mut self.subject, Depth::Compare).await.context("after a crash")
    }
}

fn subfolder(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(path)
}

#[async_trait(?Send)]
impl Target for Databases {
    fn labels(&self) -> Vec<&'static str> {
        vec!["levada", self.mode.name()]
    }

    fn folders(&self) -> Vec<&Path> {
        let reference = self.reference.iter().map(Embedded::folder);
        std::iter::once(self.subject.folder()).chain(reference).collect()
    }

    async fn run(&mut self, sql: &str) -> Result<Result<Answer, Failure>> {
        let class = classify(sql);
        if self.reference.is_some() {
            self.mirrored(sql, &class).await
        } else {
            self.direct(sql, &class).await
        }
    }

    async fn advance(&mut self, micros: i64) -> Result<()> {
        self.subject.clock().advance(micros);
        self.subject.keep_time().await?;
        if let Some(reference) = &mut self.reference {
            reference.keep_time().await?;
        }
        self.oracle
            .check(&mut self.subject, Depth::Check)
            .await
            .context("after the clock moved")?;
        if self.mode == Mode::Crash {
            self.perhaps_crash(0.5).await?;
        }
        Ok(())
    }

    async fn reopen(&mut self) -> Result<()> {
        if let Some(reference) = &mut self.reference {
            reference.reopen().await?;
        }
        self.subject.reopen().await?;
        self.oracle.check(&mut self.subject, Depth::Check).await.context("after opening again")
    }

    async fn close(&mut self) -> Result<()> {
        self.oracle.check(&mut self.subject, Depth::Check).await?;
        if let Some(reference) = &mut self.reference {
            reference.close().await?;
        }
        self.subject.close().await
    }
}
