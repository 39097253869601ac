//! `sys.materialized_views`, `sys.pipelines`, `sys.tables`, `sys.storage_files`: what is kept.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;
use levada_catalog::{Detail, ObjectKind};

use super::{bigint, count, text};
use crate::checkpoint::folder_of;
use crate::database::Shared;
use crate::error::Result;
use crate::snapshot::SnapshotSet;

pub(super) fn schema() -> SchemaRef {
    super::schema([
        text("view"),
        text("key"),
        text("maintained"),
        bigint("rows"),
        bigint("epoch"),
        bigint("changed_at"),
        text("error"),
        text("location"),
    ])
}

pub(super) fn rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let catalog = &snapshot.catalog;
    let mut texts: [Vec<Option<String>>; 5] = Default::default();
    let (mut rows, mut epochs, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for object in catalog.objects_of(ObjectKind::MaterializedView) {
        let relation = snapshot.relation(object.id);
        let recomputed = snapshot
            .operators
            .iter()
            .any(|o| o.cost == "RECOMPUTE" && o.views.contains(&object.id));
        let name = catalog.qualified_name(object);
        let values = [
            Some(name.clone()),
            Some(object.key().join(", ")).filter(|k| !k.is_empty()),
            Some(if recomputed { "recompute" } else { "incremental" }.to_owned()),
            relation.and_then(|r| r.error.as_ref()).map(|(e, _)| e.message.clone()),
            Some(shared.blob.location(&folder_of(&name, object.id))),
        ];
        for (column, value) in texts.iter_mut().zip(values) {
            column.push(value);
        }
        rows.push(relation.map(|r| count(r.row_count())));
        epochs.push(count(snapshot.epoch.0));
        changed.push(relation.map(|r| count(r.changed_at.0)));
    }
    let [view, key, maintained, error, location] =
        texts.map(|c| Arc::new(StringViewArray::from_iter(c)));
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            view,
            key,
            maintained,
            Arc::new(Int64Array::from(rows)),
            Arc::new(Int64Array::from(epochs)),
            Arc::new(Int64Array::from(changed)),
            error,
            location,
        ],
    )?)
}

pub(super) fn pipeline_schema() -> SchemaRef {
    super::schema([
        text("pipeline"),
        text("version"),
        text("trigger"),
        text("state"),
        bigint("steps"),
        bigint("epoch"),
    ])
}

pub(super) fn pipeline_rows(_shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let catalog = &snapshot.catalog;
    let (mut names, mut versions, mut states, mut steps) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for object in catalog.objects_of(ObjectKind::Pipeline) {
        let Detail::Pipeline { steps_schema, version } = &object.detail else { continue };
        let members: Vec<_> = catalog.objects().filter(|o| o.schema == *steps_schema).collect();
        let failing =
            members.iter().any(|o| snapshot.relation(o.id).is_some_and(|r| r.error.is_some()));
        names.push(catalog.qualified_name(object));
        versions.push(version.clone());
        states.push(if failing { "failing" } else { "running" });
        steps.push(count(members.len() as u64));
    }
    let rows = names.len();
    let epoch = count(snapshot.epoch.0);
    Ok(RecordBatch::try_new(
        pipeline_schema(),
        vec![
            Arc::new(StringViewArray::from_iter_values(names)),
            Arc::new(StringViewArray::from_iter_values(versions)),
            Arc::new(StringViewArray::from_iter_values(vec!["continuous"; rows])),
            Arc::new(StringViewArray::from_iter_values(states)),
            Arc::new(Int64Array::from(steps)),
            Arc::new(Int64Array::from(vec![epoch; rows])),
        ],
    )?)
}

pub(super) fn table_schema() -> SchemaRef {
    super::schema([text("table"), text("primary_key"), bigint("rows"), text("location")])
}

pub(super) fn table_rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let catalog = &snapshot.catalog;
    let (mut names, mut keys, mut rows, mut locations) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for object in catalog.objects_of(ObjectKind::Table) {
        let name = catalog.qualified_name(object);
        locations.push(shared.blob.location(&folder_of(&name, object.id)));
        names.push(name);
        keys.push(Some(object.key().join(", ")).filter(|k| !k.is_empty()));
        rows.push(snapshot.relation(object.id).map(|r| count(r.row_count())));
    }
    Ok(RecordBatch::try_new(
        table_schema(),
        vec![
            Arc::new(StringViewArray::from_iter_values(names)),
            Arc::new(StringViewArray::from_iter(keys)),
            Arc::new(Int64Array::from(rows)),
            Arc::new(StringViewArray::from_iter_values(locations)),
        ],
    )?)
}

pub(super) fn file_schema() -> SchemaRef {
    super::schema([
        text("relation"),
        text("path"),
        bigint("rows"),
        bigint("deleted_rows"),
        bigint("bytes"),
    ])
}

pub(super) fn file_rows(shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let files = shared.files();
    let name = |id: u32| {
        let user = snapshot.catalog.get(id).map(|o| snapshot.catalog.qualified_name(o));
        user.or_else(|| super::stored_name(id).map(str::to_owned))
    };
    let all: Vec<_> = files.iter().flat_map(|(id, f)| f.iter().map(|f| (*id, f))).collect();
    let deleted = |f: &levada_storage::table::DataFile| f.rows - f.live_rows();
    Ok(RecordBatch::try_new(
        file_schema(),
        vec![
            Arc::new(StringViewArray::from_iter(all.iter().map(|(id, _)| name(*id)))),
            Arc::new(StringViewArray::from_iter_values(all.iter().map(|(_, f)| &f.path))),
            Arc::new(all.iter().map(|(_, f)| Some(count(f.rows))).collect::<Int64Array>()),
            Arc::new(all.iter().map(|(_, f)| Some(count(deleted(f)))).collect::<Int64Array>()),
            Arc::new(all.iter().map(|(_, f)| Some(count(f.bytes))).collect::<Int64Array>()),
        ],
    )?)
}
