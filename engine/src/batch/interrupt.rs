//! Queries that can be stopped at any moment.
//!
//! A plan runs in a pool of threads apart and hands its batches over a channel of one: whoever waits for
//! them stays free to look at a clock, a cancel request or a socket. Dropping the stream stops the query:
//!
//! | where the query is | what stops it |
//! |---|---|
//! | between two batches of any operator | the task is aborted; joins are made to yield per batch of theirs |
//! | inside a join that finds nothing | its condition is an [`Guarded`] one, which fails once the query is stopped |

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream;
use levada_storage::task::{Pool, Task};
use tokio::sync::mpsc;

use crate::error::Error;

/// A physical plan that stops when its rows are no longer wanted.
pub(crate) struct Query {
    plan: Arc<dyn ExecutionPlan>,
    stop: Arc<AtomicBool>,
}

impl Query {
    /// A plan that can be stopped.
    ///
    /// # Errors
    /// When a node of it cannot be rebuilt.
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let plan = stoppable(plan, &stop)?;
        Ok(Self { plan, stop })
    }

    /// The plan that runs, for its metrics.
    pub(crate) fn plan(&self) -> Arc<dyn ExecutionPlan> {
        Arc::clone(&self.plan)
    }

    /// Starts it in a task of its own; it ends with the stream.
    pub(crate) fn start(self, pool: &Pool, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = self.plan.schema();
        let (sender, receiver) = mpsc::channel(1);
        let plan = self.plan;
        let task = pool.spawn("query", async move {
            // Operators may start tasks of their own as soon as they are made.
            let mut rows = match execute_stream(plan, context) {
                Ok(rows) => rows,
                Err(error) => stream_of(error),
            };
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        });
        let running = Running { stop: self.stop, receiver, task: Some(task) };
        let batches = stream::unfold(running, |mut running| async move {
            let batch = running.next().await?;
            Some((batch, running))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

fn stream_of(error: DataFusionError) -> SendableRecordBatchStream {
    let schema = Arc::new(Schema::empty());
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(async { Err(error) })))
}

/// The reader's side of a running query.
struct Running {
    stop: Arc<AtomicBool>,
    receiver: mpsc::Receiver<Result<RecordBatch>>,
    task: Option<Task<()>>,
}

impl Running {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        if let Some(batch) = self.receiver.recv().await {
            return Some(batch);
        }
        // The task is through, or broke down: an answer that stops short would be a wrong one.
        match self.task.take()?.join().await {
            Ok(()) => None,
            Err(lost) => Some(Err(Error::Internal(lost.to_string()).into())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Before the task is aborted, which it notices only when it yields.
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The plan with joins that yield per batch and look at `stop` within.
fn stoppable(
    plan: Arc<dyn ExecutionPlan>,
    stop: &Arc<AtomicBool>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        // What can make far more rows than it is given, or none of many.
        if node.children().len() < 2 && node.downcast_ref::<UnnestExec>().is_none() {
            return Ok(Transformed::no(node));
        }
        let node = with_guarded_filter(node, stop)?;
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

fn with_guarded_filter(
    node: Arc<dyn ExecutionPlan>,
    stop: &Arc<AtomicBool>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(node) };
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let join = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_projection_ref(join.projection().clone())
            .with_filter(Some(guarded(filter, stop)))
            .build()?;
        return Ok(Arc::new(join));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(node) };
        let filter = guarded(filter, stop);
        return Ok(Arc::new(join.builder().with_filter(Some(filter)).build()?));
    }
    Ok(node)
}

fn guarded(filter: &JoinFilter, stop: &Arc<AtomicBool>) -> JoinFilter {
    let inner = Arc::clone(filter.expression());
    let expression = Arc::new(Guarded { inner, stop: Arc::clone(stop) });
    let columns = filter.column_indices().to_vec();
    JoinFilter::new(expression, columns, Arc::clone(filter.schema()))
}

/// An expression that fails once the query is stopped.
#[derive(Debug)]
struct Guarded {
    inner: Arc<dyn PhysicalExpr>,
    stop: Arc<AtomicBool>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && Arc::ptr_eq(&self.stop, &other.stop)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.inner.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DataFusionError::from(Error::cancelled()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, stop: Arc::clone(&self.stop) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
