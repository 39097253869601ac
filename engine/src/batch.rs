//! Running logical plans over a snapshot: ad-hoc queries, recomputation, the oracle.
//!
//! Here, and only here and in `read`, the engine touches DataFusion plans. A plan knows relations by
//! identifier; [`SnapshotScan`] gives their rows from one [`SnapshotSet`].

mod interrupt;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::context::SessionState;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use levada_planner::relation::{RelationScan, RelationTable, with_scan};
use levada_storage::blob::Blob;
use levada_storage::table::reader::{Scan, read_parquet};

use self::interrupt::Query;
use crate::database::Shared;
use crate::error::{Error, Result};
use crate::snapshot::{RelationSnapshot, SnapshotSet};
use crate::system::{self, Viewer};

/// Gives the rows of relations at one snapshot.
pub(crate) struct SnapshotScan {
    shared: Arc<Shared>,
    snapshot: Arc<SnapshotSet>,
    viewer: Viewer,
}

/// `state` with its relations read from `snapshot`.
pub(crate) fn state_at(
    state: &SessionState,
    shared: &Arc<Shared>,
    snapshot: &Arc<SnapshotSet>,
    viewer: Viewer,
) -> SessionState {
    let scan = SnapshotScan { shared: Arc::clone(shared), snapshot: Arc::clone(snapshot), viewer };
    let config = with_scan(state.config().clone(), Arc::new(scan));
    SessionStateBuilder::new_from_existing(state.clone()).with_config(config).build()
}

/// Runs an optimised plan and collects its rows.
///
/// # Errors
/// Whatever the plan runs into.
pub(crate) async fn collect(
    shared: &Arc<Shared>,
    snapshot: &Arc<SnapshotSet>,
    plan: &LogicalPlan,
) -> Result<Vec<RecordBatch>> {
    let state = state_at(&shared.state, shared, snapshot, Viewer::default());
    Ok(stream(shared, &state, plan).await?.try_collect().await?)
}

/// Plans an optimised logical plan physically and starts it; it stops when the stream is dropped.
///
/// # Errors
/// When it cannot be planned.
pub(crate) async fn stream(
    shared: &Shared,
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<SendableRecordBatchStream> {
    Ok(query(state, plan).await?.start(&shared.pool, state.task_ctx()))
}

/// Plans an optimised logical plan physically.
///
/// # Errors
/// When it cannot be planned.
pub(crate) async fn query(state: &SessionState, plan: &LogicalPlan) -> Result<Query> {
    let physical = state.query_planner().create_physical_plan(plan, state).await?;
    Ok(Query::new(physical)?)
}

/// The rows of a relation, with the columns of `projection`; an error if a row of it failed.
pub(crate) fn rows(
    blob: Arc<dyn Blob>,
    relation: Arc<RelationSnapshot>,
    projection: Option<Vec<usize>>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let files = relation.files.as_ref().clone();
    let columns = projection.clone();
    let durable = stream::iter(files).then(move |file| {
        let (blob, scan) =
            (Arc::clone(&blob), Scan { projection: columns.clone(), ..Scan::default() });
        async move { read_parquet(blob, &file, &scan).await }
    });
    let durable = durable.try_flatten().map_err(Error::from);
    let chunks = relation.rows.chunks();
    let young = stream::iter(0..chunks).flat_map(move |chunk| {
        let batches: Vec<Result<RecordBatch>> = relation
            .rows
            .chunk_batches(chunk)
            .map(|batch| match (&projection, batch) {
                (Some(columns), Ok(batch)) => Ok(batch.project(columns)?),
                (_, batch) => batch,
            })
            .collect();
        stream::iter(batches)
    });
    durable.chain(young).boxed()
}

/// The rows of an insert-only relation behind the first `skip` ones.
pub(crate) fn rows_behind(
    blob: Arc<dyn Blob>,
    relation: &RelationSnapshot,
    skip: u64,
) -> BoxStream<'static, Result<RecordBatch>> {
    let mut left = skip;
    let mut parts = Vec::new();
    for file in relation.files.iter() {
        let start = left.min(file.rows);
        left -= start;
        if start < file.rows {
            parts.push((file.clone(), start));
        }
    }
    let durable = stream::iter(parts).then(move |(file, start)| {
        let blob = Arc::clone(&blob);
        let scan = Scan { start, ..Scan::default() };
        async move { read_parquet(blob, &file, &scan).await }
    });
    let durable = durable.try_flatten().map_err(Error::from);
    let mut young = Vec::new();
    for batch in relation.rows.batches() {
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
        let start = usize::try_from(left).unwrap_or(usize::MAX).min(rows);
        left -= start as u64;
        if start < rows || batch.is_err() {
            young.push(batch.map(|b| b.slice(start, rows - start)));
        }
    }
    durable.chain(stream::iter(young)).boxed()
}

/// SQLSTATE and message of a failed evaluation.
pub(crate) fn evaluation_error(error: &Error) -> (String, String) {
    if let Error::Evaluation { sqlstate, message, .. } = error {
        return (sqlstate.to_string(), message.to_string());
    }
    match error {
        Error::DataFusion(inner) => {
            let (sqlstate, message) = crate::operator::row_error::describe(inner);
            (sqlstate.to_owned(), message)
        }
        other => ("XX000".to_owned(), other.to_string()),
    }
}

impl fmt::Debug for SnapshotScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotScan").field("epoch", &self.snapshot.epoch).finish_non_exhaustive()
    }
}

impl RelationScan for SnapshotScan {
    fn scan(
        &self,
        table: &RelationTable,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        if let Some(relation) = self.snapshot.relation(table.id) {
            let scan = RelationStream {
                blob: Arc::clone(&self.shared.blob),
                name: table.name.clone(),
                relation: Arc::clone(relation),
                schema: projected(&table.schema(), projection)?,
                projection: projection.cloned(),
            };
            let schema = Arc::clone(&scan.schema);
            let plan =
                StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?;
            return Ok(Arc::new(plan));
        }
        let rows = system::rows(&table.name, &self.shared, &self.snapshot, &self.viewer)?;
        let schema = rows.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], schema, projection.cloned())?)
    }
}

fn projected(
    schema: &SchemaRef,
    projection: Option<&Vec<usize>>,
) -> std::result::Result<SchemaRef, ArrowError> {
    match projection {
        None => Ok(Arc::clone(schema)),
        Some(columns) => Ok(Arc::new(schema.project(columns)?)),
    }
}

/// One relation as a stream of DataFusion.
struct RelationStream {
    blob: Arc<dyn Blob>,
    name: String,
    relation: Arc<RelationSnapshot>,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
}

impl fmt::Debug for RelationStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelationStream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartitionStream for RelationStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = match &self.relation.error {
            Some((row, count)) => {
                let error = Error::Evaluation {
                    sqlstate: row.sqlstate.as_str().into(),
                    message: row.message.as_str().into(),
                    relation: self.name.as_str().into(),
                    rows: *count,
                };
                stream::once(async move { Err(error) }).boxed()
            }
            None => {
                let relation = Arc::clone(&self.relation);
                rows(Arc::clone(&self.blob), relation, self.projection.clone())
            }
        };
        let schema = Arc::clone(&self.schema);
        let fitted = {
            let schema = Arc::clone(&schema);
            rows.map(move |batch| match batch {
                Ok(batch) => batch.with_schema(Arc::clone(&schema)).map_err(DataFusionError::from),
                Err(error) => Err(error.into()),
            })
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, fitted))
    }
}
