//! Transactions: what is staged becomes one epoch at COMMIT, or nothing.
//!
//! A transaction reads one epoch, pinned by its first statement. What it writes is staged: names that it
//! created resolve, rows that it wrote are not read back (0A000, never a stale answer). A string of several
//! statements without BEGIN is an *implicit* transaction; there, a statement that reads what was staged
//! commits it first.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryReservation;
use levada_catalog::{Catalog, Change, ChangeSet, Object, ObjectId};
use levada_planner::delta_plan::DeltaPlan;
use levada_planner::statement::{Isolation, Statement, Transaction as Words, TransactionModes};
use levada_storage::delta::DeltaBatch;
use levada_storage::epoch::Epoch;

use super::{Outcome, Session};
use crate::error::{Error, Result};
use crate::snapshot::SnapshotSet;
use crate::transaction::{Commitment, Transaction};

/// A transaction in progress.
pub(super) struct Open {
    /// Whether the client did not ask for it.
    pub(super) implicit: bool,
    /// Whether a statement failed.
    pub(super) failed: bool,
    read_only: bool,
    /// When it began, in microseconds since 1970 UTC.
    started_at: i64,
    snapshot: Option<Arc<SnapshotSet>>,
    staged: Option<Stage>,
    savepoints: Vec<(String, Option<Stage>)>,
}

/// Changes on their way to an epoch.
#[derive(Clone)]
pub(super) struct Stage {
    /// The catalog as the changes make it.
    pub(super) catalog: Catalog,
    version: u64,
    changes: ChangeSet,
    views: Vec<(ObjectId, DeltaPlan)>,
    append: BTreeSet<ObjectId>,
    /// Views that get another query.
    revised: BTreeSet<ObjectId>,
    deltas: Vec<(u32, DeltaBatch)>,
    /// Memory that rows of `deltas` are counted in.
    memory: Vec<Arc<MemoryReservation>>,
}

impl Stage {
    fn new(snapshot: &SnapshotSet) -> Self {
        Self {
            catalog: snapshot.catalog.as_ref().clone(),
            version: snapshot.catalog.version(),
            changes: ChangeSet::default(),
            views: Vec::new(),
            append: BTreeSet::new(),
            revised: BTreeSet::new(),
            deltas: Vec::new(),
            memory: Vec::new(),
        }
    }

    /// Adds a new object.
    pub(super) fn create(&mut self, object: Object) {
        self.change(Change::Create(object));
    }

    /// Adds a change of the catalog.
    pub(super) fn change(&mut self, change: Change) {
        if let Change::Drop(id) = &change {
            self.views.retain(|(view, _)| view != id);
            self.deltas.retain(|(relation, _)| relation != id);
        }
        let one = ChangeSet { changes: vec![change] };
        self.catalog.apply(&one);
        self.changes.changes.extend(one.changes);
    }

    /// Adds the plan of a new materialized view.
    pub(super) fn plan(&mut self, id: ObjectId, plan: DeltaPlan) {
        if plan.nodes[plan.root].properties.insert_only {
            self.append.insert(id);
        }
        self.views.push((id, plan));
    }

    /// Adds the plan of a view that exists.
    pub(super) fn revise(&mut self, id: ObjectId, plan: DeltaPlan) {
        self.revised.insert(id);
        self.views.push((id, plan));
    }

    /// Puts a plan in the place of the one for the same view.
    pub(super) fn replan(&mut self, id: ObjectId, plan: DeltaPlan) {
        self.views.retain(|(view, _)| *view != id);
        self.append.remove(&id);
        if self.is_revised(id) {
            self.views.push((id, plan));
        } else {
            self.plan(id, plan);
        }
    }

    /// Whether the stage makes the object.
    pub(super) fn creates(&self, id: ObjectId) -> bool {
        self.changes.changes.iter().any(|c| matches!(c, Change::Create(o) if o.id == id))
    }

    /// Whether the view gets another query.
    pub(super) fn is_revised(&self, id: ObjectId) -> bool {
        self.revised.contains(&id)
    }

    /// Adds rows of a table.
    pub(super) fn write(&mut self, relation: u32, delta: DeltaBatch) {
        if !delta.is_empty() {
            self.deltas.push((relation, delta));
        }
    }

    /// Whether a relation that this stage makes or changes is insert-only; [`None`] for others.
    pub(super) fn is_append(&self, id: ObjectId) -> Option<bool> {
        if self.is_revised(id) {
            return Some(false);
        }
        self.creates(id).then(|| {
            self.append.contains(&id)
                || self
                    .catalog
                    .get(id)
                    .is_some_and(|o| o.kind() == levada_catalog::ObjectKind::Source)
        })
    }

    /// Whether reading relation `id` would need what is staged.
    fn touches(&self, id: u32) -> bool {
        !self.changes.is_empty() || self.deltas.iter().any(|(relation, _)| *relation == id)
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.deltas.is_empty()
    }

    fn into_transaction(self, commitment: Arc<Commitment>) -> Transaction {
        Transaction {
            commitment,
            catalog_version: self.version,
            next_object_id: self.catalog.next_id(),
            catalog: self.changes,
            views: self.views,
            deltas: self.deltas,
        }
    }
}

impl Session {
    /// Makes the following statements one implicit transaction until [`Self::end_implicit`]; used for a
    /// simple query of several statements. No effect inside a transaction block.
    pub fn begin_implicit(&mut self) {
        if self.open.is_none() {
            self.open = Some(Open::new(true, self.inner.shared.clock.now_us()));
        }
    }

    /// Commits the implicit transaction, or rolls it back when a statement failed.
    ///
    /// # Errors
    /// When the commit is refused.
    pub async fn end_implicit(&mut self) -> Result<()> {
        if !self.open.as_ref().is_some_and(|open| open.implicit) {
            return Ok(());
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        match open.staged {
            Some(stage) if !open.failed => self.commit_stage(stage).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// When the transaction began: the block or string of statements, or the statement alone.
    pub(super) fn transaction_at(&self) -> i64 {
        self.open.as_ref().map_or(self.statement_at, |open| open.started_at)
    }

    /// The epoch that the next statement reads.
    pub(super) fn snapshot(&mut self) -> Arc<SnapshotSet> {
        let newest = self.inner.shared.snapshot();
        match &mut self.open {
            Some(open) if !open.implicit => Arc::clone(open.snapshot.get_or_insert(newest)),
            _ => newest,
        }
    }

    /// The catalog that names resolve in: the snapshot's, with what is staged.
    pub(super) fn catalog(&mut self) -> Arc<Catalog> {
        let staged = self.open.as_ref().and_then(|open| open.staged.as_ref());
        match staged {
            Some(stage) => Arc::new(stage.catalog.clone()),
            None => Arc::clone(&self.snapshot().catalog),
        }
    }

    /// The stage to add to: the transaction's, or a fresh one.
    pub(super) fn stage(&mut self) -> Result<Stage> {
        if self.settings.is_read_only() || self.open.as_ref().is_some_and(|o| o.read_only) {
            return Err(Error::statement("25006", "cannot write in a read-only transaction"));
        }
        let staged = self.open.as_mut().and_then(|open| open.staged.clone());
        Ok(match staged {
            Some(stage) => stage,
            None => Stage::new(&self.inner.shared.snapshot()),
        })
    }

    /// Keeps the stage for COMMIT, or commits it now when there is no transaction.
    pub(super) async fn put(&mut self, stage: Stage) -> Result<()> {
        match &mut self.open {
            Some(open) => {
                open.staged = Some(stage);
                Ok(())
            }
            None => self.commit_stage(stage).await.map(|_| ()),
        }
    }

    /// Keeps memory counted for as long as the rows of it wait for COMMIT.
    pub(super) fn hold(&mut self, memory: MemoryReservation) {
        if let Some(stage) = self.open.as_mut().and_then(|open| open.staged.as_mut()) {
            stage.memory.push(Arc::new(memory));
        }
    }

    async fn commit_stage(&mut self, stage: Stage) -> Result<Option<Epoch>> {
        if stage.is_empty() {
            return Ok(None);
        }
        let defines = !stage.changes.is_empty();
        let commitment = self.withdrawal.renew();
        let committed = self.inner.commit(stage.into_transaction(commitment)).await;
        // What is over can no longer be taken for running.
        self.withdrawal.renew();
        let epoch = committed?;
        if defines {
            self.inner.reconcile();
        }
        Ok(Some(epoch))
    }

    /// Makes sure that reading `relations` needs nothing staged.
    pub(super) async fn settle_reads(&mut self, relations: &[u32]) -> Result<()> {
        let touched = |open: &Open| {
            let stage = open.staged.as_ref();
            stage.is_some_and(|s| relations.iter().any(|id| s.touches(*id)))
        };
        let Some(open) = self.open.as_mut().filter(|open| touched(open)) else { return Ok(()) };
        if !open.implicit {
            return Err(Error::statement(
                "0A000",
                "reading what this transaction has written is not supported yet",
            )
            .with_hint("Commit first."));
        }
        let staged = open.staged.take();
        match staged {
            Some(stage) => self.commit_stage(stage).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// A failed transaction answers nothing but its end.
    pub(super) fn refuse_if_failed(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(
            statement,
            Statement::Transaction(
                Words::Commit { .. } | Words::Rollback { .. } | Words::RollbackTo(_)
            )
        );
        if ends || !self.open.as_ref().is_some_and(|open| open.failed) {
            return Ok(());
        }
        Err(Error::statement(
            "25P02",
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints.
    pub(super) async fn transaction(&mut self, words: &Words) -> Result<Outcome> {
        let done = |tag: &str| Ok(Outcome::Done(tag.to_owned()));
        match words {
            Words::Begin(modes) => {
                self.begin(*modes)?;
                done("BEGIN")
            }
            Words::Commit { chain } => {
                let tag = self.commit_open().await?;
                if *chain {
                    self.open = Some(Open::new(false, self.statement_at));
                }
                done(tag)
            }
            Words::Rollback { chain } => {
                if self.open.take().is_none_or(|open| open.implicit) {
                    self.warn("25P01", "there is no transaction in progress");
                }
                self.settings.end_local();
                if *chain {
                    self.open = Some(Open::new(false, self.statement_at));
                }
                done("ROLLBACK")
            }
            Words::Savepoint(name) => {
                let open = self.block("SAVEPOINT")?;
                let mark = open.staged.clone();
                open.savepoints.push((name.clone(), mark));
                done("SAVEPOINT")
            }
            Words::Release(name) => {
                let at = self.find_savepoint("RELEASE SAVEPOINT", name)?;
                self.block("RELEASE SAVEPOINT")?.savepoints.truncate(at);
                done("RELEASE")
            }
            Words::RollbackTo(name) => {
                let at = self.find_savepoint("ROLLBACK TO SAVEPOINT", name)?;
                let open = self.block("ROLLBACK TO SAVEPOINT")?;
                open.staged.clone_from(&open.savepoints[at].1);
                open.savepoints.truncate(at + 1);
                open.failed = false;
                done("ROLLBACK")
            }
        }
    }

    fn begin(&mut self, modes: TransactionModes) -> Result<()> {
        if modes.isolation == Some(Isolation::Serializable)
            && modes.access != Some(levada_planner::statement::Access::ReadOnly)
        {
            self.warn("01000", "serializable is treated as snapshot isolation");
        }
        match &mut self.open {
            Some(open) if !open.implicit => {
                self.warn("25001", "there is already a transaction in progress");
                Ok(())
            }
            open => {
                // What the string staged before BEGIN belongs to the block from here on.
                let staged = open.take().and_then(|open| open.staged);
                let mut fresh = Open::new(false, self.statement_at);
                fresh.staged = staged;
                fresh.read_only = modes.access == Some(levada_planner::statement::Access::ReadOnly);
                *open = Some(fresh);
                Ok(())
            }
        }
    }

    async fn commit_open(&mut self) -> Result<&'static str> {
        self.settings.end_local();
        let Some(open) = self.open.take() else {
            self.warn("25P01", "there is no transaction in progress");
            return Ok("COMMIT");
        };
        if open.failed {
            return Ok("ROLLBACK");
        }
        if let Some(stage) = open.staged {
            self.commit_stage(stage).await?;
        }
        Ok("COMMIT")
    }

    fn block(&mut self, statement: &str) -> Result<&mut Open> {
        self.open.as_mut().filter(|open| !open.implicit).ok_or_else(|| {
            let message = format!("{statement} can only be used in transaction blocks");
            Error::statement("25P01", message)
        })
    }

    fn find_savepoint(&mut self, statement: &str, name: &str) -> Result<usize> {
        let open = self.block(statement)?;
        open.savepoints.iter().rposition(|(known, _)| known == name).ok_or_else(|| {
            Error::statement("3B001", format!("savepoint \"{name}\" does not exist"))
        })
    }

    fn warn(&mut self, sqlstate: &'static str, message: &str) {
        self.notice(sqlstate, message);
        if let Some(notice) = self.notices.last_mut() {
            notice.severity = "WARNING";
        }
    }
}

impl Open {
    fn new(implicit: bool, started_at: i64) -> Self {
        Self {
            implicit,
            started_at,
            failed: false,
            read_only: false,
            snapshot: None,
            staged: None,
            savepoints: Vec::new(),
        }
    }
}
