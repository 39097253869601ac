//! Stored relations, the writer's side: tables, sources and materialized views.
//!
//! | store | for | rows are |
//! |---|---|---|
//! | append | sources, logs of the system | in Parquet files, then a log of young rows |
//! | resident | tables, materialized views | in an arrangement by key (or whole row); files are its image |
//!
//! Equal rows are separate rows. A delta is applied at once and may be undone by applying its opposite; it
//! is visible to readers when the tick publishes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::SchemaRef;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};
use levada_storage::epoch::Epoch;
use levada_storage::table::DataFile;

use crate::arrangement::equal::{Equality, bits, retain_equal};
use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::log::ColumnLog;
use crate::arrangement::view::LogView;
use crate::arrangement::{Arrangement, Side, together};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pass::{bits_schema, broken};
use crate::snapshot::RelationSnapshot;
use crate::spill::{Holder, SpillSpace};
use crate::workers::Workers;

/// How a relation's rows are kept.
pub(crate) enum Store {
    /// Insert-only.
    Append {
        /// Durable rows.
        files: Arc<Vec<DataFile>>,
        /// Rows since the last checkpoint.
        young: ColumnLog,
    },
    /// With retractions.
    Resident {
        /// All rows.
        rows: Box<Arrangement>,
        /// The files of the last checkpoint.
        image: Image,
    },
}

/// A stored relation.
pub(crate) struct Relation {
    /// OID.
    pub(crate) id: u32,
    /// Qualified name at creation: the name of its folder.
    pub(crate) name: String,
    /// Schema of the rows.
    pub(crate) schema: SchemaRef,
    /// Positions of the enforced primary key; empty when there is none.
    pub(crate) key: Vec<usize>,
    /// The rows.
    pub(crate) store: Store,
    /// Who shares its large deltas.
    pub(crate) workers: Workers,
    errors: BTreeMap<ErrorRow, i64>,
    changed_at: Epoch,
    snapshot: Option<Arc<RelationSnapshot>>,
}

impl Relation {
    /// An empty insert-only relation.
    pub(crate) fn append(id: u32, name: String, schema: SchemaRef) -> Self {
        let young = ColumnLog::new(Arc::clone(&schema));
        Self::new(id, name, schema, Vec::new(), Store::Append { files: Arc::default(), young })
    }

    /// An empty relation with retractions; `key` is enforced.
    pub(crate) fn resident(id: u32, name: String, schema: SchemaRef, key: Vec<usize>) -> Self {
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let index = if key.is_empty() { all } else { key.clone() };
        let rows = Box::new(Arrangement::new(Arc::clone(&schema), index));
        Self::new(id, name, schema, key, Store::Resident { rows, image: Image::default() })
    }

    fn new(id: u32, name: String, schema: SchemaRef, key: Vec<usize>, store: Store) -> Self {
        Self {
            id,
            name,
            schema,
            key,
            store,
            workers: Workers::alone(),
            errors: BTreeMap::new(),
            changed_at: Epoch(0),
            snapshot: None,
        }
    }

    /// Whether rows are never retracted.
    pub(crate) fn is_append(&self) -> bool {
        matches!(self.store, Store::Append { .. })
    }

    /// Checks a transaction's delta and applies it; after an error nothing has changed.
    ///
    /// # Errors
    /// 40001 when a retracted row is gone, 23505 when a key is taken.
    pub(crate) fn stage(&mut self, deltas: &[DeltaBatch]) -> Result<()> {
        let name = self.name.clone();
        let Store::Resident { rows, .. } = &mut self.store else {
            return self.apply(&Delta::of(deltas.iter().cloned()));
        };
        for (i, batch) in deltas.iter().enumerate() {
            if !holds_retracted(rows, batch)? || rows.retract(batch)? > 0 {
                deltas[..i].iter().try_for_each(|b| rows.insert(&b.negated()))?;
                return Err(Error::statement(
                    "40001",
                    "could not serialize access due to concurrent update",
                ));
            }
        }
        let undo_retractions = |rows: &mut Arrangement| -> Result<()> {
            deltas.iter().try_for_each(|b| rows.insert(&b.negated()))
        };
        for (i, batch) in deltas.iter().enumerate() {
            if let Some(taken) = taken_key(rows, &self.key, batch)? {
                for inserted in &deltas[..i] {
                    rows.retract(&inserted.negated())?;
                }
                undo_retractions(rows)?;
                return Err(Error::statement(
                    "23505",
                    format!("duplicate key value violates unique constraint \"{name}_pkey\""),
                )
                .with_detail(key_detail(&self.schema, &self.key, &taken)));
            }
            rows.insert(batch)?;
        }
        self.snapshot = None;
        Ok(())
    }

    /// Applies a delta that is known to fit: of a view, or of a replayed commit.
    ///
    /// # Errors
    /// When a retracted row is not there.
    pub(crate) fn apply(&mut self, delta: &Delta) -> Result<()> {
        for (row, weight) in &delta.err {
            let total = self.errors.entry(row.clone()).or_insert(0);
            *total += weight;
            if *total == 0 {
                self.errors.remove(row);
            }
        }
        match &mut self.store {
            Store::Resident { rows, .. } => rows.apply_with(delta, &self.workers)?,
            Store::Append { young, .. } => {
                for batch in together(&delta.ok)? {
                    young.append_with(batch.columns.columns(), batch.len(), &self.workers)?;
                }
            }
        }
        self.snapshot = None;
        Ok(())
    }

    /// As [`Self::apply`]; a delta that does not fit makes the relation fail on read.
    pub(crate) fn apply_or_fail(&mut self, delta: &Delta) {
        if let Err(error) = self.apply(delta) {
            tracing::error!(relation = self.name, %error, "a delta does not fit the contents");
            self.apply(&broken(&error)).expect("error rows always apply");
        }
    }

    /// Adds durable rows of an insert-only relation.
    pub(crate) fn add_files(&mut self, added: &[DataFile]) -> Result<()> {
        let Store::Append { files, young } = &mut self.store else {
            return Err(Error::Internal(format!("relation {} takes no files", self.name)));
        };
        if young.rows() > 0 {
            return Err(Error::Internal("files were added behind young rows".to_owned()));
        }
        Arc::make_mut(files).extend_from_slice(added);
        self.snapshot = None;
        Ok(())
    }

    /// Number of rows in memory that no file holds yet.
    pub(crate) fn young_rows(&self) -> u32 {
        match &self.store {
            Store::Append { young, .. } => young.rows(),
            Store::Resident { .. } => 0,
        }
    }

    /// Whether it changed since readers last saw it.
    pub(crate) fn is_changed(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Marks the start of a tick and drops dead rows when they are many.
    pub(crate) fn begin_tick(&mut self) -> Result<()> {
        if let Store::Resident { rows, .. } = &mut self.store {
            rows.begin_tick();
            rows.compact_if_worn()?;
        }
        Ok(())
    }

    /// What readers see of it now; unchanged relations give the same value again.
    pub(crate) fn snapshot(&mut self, epoch: Epoch) -> Arc<RelationSnapshot> {
        if let Some(snapshot) = &self.snapshot {
            return Arc::clone(snapshot);
        }
        self.changed_at = epoch;
        let (files, rows): (Arc<Vec<DataFile>>, LogView) = match &self.store {
            Store::Append { files, young } => (Arc::clone(files), young.view()),
            Store::Resident { rows, .. } => (Arc::default(), rows.view()),
        };
        let total: i64 = self.errors.values().sum();
        let error = self.errors.keys().next().map(|row| (row.clone(), total));
        let snapshot = Arc::new(RelationSnapshot {
            schema: Arc::clone(&self.schema),
            changed_at: self.changed_at,
            files,
            rows,
            append: self.is_append(),
            error,
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// Forgets the published picture after the store changed without a change of rows.
    pub(crate) fn restate(&mut self) {
        self.snapshot = None;
    }

    /// The failed rows, for a checkpoint.
    pub(crate) fn errors(&self) -> &BTreeMap<ErrorRow, i64> {
        &self.errors
    }
}

impl Holder for Relation {
    fn in_memory(&self) -> usize {
        match &self.store {
            Store::Append { young, .. } => young.bytes() - young.spilled(),
            Store::Resident { rows, .. } => {
                usize::try_from(rows.bytes() - rows.spilled()).unwrap_or(usize::MAX)
            }
        }
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        // The published picture holds the rows where they were.
        self.restate();
        match &mut self.store {
            Store::Append { young, .. } => young.spill(space, want),
            Store::Resident { rows, .. } => rows.spill(space, want),
        }
    }
}

/// Whether every retracted row is there as often as it is retracted.
fn holds_retracted(rows: &mut Arrangement, batch: &DeltaBatch) -> Result<bool> {
    let retracted: Vec<u32> =
        row_ids(batch.len())?.filter(|i| batch.weights.get(*i as usize) < 0).collect();
    if retracted.is_empty() {
        return Ok(true);
    }
    let weights = batch.weights.take(&retracted);
    let indices = UInt32Array::from(retracted);
    let columns = take_arrays(batch.columns.columns(), &indices, None)?;
    let count = indices.len();
    let keys: Vec<ArrayRef> = rows.keys().iter().map(|k| Arc::clone(&columns[*k])).collect();
    let matches = rows.probe(&keys, count, true, Side::After)?;
    let mut keep = vec![true; matches.row.len()];
    let aligned: Vec<u32> = row_ids(matches.row.len())?.collect();
    let all: Vec<usize> = (0..columns.len()).collect();
    let stored = rows.gather(&matches.row, &all)?;
    for (column, stored) in columns.iter().zip(&stored) {
        let wanted = (column, &matches.probe[..]);
        retain_equal(wanted, (stored, &aligned), Equality::Bits, &mut keep)?;
    }
    let mut available = vec![0_i64; count];
    for (probe, _) in matches.probe.iter().zip(&keep).filter(|(_, keep)| **keep) {
        available[*probe as usize] += 1;
    }
    let exact: Vec<ArrayRef> = columns.iter().map(bits).collect();
    let mut groups = KeyedState::new(bits_schema(&batch.columns), 0, HashWidth::Full);
    let slots = groups.find_or_insert(&exact, count)?.slots;
    let mut wanted: BTreeMap<u32, i64> = BTreeMap::new();
    for (i, slot) in slots.iter().enumerate() {
        *wanted.entry(*slot).or_insert(0) -= weights.get(i);
    }
    Ok(slots.iter().zip(available).all(|(slot, there)| there >= wanted[slot]))
}

fn row_ids(rows: usize) -> Result<std::ops::Range<u32>> {
    let rows = u32::try_from(rows)
        .map_err(|_lost| Error::Internal("a batch of more than 2^32 rows".to_owned()))?;
    Ok(0..rows)
}

/// The key of the first inserted row whose key is live or occurs twice, as one-row columns.
fn taken_key(
    rows: &mut Arrangement,
    key: &[usize],
    batch: &DeltaBatch,
) -> Result<Option<Vec<ArrayRef>>> {
    if key.is_empty() {
        return Ok(None);
    }
    let inserted: Vec<u32> =
        row_ids(batch.len())?.filter(|i| batch.weights.get(*i as usize) > 0).collect();
    if inserted.is_empty() {
        return Ok(None);
    }
    let indices = UInt32Array::from(inserted);
    let keys = key
        .iter()
        .map(|k| arrow::compute::take(batch.columns.column(*k), &indices, None))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let count = indices.len();
    let one = |i: u32| -> Vec<ArrayRef> { keys.iter().map(|k| k.slice(i as usize, 1)).collect() };
    let matches = rows.probe(&keys, count, true, Side::After)?;
    if let Some(first) = matches.probe.iter().min() {
        return Ok(Some(one(*first)));
    }
    let fields: Vec<_> = key.iter().map(|k| batch.columns.schema().field(*k).clone()).collect();
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let mut seen = KeyedState::new(schema, 0, HashWidth::Full);
    let slots = seen.find_or_insert(&keys, count)?;
    let mut known = std::collections::BTreeSet::new();
    let twice = slots.slots.iter().position(|slot| !known.insert(*slot));
    Ok(twice.map(|i| one(u32::try_from(i).unwrap_or(0))))
}

/// `Key (carrier)=(UA) already exists.`
fn key_detail(schema: &SchemaRef, key: &[usize], values: &[ArrayRef]) -> String {
    let names: Vec<&str> = key.iter().map(|k| schema.field(*k).name().as_str()).collect();
    let texts: Vec<String> = values
        .iter()
        .map(|v| arrow::util::display::array_value_to_string(v, 0).unwrap_or_default())
        .collect();
    format!("Key ({})=({}) already exists.", names.join(", "), texts.join(", "))
}
