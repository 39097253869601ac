//! How far a backfill is, and whether it is still wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use levada_catalog::{Change, ObjectKind};
use levada_storage::epoch::Epoch;

use crate::dataflow::Dataflow;
use crate::transaction::Transaction;

/// What a backfill is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It reads what was there.
    Fill,
    /// It reads what came since.
    CatchUp,
    /// It waits for the tick loop to take it in.
    Join,
}

/// Written by the backfill, read by anybody.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Qualified names of the views.
    pub(crate) views: Vec<String>,
    /// The epoch whose rows it reads.
    pub(crate) epoch: Epoch,
    /// When it began, in microseconds since 1970 UTC.
    pub(crate) began_us: i64,
    rows: AtomicU64,
    expected: AtomicU64,
    phase: AtomicU8,
    stopped: AtomicBool,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Fill, Self::CatchUp, Self::Join];

    /// The word that users see.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fill => "reading",
            Self::CatchUp => "catching up",
            Self::Join => "joining",
        }
    }
}

impl Progress {
    /// Of the views that `transaction` makes.
    pub(crate) fn of(flow: &Dataflow, transaction: &Transaction) -> Arc<Self> {
        let objects = transaction.catalog.changes.iter().filter_map(|change| match change {
            Change::Create(object) | Change::Replace(object)
                if object.kind() == ObjectKind::MaterializedView =>
            {
                Some(flow.catalog.qualified_name(object))
            }
            _ => None,
        });
        Arc::new(Self {
            views: objects.collect(),
            epoch: flow.epoch,
            began_us: flow.shared.clock.now_us(),
            rows: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Fill as u8),
            stopped: AtomicBool::new(false),
        })
    }

    /// Sets how many rows there are to read.
    pub(crate) fn expect(&self, rows: u64) {
        self.expected.store(rows, Ordering::Relaxed);
    }

    /// Counts rows that were read.
    pub(crate) fn read(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Rows read and rows to read.
    pub(crate) fn rows(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed))
    }

    /// Goes on to the next phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// What it is doing.
    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed)).min(Phase::ALL.len() - 1)]
    }

    /// It in one line: `filling "v": 120000 of 3000000 rows (4 %)`.
    pub(crate) fn line(&self) -> String {
        let views = self.views.join("\", \"");
        let (read, expected) = self.rows();
        match self.phase() {
            Phase::Fill => {
                let percent = read.saturating_mul(100).checked_div(expected).unwrap_or(100);
                format!("filling \"{views}\": {read} of {expected} rows ({percent} %)")
            }
            Phase::CatchUp | Phase::Join => {
                format!("filling \"{views}\": {}", self.phase().word())
            }
        }
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
