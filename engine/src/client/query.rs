//! Queries: bind, rewrite `PostgreSQL`'s shapes, plan, stream at one epoch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, TryStreamExt};
use levada_planner::bind::relation_of;
use levada_planner::statement::{Copy, CopyRows, CopyTarget, Explain, Parsed, Statement};

use super::planning::{Planned, Planning};
use super::{Description, Outcome, Rows, RowsTag, Session};
use crate::error::{Error, Result};

impl Session {
    /// Statements of standard SQL.
    pub(super) async fn run_sql(
        &mut self,
        statement: &ast::Statement,
        parsed: &Parsed,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        match statement {
            ast::Statement::Query(_) => self.select(statement, values).await,
            ast::Statement::Insert(insert) => self.insert(insert, values).await,
            ast::Statement::Update(update) => self.update(update, values).await,
            ast::Statement::Delete(delete) => self.delete(delete, values).await,
            ast::Statement::Truncate(truncate) => Box::pin(self.truncate(truncate)).await,
            ast::Statement::CreateTable(table) => self.create_table(table, parsed, values).await,
            ast::Statement::Analyze { .. } => Ok(Outcome::Done("ANALYZE".to_owned())),
            ast::Statement::Vacuum(_) => Ok(Outcome::Done("VACUUM".to_owned())),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                let message = format!("{} is not supported yet", words.join(" "));
                Err(Error::statement("0A000", message))
            }
        }
    }

    /// A query.
    pub(super) async fn select(
        &mut self,
        statement: &ast::Statement,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        let types: Vec<Option<DataType>> = values.iter().map(|v| Some(v.data_type())).collect();
        let (planning, planned) = self.plan_query(statement, &types).await?;
        let (schema, stream) = self.start(&planning, planned, values).await?;
        Ok(Outcome::Rows(Rows { schema, stream, tag: RowsTag::Counted("SELECT") }))
    }

    /// Binds a query after its reads are settled.
    async fn plan_query(
        &mut self,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<(Arc<Planning>, Planned)> {
        let planning = self.planning()?;
        let planned = planning.query(statement, types).await?;
        let relations = scanned(&planned.plan)?;
        if self.open.is_none() {
            return Ok((planning, planned));
        }
        self.settle_reads(&relations).await?;
        let planning = self.planning()?;
        let planned = planning.query(statement, types).await?;
        Ok((planning, planned))
    }

    /// Starts a planned query; rows come as they are pulled.
    async fn start(
        &mut self,
        planning: &Arc<Planning>,
        planned: Planned,
        values: Vec<ScalarValue>,
    ) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let stream = planning.start(planned.plan, values).await?;
        for change in planning.functions.take_settings() {
            self.settings.set(&change.name, Some(&change.value), change.local)?;
        }
        let schema = planned.schema;
        let named = {
            let schema = Arc::clone(&schema);
            stream.map(move |batch| renamed(&batch?, &schema))
        };
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), named));
        Ok((schema, stream))
    }

    /// Runs a query to its end.
    pub(super) async fn collect(
        &mut self,
        statement: &ast::Statement,
        values: Vec<ScalarValue>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let types: Vec<Option<DataType>> = values.iter().map(|v| Some(v.data_type())).collect();
        let (planning, planned) = self.plan_query(statement, &types).await?;
        let (schema, stream) = self.start(&planning, planned, values).await?;
        Ok((schema, stream.try_collect().await?))
    }

    /// Runs a query given as text, of our own making.
    pub(super) async fn select_text(&mut self, text: &str) -> Result<Rows> {
        let query = levada_planner::parse::query(text)?;
        match self.select(&ast::Statement::Query(query), Vec::new()).await? {
            Outcome::Rows(rows) => Ok(rows),
            _ => Err(Error::Internal("a query gave no rows".to_owned())),
        }
    }

    /// What a statement needs and gives, without running it.
    pub(super) async fn describe_statement(
        &mut self,
        parsed: &Parsed,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        let text = |names: &[&str]| {
            let fields = names.iter().map(|n| Field::new(*n, DataType::Utf8, true));
            Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
        };
        let fields = match &parsed.statement {
            Statement::Sql(statement) => return self.describe_sql(statement, given).await,
            Statement::Execute(execute) => {
                let (prepared, types) = self.find_prepared(&execute.name.name)?;
                let inner = Box::pin(self.describe_statement(&prepared.parsed, &types)).await?;
                inner.fields
            }
            Statement::Explain(Explain::Plan { .. }) => text(&["QUERY PLAN"]),
            Statement::Explain(Explain::Incremental(_) | Explain::Maintained(_)) => {
                text(&["INCREMENTAL PLAN"])
            }
            Statement::Explain(Explain::Lineage { .. }) => text(&["LINEAGE"]),
            Statement::Show(show) => Some(self.show_schema(show).await?),
            Statement::CheckIncremental(_) => Some(super::explain::check_schema()),
            Statement::Describe(_) => Some(super::show::describe_schema()),
            Statement::Copy(copy) => {
                let Copy { rows: CopyRows::Query(query), target: CopyTarget::ToClient, .. } =
                    copy.as_ref()
                else {
                    return Ok(Description { parameters: Vec::new(), fields: None });
                };
                let statement = ast::Statement::Query(query.query.clone());
                self.describe_sql(&statement, given).await?;
                None
            }
            _ => None,
        };
        Ok(Description { parameters: Vec::new(), fields })
    }

    async fn describe_sql(
        &mut self,
        statement: &ast::Statement,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        if !matches!(
            statement,
            ast::Statement::Query(_)
                | ast::Statement::Insert(_)
                | ast::Statement::Update(_)
                | ast::Statement::Delete(_)
        ) {
            return Ok(Description { parameters: Vec::new(), fields: None });
        }
        let planning = self.planning()?;
        let (plan, fields) = if let ast::Statement::Query(_) = statement {
            let planned = planning.query(statement, given).await?;
            (planned.plan, Some(planned.schema))
        } else {
            (self.describe_write(&planning, statement, given).await?, None)
        };
        let mut inferred = plan.get_parameter_types()?;
        infer_from_casts(&plan, &mut inferred)?;
        let count = inferred
            .keys()
            .filter_map(|name| name.trim_start_matches('$').parse::<usize>().ok())
            .max()
            .unwrap_or(0)
            .max(given.len());
        let parameters = (0..count).map(|i| {
            let own = given.get(i).cloned().flatten();
            let found = || inferred.get(&format!("${}", i + 1)).cloned().flatten();
            own.or_else(found).unwrap_or(DataType::Utf8)
        });
        Ok(Description { parameters: parameters.collect(), fields })
    }
}

/// The relations that a plan and its subqueries scan.
pub(super) fn scanned(plan: &LogicalPlan) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((id, _, _)) = relation_of(&scan.source)
        {
            found.push(id);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// A parameter that is cast has the type it is cast to, as in PostgreSQL.
fn infer_from_casts(
    plan: &LogicalPlan,
    types: &mut HashMap<String, Option<DataType>>,
) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(parameter) = cast.expr.as_ref()
                {
                    let known = types.entry(parameter.id.clone()).or_default();
                    known.get_or_insert_with(|| cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn renamed(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, DataFusionError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
