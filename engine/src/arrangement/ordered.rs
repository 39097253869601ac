//! Ordered rows: bags of rows by partition and order, for operators that ask for neighbours.
//!
//! ```text
//! row  --row format-->  partition columns ++ order columns ++ all others     in a Spine
//! ```
//! So the rows of a partition are neighbours, in order, and ties are broken by all columns: there is one
//! order. Rows come back from the bytes; nothing else is stored. State leaves as Z-set runs of columns,
//! since the bytes are no stable format.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use levada_planner::delta_plan::SortKey;
use levada_storage::delta::Delta;

use crate::arrangement::project;
use crate::arrangement::run::{RUN_ROWS, SLACK};
use crate::arrangement::spine::{Entries, Spine};
use crate::error::{Error, Result};
use crate::operator::{OperatorMetrics, RunSink, StateRun};
use crate::spill::SpillSpace;

/// An ordered bag of rows.
#[derive(Debug)]
pub struct OrderedRows {
    /// The columns of the input in the order of the key.
    columns: Vec<usize>,
    /// Where in the key each column of the input is.
    places: Vec<usize>,
    rows: RowConverter,
    /// None when there is one partition.
    partitions: Option<RowConverter>,
    partition: Vec<usize>,
    spine: Spine,
    /// What changed since the last run.
    changed: Entries,
    /// Whether the next run replaces all.
    replace: bool,
    run_rows: u64,
    run_schema: SchemaRef,
}

/// What the keys of rows begin with that are equal in some columns.
#[derive(Debug)]
pub struct Prefixes {
    columns: Vec<usize>,
    /// None when there are no columns.
    converter: Option<RowConverter>,
}

impl Prefixes {
    /// What the key of a row of `rows` begins with.
    ///
    /// # Errors
    /// When the bytes are none of that bag.
    pub fn of(&self, rows: &OrderedRows, key: &[u8]) -> Result<Box<[u8]>> {
        let Some(converter) = &self.converter else { return Ok(Box::default()) };
        let columns = project(&rows.decode([key])?, &self.columns);
        let prefix = converter.convert_columns(&columns)?;
        Ok(prefix.row(0).data().into())
    }
}

/// Changes in order, with the partitions they fall into.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changes: ascending, different, no zeros.
    pub entries: Entries,
    /// Per partition the end of its changes and of its prefix of their keys.
    partitions: Vec<(usize, usize)>,
}

impl Changes {
    /// The changes of each partition: positions in `entries`, and the prefix its keys share.
    pub fn partitions(&self) -> impl Iterator<Item = (std::ops::Range<usize>, &[u8])> {
        let starts = std::iter::once(0).chain(self.partitions.iter().map(|(end, _)| *end));
        starts
            .zip(&self.partitions)
            .map(|(start, (end, prefix))| (start..*end, &self.entries.key(start)[..*prefix]))
    }
}

impl OrderedRows {
    /// No rows of `schema`, to be kept by the columns `partition`, then `order`, which names all others.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(schema: &Schema, partition: &[usize], order: &[SortKey]) -> Result<Self> {
        let field = |c: usize| SortField::new(schema.field(c).data_type().clone());
        let by_partition: Vec<SortField> = partition.iter().map(|c| field(*c)).collect();
        let by_order = order.iter().map(|key| {
            let data_type = schema.field(key.column).data_type().clone();
            SortField::new_with_options(data_type, key.options)
        });
        let all = by_partition.iter().cloned().chain(by_order).collect();
        let columns: Vec<usize> =
            partition.iter().copied().chain(order.iter().map(|k| k.column)).collect();
        let place = |c: usize| columns.iter().position(|k| *k == c);
        let places: Option<Vec<usize>> = (0..schema.fields().len()).map(place).collect();
        let places = places
            .ok_or_else(|| Error::Internal("an order that leaves out a column".to_owned()))?;
        let partitions = match by_partition.is_empty() {
            true => None,
            false => Some(RowConverter::new(by_partition)?),
        };
        let fields = schema.fields().iter().map(|f| f.as_ref().clone());
        let weight = Field::new("__weight", DataType::Int64, false);
        let run_schema = Arc::new(Schema::new(fields.chain([weight]).collect::<Vec<_>>()));
        Ok(Self {
            columns,
            places,
            rows: RowConverter::new(all)?,
            partitions,
            partition: partition.to_vec(),
            spine: Spine::default(),
            changed: Entries::default(),
            replace: false,
            run_rows: 0,
            run_schema,
        })
    }

    /// The prefixes that rows share which are equal in the partition and the first `asked` columns of the
    /// order.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn prefixes(&self, schema: &Schema, order: &[SortKey], asked: usize) -> Result<Prefixes> {
        let field = |c: &usize| SortField::new(schema.field(*c).data_type().clone());
        let mut fields: Vec<SortField> = self.partition.iter().map(field).collect();
        fields.extend(order[..asked].iter().map(|key| {
            let data_type = schema.field(key.column).data_type().clone();
            SortField::new_with_options(data_type, key.options)
        }));
        let columns = self.columns[..fields.len()].to_vec();
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields)?),
        };
        Ok(Prefixes { columns, converter })
    }

    /// The rows.
    #[must_use]
    pub fn spine(&self) -> &Spine {
        &self.spine
    }

    /// Moves rows to spill space until that freed `want` bytes of memory; how many it freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &SpillSpace, want: usize) -> Result<usize> {
        self.spine.spill(space, want)
    }

    /// `metrics` with what it holds and has touched.
    #[must_use]
    pub fn metrics(&self, metrics: OperatorMetrics) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: self.spine.len(),
            state_bytes: self.spine.bytes(),
            spilled_bytes: self.spine.spilled(),
            state_rows_touched: self.spine.touched(),
            ..metrics
        }
    }

    /// A delta in order.
    ///
    /// # Errors
    /// When there are more than 4 GiB of it.
    pub fn changes(&self, delta: &Delta) -> Result<Changes> {
        let mut rows = self.rows.empty_rows(delta.rows(), 0);
        let mut prefixes = self.partitions.as_ref().map(|p| p.empty_rows(delta.rows(), 0));
        let mut weights = Vec::with_capacity(delta.rows());
        for batch in &delta.ok {
            let columns = batch.columns.columns();
            self.rows.append(&mut rows, &project(columns, &self.columns))?;
            if let (Some(prefixes), Some(converter)) = (&mut prefixes, &self.partitions) {
                converter.append(prefixes, &project(columns, &self.partition))?;
            }
            weights.extend((0..batch.len()).map(|i| batch.weights.get(i)));
        }
        let mut sorted: Vec<usize> = (0..rows.num_rows()).collect();
        sorted.sort_unstable_by(|a, b| rows.row(*a).data().cmp(rows.row(*b).data()));
        let mut changes = Changes::default();
        let mut at = 0;
        let mut prefix_of_last: Option<usize> = None;
        while at < sorted.len() {
            let key = rows.row(sorted[at]).data();
            let equal = sorted[at..].iter().take_while(|i| rows.row(**i).data() == key).count();
            let weight: i64 = sorted[at..at + equal].iter().map(|i| weights[*i]).sum();
            if weight != 0 {
                let prefix = prefixes.as_ref().map_or(0, |p| p.row_len(sorted[at]));
                let last = changes.entries.len();
                let same = prefix_of_last == Some(prefix)
                    && changes.entries.key(last - 1)[..prefix] == key[..prefix];
                changes.entries.push(key, weight)?;
                if same {
                    if let Some(partition) = changes.partitions.last_mut() {
                        partition.0 += 1;
                    }
                } else {
                    changes.partitions.push((last + 1, prefix));
                }
                prefix_of_last = Some(prefix);
            }
            at += equal;
        }
        Ok(changes)
    }

    /// Takes changes in.
    ///
    /// # Errors
    /// When a row is retracted that is not there.
    pub fn apply(&mut self, changes: &Entries) -> Result<()> {
        self.spine.apply(changes)?;
        if !self.replace {
            let noted = changes.iter().try_for_each(|(key, weight)| self.changed.push(key, weight));
            if noted.is_err() || self.changed.len() as u64 > self.spine.len() + SLACK {
                self.replace = true;
                self.changed = Entries::default();
            }
        }
        Ok(())
    }

    /// The columns of the rows that keys stand for, in the input's order.
    ///
    /// # Errors
    /// When the bytes are none of this bag.
    pub fn decode<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        let parser = self.rows.parser();
        let columns = self.rows.convert_rows(keys.into_iter().map(|key| parser.parse(key)))?;
        Ok(project(&columns, &self.places))
    }

    /// Hands out what changed since the last call as runs of `part`; `full` asks for a replacing image.
    ///
    /// # Errors
    /// Those of `out`, and when rows cannot be decoded.
    pub fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if self.changed.is_empty() && !self.replace && !full {
            return Ok(());
        }
        let changed = std::mem::take(&mut self.changed);
        let limit = 2 * self.spine.len() + SLACK;
        let replaces = full || self.replace || self.run_rows + changed.len() as u64 > limit;
        let mut all: Box<dyn Iterator<Item = (&[u8], i64)>> = if replaces {
            Box::new(self.spine.starting_with(&[]))
        } else {
            Box::new(changed.iter())
        };
        let mut written = 0;
        loop {
            let block: Vec<(&[u8], i64)> = all.by_ref().take(RUN_ROWS).collect();
            if block.is_empty() && !(replaces && written == 0) {
                break;
            }
            let rows = self.run_of(&block)?;
            out(StateRun { part, replaces: replaces && written == 0, rows })?;
            written += block.len() as u64;
            if block.is_empty() {
                break;
            }
        }
        drop(all);
        self.run_rows = if replaces { 0 } else { self.run_rows } + written;
        self.replace = false;
        Ok(())
    }

    fn run_of(&self, entries: &[(&[u8], i64)]) -> Result<RecordBatch> {
        let mut columns = self.decode(entries.iter().map(|(key, _)| *key))?;
        columns.push(Arc::new(Int64Array::from_iter_values(entries.iter().map(|(_, w)| *w))));
        let options = RecordBatchOptions::new().with_row_count(Some(entries.len()));
        let schema = Arc::clone(&self.run_schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// Takes back the runs of one part, oldest first.
    ///
    /// # Errors
    /// When the runs do not fit.
    pub fn restore<'a>(&mut self, runs: impl IntoIterator<Item = &'a StateRun>) -> Result<()> {
        let malformed = || Error::Internal("a run of an ordered state is malformed".to_owned());
        for run in runs {
            if run.replaces {
                self.spine = Spine::default();
                self.run_rows = 0;
            }
            self.run_rows += run.rows.num_rows() as u64;
            let (weights, columns) = run.rows.columns().split_last().ok_or_else(malformed)?;
            let weights = weights.as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
            let fits = columns.iter().zip(self.run_schema.fields());
            if columns.len() + 1 != self.run_schema.fields().len()
                || fits.clone().any(|(c, f)| c.data_type() != f.data_type())
            {
                return Err(malformed());
            }
            let schema = Schema::new(
                self.run_schema.fields().iter().take(columns.len()).cloned().collect::<Vec<_>>(),
            );
            let options = RecordBatchOptions::new().with_row_count(Some(run.rows.num_rows()));
            let rows =
                RecordBatch::try_new_with_options(Arc::new(schema), columns.to_vec(), &options)?;
            let delta =
                levada_storage::delta::DeltaBatch::weighted(rows, weights.values().to_vec());
            let changes = self.changes(&Delta::of([delta]))?;
            self.spine.apply(&changes.entries)?;
        }
        self.changed.clear();
        self.replace = false;
        Ok(())
    }
}
