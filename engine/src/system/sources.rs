//! `sys.sources`, `sys.source_offsets`, `sys.sinks`: the edges to the outside.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;
use levada_catalog::{Detail, ObjectKind};

use super::{bigint, count, text};
use crate::database::Shared;
use crate::error::Result;
use crate::snapshot::SnapshotSet;

pub(super) fn schema() -> SchemaRef {
    super::schema([
        text("source"),
        text("connector"),
        text("format"),
        text("state"),
        bigint("splits"),
        bigint("rows"),
        bigint("rejected"),
        text("problem"),
    ])
}

pub(super) fn rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let catalog = &snapshot.catalog;
    let mut names = Vec::new();
    let (mut connectors, mut formats, mut states, mut problems) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut splits, mut stored, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let offsets = shared.offsets();
    for object in catalog.objects_of(ObjectKind::Source) {
        let Detail::Source { connector, format, .. } = &object.detail else { continue };
        let status = shared.source(object.id);
        names.push(catalog.qualified_name(object));
        connectors.push(connector.clone());
        formats.push((!format.is_empty()).then(|| format.clone()));
        states.push(status.as_ref().map_or("starting", |s| s.state()).to_owned());
        problems.push(status.as_ref().and_then(|s| s.problem()));
        splits.push(count(offsets.keys().filter(|(id, _)| *id == object.id).count() as u64));
        stored.push(snapshot.relation(object.id).map(|r| count(r.row_count())));
        rejected.push(status.as_ref().map(|s| count(s.rejected())));
    }
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringViewArray::from_iter_values(names)),
            Arc::new(StringViewArray::from_iter_values(connectors)),
            Arc::new(StringViewArray::from_iter(formats)),
            Arc::new(StringViewArray::from_iter_values(states)),
            Arc::new(Int64Array::from(splits)),
            Arc::new(Int64Array::from(stored)),
            Arc::new(Int64Array::from(rejected)),
            Arc::new(StringViewArray::from_iter(problems)),
        ],
    )?)
}

pub(super) fn offset_schema() -> SchemaRef {
    super::schema([text("source"), text("split"), bigint("rows")])
}

pub(super) fn offset_rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let offsets = shared.offsets();
    let name = |id: u32| snapshot.catalog.get(id).map(|o| snapshot.catalog.qualified_name(o));
    let all: Vec<_> = offsets.values().collect();
    Ok(RecordBatch::try_new(
        offset_schema(),
        vec![
            Arc::new(StringViewArray::from_iter(all.iter().map(|o| name(o.source)))),
            Arc::new(StringViewArray::from_iter_values(all.iter().map(|o| &o.split))),
            Arc::new(all.iter().map(|o| Some(count(o.rows))).collect::<Int64Array>()),
        ],
    )?)
}

pub(super) fn sink_schema() -> SchemaRef {
    super::schema([
        text("sink"),
        text("relation"),
        text("connector"),
        text("target"),
        text("delivery"),
        text("state"),
        bigint("epoch"),
        text("problem"),
    ])
}

pub(super) fn sink_rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let catalog = &snapshot.catalog;
    let mut columns: [Vec<Option<String>>; 7] = Default::default();
    let mut epochs = Vec::new();
    for object in catalog.objects_of(ObjectKind::Sink) {
        let Detail::Sink { from, connector, arguments, .. } = &object.detail else { continue };
        let status = shared.sink(object.id);
        let values = [
            Some(catalog.qualified_name(object)),
            catalog.get(*from).map(|r| catalog.qualified_name(r)),
            Some(connector.clone()),
            arguments.first().cloned(),
            Some("exactly_once".to_owned()),
            Some(status.as_ref().map_or("starting", |s| s.state()).to_owned()),
            status.as_ref().and_then(|s| s.problem()),
        ];
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
        epochs.push(status.as_ref().and_then(|s| s.epoch()).map(count));
    }
    let [sink, relation, connector, target, delivery, state, problem] =
        columns.map(|c| Arc::new(StringViewArray::from_iter(c)));
    let epoch = Arc::new(Int64Array::from(epochs));
    Ok(RecordBatch::try_new(
        sink_schema(),
        vec![sink, relation, connector, target, delivery, state, epoch, problem],
    )?)
}
