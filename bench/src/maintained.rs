//! A view maintained in memory: its circuit, and its rows as the deltas leave them.
//!
//! The rows are kept as the database keeps them: appended where none is ever retracted, in an arrangement by
//! the whole row elsewhere. `Kept::Sum` keeps their count and check value only, for comparison with systems
//! that hand their output on.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;
use levada_engine::arrangement::log::ColumnLog;
use levada_engine::arrangement::{Arrangement, together};
use levada_engine::circuit::Circuit;
use levada_engine::operator::Tick;
use levada_engine::spill::MemoryLimit;
use levada_engine::workers::Workers;
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::clock::Clock;
use levada_storage::delta::Delta;
use levada_storage::epoch::Epoch;

use crate::answer::{Answer, Counted};
use crate::measure;

/// What becomes of the view's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// They are kept.
    Rows,
    /// Their number and check value are.
    Sum,
}

/// A running view.
pub(crate) struct Maintained {
    circuit: Circuit,
    schema: SchemaRef,
    kept: Kept,
    counted: Counted,
    workers: Workers,
    clock: Arc<dyn Clock>,
    /// How long each tick took.
    pub(crate) ticks: Vec<Duration>,
    /// Time spent on keeping the rows.
    keeping: Duration,
    /// Rows of all deltas of the view.
    pub(crate) deltas: u64,
}

enum Kept {
    Appended(ColumnLog),
    Arranged(Box<Arrangement>),
    Sum(Answer),
}

impl Maintained {
    /// The view of `plan`, empty; `schema` names its columns, `workers` share its large ticks.
    ///
    /// # Errors
    /// When the plan cannot run outside a database.
    pub(crate) fn new(
        plan: &DeltaPlan,
        schema: &SchemaRef,
        keep: Keep,
        counted: Counted,
        workers: &Workers,
    ) -> anyhow::Result<Self> {
        let (clock, workers) = (measure::clock(), workers.clone());
        let circuit = Circuit::new(plan, Arc::clone(&clock), &workers)?;
        let kept = match keep {
            Keep::Sum => Kept::Sum(Answer::default()),
            Keep::Rows if plan.nodes[plan.root].properties.insert_only => {
                Kept::Appended(ColumnLog::new(Arc::clone(schema)))
            }
            Keep::Rows => Kept::Arranged(Box::new(by_row(schema))),
        };
        let (schema, ticks, keeping) = (Arc::clone(schema), Vec::new(), Duration::ZERO);
        Ok(Self { circuit, schema, kept, counted, clock, ticks, keeping, deltas: 0, workers })
    }

    /// The same with a limit to the operators' state in memory.
    pub(crate) fn within(mut self, limit: MemoryLimit) -> Self {
        self.circuit = self.circuit.within(limit);
        self
    }

    /// Takes in the deltas of one tick.
    ///
    /// # Errors
    /// When an operator fails.
    pub(crate) fn tick(&mut self, relations: &BTreeMap<u32, Delta>) -> anyhow::Result<()> {
        let began = self.clock.monotonic();
        let epoch = Epoch(self.ticks.len() as u64 + 1);
        let delta = self.circuit.step(&Tick { epoch, now_us: 0 }, relations)?;
        self.deltas += delta.rows() as u64;
        let stepped = self.clock.monotonic();
        match &mut self.kept {
            Kept::Sum(answer) => *answer += Answer::of_delta(&delta, &self.schema, self.counted)?,
            Kept::Appended(log) => {
                refuse_errors(&delta)?;
                for batch in together(&delta.ok)? {
                    log.append_with(batch.columns.columns(), batch.len(), &self.workers)?;
                }
            }
            Kept::Arranged(rows) => {
                refuse_errors(&delta)?;
                rows.apply_with(&delta, &self.workers)?;
                rows.begin_tick();
                rows.compact_if_worn()?;
            }
        }
        let ended = self.clock.monotonic();
        self.keeping += ended - stepped;
        self.ticks.push(ended - began);
        Ok(())
    }

    /// The view's rows as an answer.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub(crate) fn answer(&self) -> anyhow::Result<Answer> {
        match &self.kept {
            Kept::Sum(answer) => Ok(*answer),
            _ => Answer::of(&self.rows()?, self.counted),
        }
    }

    /// The view's rows; none where only their sum is kept.
    ///
    /// # Errors
    /// When rows cannot be read.
    pub(crate) fn rows(&self) -> anyhow::Result<Vec<RecordBatch>> {
        let view = match &self.kept {
            Kept::Sum(_) => return Ok(Vec::new()),
            Kept::Appended(log) => log.view(),
            Kept::Arranged(rows) => rows.view(),
        };
        Ok(view.batches().collect::<Result<_, _>>()?)
    }

    /// Rows of state that all operators have touched.
    pub(crate) fn touched(&self) -> u64 {
        self.circuit.report().iter().map(|node| node.metrics.state_rows_touched).sum()
    }

    /// The time that the busiest operator worked.
    pub(crate) fn busiest(&self) -> Duration {
        self.circuit.report().iter().map(|node| node.busy).max().unwrap_or_default()
    }

    /// Bytes that the state of all operators takes.
    pub(crate) fn state_bytes(&self) -> u64 {
        self.circuit.report().iter().map(|node| node.metrics.state_bytes).sum()
    }

    /// The tick that `share` (0 to 1) of all ticks are not slower than, in milliseconds.
    pub(crate) fn tick_ms(&self, share: f64) -> f64 {
        let mut ticks = self.ticks.clone();
        ticks.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position in a list"
        )]
        let place = (ticks.len() as f64 * share) as usize;
        let tick = ticks.get(place.min(ticks.len().saturating_sub(1)));
        measure::rounded(tick.map_or(0.0, |tick| tick.as_secs_f64() * 1e3))
    }

    /// Prints what each operator did to standard error.
    ///
    /// # Errors
    /// When standard error is closed.
    pub(crate) fn print_profile(&self, title: &str) -> anyhow::Result<()> {
        let mut out = std::io::stderr().lock();
        writeln!(
            out,
            "-- {title}: ms, rows in, rows out, state rows, state MB, touched; operator"
        )?;
        for node in self.circuit.report() {
            let m = node.metrics;
            writeln!(
                out,
                "{:>9.1} {:>10} {:>10} {:>10} {:>8.1} {:>11}  {}",
                node.busy.as_secs_f64() * 1e3,
                m.rows_in,
                m.rows_out,
                m.state_rows,
                megabytes(m.state_bytes),
                m.state_rows_touched,
                shortened(&node.label),
            )?;
        }
        writeln!(out, "{:>9.1}  (rows of the view)", self.keeping.as_secs_f64() * 1e3)?;
        Ok(())
    }
}

fn refuse_errors(delta: &Delta) -> anyhow::Result<()> {
    match delta.err.first() {
        None => Ok(()),
        Some((error, _)) => anyhow::bail!("a row failed: {}", error.message),
    }
}

fn by_row(schema: &SchemaRef) -> Arrangement {
    Arrangement::new(Arc::clone(schema), (0..schema.fields().len()).collect())
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The start of a long label.
fn shortened(label: &str) -> String {
    const WIDTH: usize = 140;
    if label.chars().count() <= WIDTH {
        return label.to_owned();
    }
    format!("{}...", label.chars().take(WIDTH).collect::<String>())
}
