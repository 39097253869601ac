//! The system's own relations: `sys`, `pg_catalog`, `information_schema`.
//!
//! Some are stored like any table and change in the same epochs as what they tell of; the others are made
//! from the snapshot and the live state when they are read.

mod backfills;
mod operators;
mod sources;
mod views;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use levada_catalog::object::{Column, SYS_OID};
use levada_catalog::pg::{self, PgContext, PgSystemTable};
use levada_planner::bind::SystemTables;
use levada_planner::relation::RelationTable;

use crate::database::Shared;
use crate::error::{Error, Result};
use crate::snapshot::SnapshotSet;

/// `sys.lineage`: object on object.
pub(crate) const LINEAGE_ID: u32 = 14_001;
/// `sys.column_lineage`: column on column.
pub(crate) const COLUMN_LINEAGE_ID: u32 = 14_002;
/// `sys.quarantine`: bad records.
pub(crate) const QUARANTINE_ID: u32 = 14_003;

/// Whose eyes a system relation is read with.
pub(crate) type Viewer = PgContext;

/// Makes the rows of a relation.
type Make = fn(&Arc<Shared>, &SnapshotSet) -> Result<RecordBatch>;

/// A `sys` relation that is made when it is read.
struct Live {
    id: u32,
    name: &'static str,
    make: Make,
    schema: fn() -> SchemaRef,
}

/// The live relations of `sys`, one line each.
const LIVE: [Live; 10] = [
    Live { id: 14_101, name: "operators", make: operators::rows, schema: operators::schema },
    Live { id: 14_102, name: "sources", make: sources::rows, schema: sources::schema },
    Live {
        id: 14_103,
        name: "source_offsets",
        make: sources::offset_rows,
        schema: sources::offset_schema,
    },
    Live { id: 14_104, name: "sinks", make: sources::sink_rows, schema: sources::sink_schema },
    Live { id: 14_105, name: "materialized_views", make: views::rows, schema: views::schema },
    Live {
        id: 14_106,
        name: "pipelines",
        make: views::pipeline_rows,
        schema: views::pipeline_schema,
    },
    Live { id: 14_107, name: "storage_files", make: views::file_rows, schema: views::file_schema },
    Live {
        id: 14_109,
        name: "backfill_progress",
        make: backfills::rows,
        schema: backfills::schema,
    },
    Live {
        id: 14_110,
        name: "operator_state",
        make: operators::state_rows,
        schema: operators::state_schema,
    },
    Live { id: 14_108, name: "tables", make: views::table_rows, schema: views::table_schema },
];

/// The stored relations of the system: identifier, name, schema, whether insert-only.
pub(crate) fn stored() -> Vec<(u32, &'static str, SchemaRef, bool)> {
    let text = |name: &str| Field::new(name, DataType::Utf8View, true);
    let lineage = ["output", "output_kind", "input", "input_kind"].map(text);
    let columns =
        ["output", "output_column", "input", "input_column", "kind", "expression"].map(text);
    let quarantine = vec![
        text("source"),
        text("file"),
        Field::new("line", DataType::Int64, true),
        text("raw"),
        Field::new("raw_bytes", DataType::Binary, true),
        text("error"),
        text("sqlstate"),
        Field::new(
            "received_at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            true,
        ),
    ];
    vec![
        (LINEAGE_ID, "sys.lineage", schema(lineage), false),
        (COLUMN_LINEAGE_ID, "sys.column_lineage", schema(columns), false),
        (QUARANTINE_ID, "sys.quarantine", schema(quarantine), true),
    ]
}

/// The name of a stored system relation.
pub(crate) fn stored_name(id: u32) -> Option<&'static str> {
    match id {
        LINEAGE_ID => Some("sys.lineage"),
        COLUMN_LINEAGE_ID => Some("sys.column_lineage"),
        QUARANTINE_ID => Some("sys.quarantine"),
        _ => None,
    }
}

/// The relations of `sys`, for the system catalog.
pub(crate) fn listed() -> Arc<[PgSystemTable]> {
    let stored = stored().into_iter().map(|(id, name, schema, _)| (id, name, schema));
    let live = LIVE.iter().map(|live| (live.id, live.name, (live.schema)()));
    let table = |(oid, name, schema): (u32, &str, SchemaRef)| PgSystemTable {
        oid,
        namespace: SYS_OID,
        name: name.trim_start_matches("sys.").to_owned(),
        columns: schema.fields().iter().map(|f| Column::from(f.as_ref())).collect(),
    };
    stored.chain(live).map(table).collect()
}

/// All system relations as tables for binding.
pub(crate) fn tables() -> SystemTables {
    let mut tables = SystemTables::new();
    let mut add = |id: u32, schema: &str, name: &str, rows: SchemaRef| {
        let table = RelationTable::new(id, format!("{schema}.{name}"), rows, Vec::new());
        tables.insert((schema.to_owned(), name.to_owned()), Arc::new(table));
    };
    for (id, name, rows, _) in stored() {
        add(id, "sys", name.trim_start_matches("sys."), rows);
    }
    for live in &LIVE {
        add(live.id, "sys", live.name, (live.schema)());
    }
    for relation in pg::relations() {
        if let Some(rows) = pg::schema(relation.name) {
            add(relation.oid, relation.schema, relation.name, rows);
        }
    }
    tables
}

/// The rows of a system relation that is not stored, by qualified name.
///
/// # Errors
/// When there is no such relation.
pub(crate) fn rows(
    name: &str,
    shared: &Arc<Shared>,
    snapshot: &SnapshotSet,
    viewer: &Viewer,
) -> Result<RecordBatch> {
    let missing = || Error::Internal(format!("no rows for relation {name}"));
    let (schema, relation) = name.split_once('.').ok_or_else(missing)?;
    if schema == "sys" {
        let live = LIVE.iter().find(|l| l.name == relation).ok_or_else(missing)?;
        return (live.make)(shared, snapshot);
    }
    pg::rows(relation, &snapshot.catalog, viewer).ok_or_else(missing)
}

fn schema(fields: impl IntoIterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(fields.into_iter().collect::<Vec<_>>()))
}

/// A nullable column of text.
fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8View, true)
}

/// A nullable column of 64-bit integers.
fn bigint(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

/// A count as SQL shows it.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
