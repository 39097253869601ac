//! Window functions over the rows that a change can alter.
//!
//! **Meaning**     f OVER (PARTITION BY p ORDER BY o frame): the input columns and one value per call.
//! **Delta rule**  per [stretch](stretch) of rows that see a change: the difference of its output before and
//!                 after.
//! **State**       all rows by partition and order ([`OrderedRows`]), and [marks](running) in long
//!                 partitions; no output is stored.
//! **Cost**        per input row O(log n); the rows of the stretches and those that they see are read twice.
//! **Time**        as the input.
//!
//! | calls that look at | a stretch is |
//! |---|---|
//! | so many rows around a row ([`call`]) | so many rows around each change |
//! | all rows before a row ([`running`]) | what lies behind the first change, read from the last mark before it |
//! | more than that | the partition |
//!
//! Rows that are there before and after are paired by their place in the order; a pair is emitted only
//! if a value changed. A row whose evaluation fails is an error row instead, and heals; where a call looks
//! at the whole partition, that is one error.

mod call;
mod running;
mod stretch;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::{concat, take_arrays};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::window::WindowExpr;
use levada_planner::delta_plan::{Reach, Window as WindowNode};
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use self::call::{Call, Values};
use self::running::{Carried, Carrying, Mark, Marks, Walk};
use self::stretch::{Sight, Stretch};
use crate::arrangement::equal::{Equality, retain_equal};
use crate::arrangement::ordered::{Changes, OrderedRows};
use crate::arrangement::spine::{Entries, side_by_side};
use crate::arrangement::{retain, to_u32};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::row_error::error_row;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Window {
    rows: OrderedRows,
    sight: Sight,
    calls: Vec<Arc<dyn WindowExpr>>,
    /// The same calls, where none looks at the whole partition.
    forms: Vec<Form>,
    marks: Marks,
    input: SchemaRef,
    schema: SchemaRef,
    read: u64,
    metrics: OperatorMetrics,
}

/// How a call is evaluated that does not look at the whole partition.
#[derive(Debug)]
enum Form {
    /// Over the rows around some.
    Near(Call),
    /// From row to row.
    Carrying(Box<Carrying>),
}

/// The values of a call on their way.
enum Column<'a> {
    /// Those of each stretch.
    Parts(Vec<ArrayRef>),
    /// Those that are carried from row to row, of all stretches.
    Carried(Box<Carried<'a>>),
}

/// The output of some stretches.
#[derive(Default)]
struct Output {
    /// Key of each row that was read.
    keys: Entries,
    /// The rows of each stretch.
    stretches: Vec<Range<usize>>,
    /// Rows without values.
    failed: Vec<bool>,
    /// Input columns, then values.
    columns: Vec<ArrayRef>,
    errors: Vec<ErrorRow>,
}

impl Output {
    /// The row has no values.
    fn fail(&mut self, row: usize, error: &DataFusionError) {
        self.errors.push(error_row(error, hash_of(self.keys.key(row))));
        self.failed[row] = true;
    }

    /// Whether the row is one of a stretch.
    fn is_asked(&self, row: usize) -> bool {
        let next = self.stretches.partition_point(|stretch| stretch.start <= row);
        next > 0 && self.stretches[next - 1].contains(&row)
    }
}

/// The rows read for a stretch.
struct Reading {
    /// All of them, by their place in the list of keys.
    all: Range<usize>,
    /// Those of the stretch.
    asked: Range<usize>,
    /// Where the rows of each key start.
    starts: Vec<usize>,
}

/// Rows of the output before and after.
#[derive(Default)]
struct Rows {
    old: Vec<u32>,
    new: Vec<u32>,
}

impl Window {
    /// The operator for `node` over an input of this schema.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(node: &WindowNode, input: &SchemaRef, output: SchemaRef) -> Result<Self> {
        let rows = OrderedRows::new(input, &node.partition, &node.order)?;
        let sight = Sight::new(node, &rows, input)?;
        let forms = node.calls.iter().filter_map(|call| match call.reach {
            Reach::Rows { .. } => Some(Form::Near(Call::new(call))),
            Reach::Before { running, peers } => {
                Some(Form::Carrying(Box::new(Carrying::new(call, running, peers))))
            }
            Reach::Partition => None,
        });
        Ok(Self {
            calls: node.calls.iter().map(|call| Arc::clone(&call.physical)).collect(),
            forms: forms.collect(),
            rows,
            sight,
            marks: Marks::default(),
            input: Arc::clone(input),
            schema: output,
            read: 0,
            metrics: OperatorMetrics::default(),
        })
    }

    /// The output of the stretches, as they are; fresh marks are set if it stays so.
    fn output(&mut self, changes: &Changes, stretches: &[Stretch], stays: bool) -> Result<Output> {
        let mut output = Output::default();
        let prefixes: Vec<&[u8]> = changes.partitions().map(|(_, prefix)| prefix).collect();
        let mut readings = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let prefix = prefixes[stretch.partition];
            let begin = match self.sight {
                Sight::Before(..) => {
                    let mark = self.marks.last_until(prefix, &stretch.first);
                    Some(mark.map_or(prefix, |mark| &mark.key))
                }
                Sight::Rows(_) | Sight::Partition => None,
            };
            let bounds = self.sight.bounds(self.rows.spine(), stretch, (prefix, begin));
            let reading = self.read(&bounds, &mut output.keys)?;
            output.stretches.push(reading.asked.clone());
            readings.push(reading);
        }
        let rows = output.keys.len();
        self.read += rows as u64;
        output.failed = vec![false; rows];
        let columns = self.rows.decode(output.keys.iter().map(|(key, _)| key))?;
        let batch = batch_of(&self.input, columns, rows)?;
        let mut values = self.columns(&batch)?;
        let mut marks = Vec::new();
        for (stretch, reading) in stretches.iter().zip(readings) {
            let prefix = prefixes[stretch.partition];
            marks.push(self.values(
                &batch,
                &reading,
                (prefix, stretch),
                &mut output,
                &mut values,
            )?);
        }
        output.columns = batch.columns().to_vec();
        for (call, column) in values.into_iter().enumerate() {
            let data_type = self.schema.field(self.input.fields().len() + call).data_type();
            let values = finished(column, data_type, &mut output)?;
            output.columns.push(values);
        }
        if stays {
            for (stretch, marks) in stretches.iter().zip(marks) {
                let prefix = prefixes[stretch.partition];
                self.marks.cut(prefix, &stretch.first);
                self.marks.extend(prefix, marks);
            }
        }
        Ok(output)
    }

    /// A column for the values of each call.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<Column<'_>>> {
        if matches!(self.sight, Sight::Partition) {
            return Ok(self.calls.iter().map(|_| Column::Parts(Vec::new())).collect());
        }
        let columns = self.forms.iter().map(|form| match form {
            Form::Near(_) => Ok(Column::Parts(Vec::new())),
            Form::Carrying(call) => Ok(Column::Carried(Box::new(Carried::new(call, batch)?))),
        });
        columns.collect()
    }

    /// Adds the keys between `bounds` to `keys`, once per row.
    fn read(&self, bounds: &stretch::Bounds, keys: &mut Entries) -> Result<Reading> {
        let spine = self.rows.spine();
        let start = keys.len();
        let (mut asked, mut starts) = (start..start, Vec::new());
        let mut at = bounds.from;
        while at < bounds.to
            && let Some((key, weight)) = spine.get(at)
        {
            starts.push(keys.len() - start);
            for _ in 0..weight {
                keys.push(key, 1)?;
            }
            if at < bounds.first {
                asked = keys.len()..keys.len();
            } else if at < bounds.end {
                asked.end = keys.len();
            }
            at = spine.behind(at);
        }
        Ok(Reading { all: start..keys.len(), asked, starts })
    }

    /// Adds the values of each call for the rows that were read; gives marks on the way.
    fn values(
        &self,
        batch: &RecordBatch,
        reading: &Reading,
        (prefix, stretch): (&[u8], &Stretch),
        output: &mut Output,
        columns: &mut [Column<'_>],
    ) -> Result<Vec<Mark>> {
        let rows = reading.all.len();
        if reading.asked.is_empty() {
            self.skip(rows, columns);
            return Ok(Vec::new());
        }
        let part = || batch.slice(reading.all.start, rows);
        if matches!(self.sight, Sight::Partition) {
            let part = part();
            let values = self.calls.iter().map(|call| call.evaluate(&part));
            match values.collect::<std::result::Result<Vec<_>, _>>() {
                Ok(values) => columns.iter_mut().zip(values).for_each(|(c, v)| c.push(v)),
                Err(error) => {
                    output.errors.push(error_row(&error, hash_of(prefix)));
                    output.failed[reading.all.clone()].fill(true);
                    self.skip(rows, columns);
                }
            }
            return Ok(Vec::new());
        }
        let first = reading.all.start;
        let asked = reading.asked.start - first..reading.asked.end - first;
        let marks = self.carry(reading, (prefix, stretch), &output.keys, columns)?;
        for (form, column) in self.forms.iter().zip(columns) {
            let Form::Near(call) = form else { continue };
            let Values { values, failed } = call.evaluate(&part(), asked.clone())?;
            column.push(values);
            for (row, error) in failed.into_iter().filter(|(row, _)| asked.contains(row)) {
                output.fail(first + row, &error);
            }
        }
        Ok(marks)
    }

    /// The next rows have no values.
    fn skip(&self, rows: usize, columns: &mut [Column<'_>]) {
        let fields = self.schema.fields().iter().skip(self.input.fields().len());
        for (column, field) in columns.iter_mut().zip(fields) {
            match column {
                Column::Carried(carried) => carried.skip(rows),
                Column::Parts(_) if rows == 0 => {}
                Column::Parts(parts) => parts.push(new_null_array(field.data_type(), rows)),
            }
        }
    }

    /// Takes the calls that carry from row to row over the rows that were read; gives marks on the way.
    fn carry(
        &self,
        reading: &Reading,
        (prefix, stretch): (&[u8], &Stretch),
        keys: &Entries,
        columns: &mut [Column<'_>],
    ) -> Result<Vec<Mark>> {
        let Sight::Before(_, peers) = &self.sight else { return Ok(Vec::new()) };
        let calls = columns.iter_mut().filter_map(|column| match column {
            Column::Carried(carried) => Some(carried.as_mut()),
            Column::Parts(_) => None,
        });
        let mut calls: Vec<&mut Carried<'_>> = calls.collect();
        let mark = self.marks.last_until(prefix, &stretch.first);
        let key = |row: usize| {
            let key = keys.key(row);
            match peers {
                Some(peers) => peers.of(&self.rows, key),
                None => Ok(key.into()),
            }
        };
        // The rows before a mark are there for calls that look at rows around.
        let before = mark.map_or(0, |mark| {
            let is_before = |row: &usize| keys.key(*row) < &*mark.key;
            reading.all.clone().take_while(is_before).count()
        });
        let begin = reading.all.start + before;
        let walk = Walk { rows: reading.all.clone(), begin, starts: &reading.starts };
        walk.carry(&mut calls, mark, &key)
    }

    /// The rows to retract and to insert.
    fn differing(&self, old: &Output, new: &Output) -> Result<Rows> {
        let (mut differing, mut paired) = (Rows::default(), Rows::default());
        for (was, is) in old.stretches.iter().zip(&new.stretches) {
            let lists = ((&old.keys, was.clone()), (&new.keys, is.clone()));
            for (a, b) in side_by_side(lists.0, lists.1) {
                let a = a.filter(|row| !old.failed[*row]);
                let b = b.filter(|row| !new.failed[*row]);
                let rows = if a.is_some() && b.is_some() { &mut paired } else { &mut differing };
                rows.old.extend(a.map(to_u32).transpose()?);
                rows.new.extend(b.map(to_u32).transpose()?);
            }
        }
        let mut same = vec![true; paired.old.len()];
        for value in self.input.fields().len()..self.schema.fields().len() {
            let (old, new) = (&old.columns[value], &new.columns[value]);
            let pairs = ((old, &paired.old[..]), (new, &paired.new[..]));
            retain_equal(pairs.0, pairs.1, Equality::Bits, &mut same)?;
        }
        let changed: Vec<bool> = same.iter().map(|s| !s).collect();
        retain(&mut paired.old, &changed);
        retain(&mut paired.new, &changed);
        differing.old.extend(paired.old);
        differing.new.extend(paired.new);
        Ok(differing)
    }

    fn batch(&self, output: &Output, rows: Vec<u32>) -> Result<RecordBatch> {
        let count = rows.len();
        let columns = take_arrays(&output.columns, &UInt32Array::from(rows), None)?;
        Ok(batch_of(&self.schema, columns, count)?)
    }
}

impl Column<'_> {
    /// Adds the values of a stretch.
    fn push(&mut self, values: ArrayRef) {
        if let Self::Parts(parts) = self {
            parts.push(values);
        }
    }
}

/// All values of a call; those that failed are noted in `output`.
fn finished(column: Column<'_>, data_type: &DataType, output: &mut Output) -> Result<ArrayRef> {
    match column {
        Column::Parts(parts) if parts.is_empty() => Ok(new_empty_array(data_type)),
        Column::Parts(parts) => {
            Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?)
        }
        Column::Carried(carried) => {
            let Values { values, failed } = carried.finish()?;
            for (row, error) in failed {
                if output.is_asked(row) {
                    output.fail(row, &error);
                }
            }
            Ok(values)
        }
    }
}

/// Identity of the errors of a partition or row.
fn hash_of(key: &[u8]) -> u64 {
    // FNV-1a: errors are few.
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Operator for Window {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        let changes = self.rows.changes(inputs[0])?;
        if changes.entries.is_empty() {
            return Ok(out);
        }
        let stretches = self.sight.stretches(&self.rows, &changes)?;
        let old = self.output(&changes, &stretches, false)?;
        self.rows.apply(&changes.entries)?;
        let new = self.output(&changes, &stretches, true)?;
        let rows = self.differing(&old, &new)?;
        out.err.extend(old.errors.iter().map(|error| (error.clone(), -1)));
        out.err.extend(new.errors.iter().map(|error| (error.clone(), 1)));
        out.push(DeltaBatch::retractions(self.batch(&old, rows.old)?));
        out.push(DeltaBatch::inserts(self.batch(&new, rows.new)?));
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.rows.freeze(0, full, out)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        self.marks.clear();
        self.rows.restore(runs)
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.rows.spill(space, want)
    }

    fn metrics(&self) -> OperatorMetrics {
        let metrics = self.rows.metrics(self.metrics);
        OperatorMetrics {
            state_rows_touched: metrics.state_rows_touched + self.read,
            state_bytes: metrics.state_bytes + self.marks.bytes(),
            ..metrics
        }
    }
}
