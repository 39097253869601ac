//! `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`: queries whose rows become a delta of a table.
//!
//! An update is the retraction of the old rows and the insertion of the new ones in one delta. Constraints
//! that need the table's rows (keys) are checked by the tick loop, when the transaction is staged.

mod default;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use levada_catalog::{Object, ObjectKind};
use levada_storage::delta::DeltaBatch;
use levada_storage::epoch::Epoch;

use self::default::fill_defaults;
use super::planning::Planning;
use super::query::scanned;
use super::{Outcome, Session};
use crate::error::{Error, Result};

impl Session {
    /// `INSERT INTO t ...`.
    pub(super) async fn insert(
        &mut self,
        insert: &ast::Insert,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        refuse(insert.on.is_some(), "INSERT ... ON CONFLICT")?;
        refuse(insert.returning.is_some(), "INSERT ... RETURNING")?;
        let ast::TableObject::TableName(name) = &insert.table else {
            return refuse(true, "INSERT INTO a function").map(|()| Outcome::Empty);
        };
        let (table, schema) = self.writable(name)?;
        let types: Vec<Option<DataType>> = values.iter().map(|v| Some(v.data_type())).collect();
        let mut insert = insert.clone();
        fill_defaults(&mut insert, &table)?;
        let statement = ast::Statement::Insert(insert);
        let mut planning = self.planning()?;
        let mut input = planning.write(&statement, &types).await?;
        if self.open.is_some() {
            let relations = scanned(&input)?;
            self.settle_reads(&relations).await?;
            planning = self.planning()?;
            input = planning.write(&statement, &types).await?;
        }
        let batches: Vec<_> = planning.start(input, values).await?.try_collect().await?;
        let rows = self.store(&table, &schema, &batches).await?;
        Ok(Outcome::Done(format!("INSERT 0 {rows}")))
    }

    /// The plan of a write, for its parameters.
    pub(super) async fn describe_write(
        &mut self,
        planning: &Arc<Planning>,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<LogicalPlan> {
        let statement = match statement {
            ast::Statement::Update(update) => {
                let (table, _) = self.updated_table(update)?;
                changed_rows(&update.table, &table, &update.assignments, update.selection.as_ref())?
            }
            ast::Statement::Delete(delete) => {
                let from = deleted_from(delete)?;
                let (table, _) = self.writable(&relation_name(from)?)?;
                changed_rows(from, &table, &[], deleted_rows(delete)?.as_ref())?
            }
            ast::Statement::Insert(insert) => {
                let mut insert = insert.clone();
                if let ast::TableObject::TableName(name) = &insert.table {
                    let (table, _) = self.writable(name)?;
                    fill_defaults(&mut insert, &table)?;
                }
                ast::Statement::Insert(insert)
            }
            other => other.clone(),
        };
        planning.write(&statement, types).await
    }

    /// `UPDATE t SET ...`.
    pub(super) async fn update(
        &mut self,
        update: &ast::Update,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        refuse(update.from.is_some(), "UPDATE ... FROM")?;
        refuse(update.returning.is_some(), "UPDATE ... RETURNING")?;
        let (table, schema) = self.updated_table(update)?;
        let selection = update.selection.as_ref();
        let query = changed_rows(&update.table, &table, &update.assignments, selection)?;
        let (_, batches) = self.collect(&query, values).await?;
        let width = schema.fields().len();
        let targets = assigned(&update.assignments, &schema)?;
        let mut parts = Vec::new();
        let mut weights = Vec::new();
        let mut count = 0;
        for batch in batches.iter().filter(|b| b.num_rows() > 0) {
            let old: Vec<ArrayRef> = batch.columns()[..width].to_vec();
            let mut new = old.clone();
            for (i, target) in targets.iter().enumerate() {
                let to = schema.field(*target).data_type();
                new[*target] = assign(batch.column(width + i), to)?;
            }
            let new = checked(&table, &schema, new)?;
            let old = RecordBatch::try_new(Arc::clone(&schema), old)?;
            count += batch.num_rows();
            weights.extend(std::iter::repeat_n(-1, batch.num_rows()));
            parts.push(old);
            weights.extend(std::iter::repeat_n(1, batch.num_rows()));
            parts.push(new);
        }
        if count > 0 {
            let rows = concat_batches(&schema, &parts)?;
            let mut stage = self.stage()?;
            stage.write(table.id, DeltaBatch::weighted(rows, weights));
            self.put(stage).await?;
        }
        Ok(Outcome::Done(format!("UPDATE {count}")))
    }

    fn updated_table(&mut self, update: &ast::Update) -> Result<(Arc<Object>, SchemaRef)> {
        self.writable(&relation_name(&update.table)?)
    }

    /// `DELETE FROM t ...`.
    pub(super) async fn delete(
        &mut self,
        delete: &ast::Delete,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        refuse(delete.returning.is_some(), "DELETE ... RETURNING")?;
        let from = deleted_from(delete)?;
        let (table, schema) = self.writable(&relation_name(from)?)?;
        let query = changed_rows(from, &table, &[], deleted_rows(delete)?.as_ref())?;
        let (_, batches) = self.collect(&query, values).await?;
        let count = self.retract(&table, &schema, batches).await?;
        Ok(Outcome::Done(format!("DELETE {count}")))
    }

    /// `TRUNCATE t, ...`.
    pub(super) async fn truncate(&mut self, truncate: &ast::Truncate) -> Result<Outcome> {
        for target in &truncate.table_names {
            let (table, schema) = self.writable(&target.name)?;
            let from =
                ast::TableWithJoins { relation: plain_table(&target.name), joins: Vec::new() };
            let query = changed_rows(&from, &table, &[], None)?;
            let (_, batches) = self.collect(&query, Vec::new()).await?;
            self.retract(&table, &schema, batches).await?;
        }
        Ok(Outcome::Done("TRUNCATE TABLE".to_owned()))
    }

    async fn retract(
        &mut self,
        table: &Object,
        schema: &SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<usize> {
        let mut stage = self.stage()?;
        let mut count = 0;
        for batch in batches {
            count += batch.num_rows();
            let rows = RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec())?;
            stage.write(table.id, DeltaBatch::retractions(rows));
        }
        self.put(stage).await?;
        Ok(count)
    }

    /// Adds rows to a table; the columns may differ from the table's in type only.
    pub(super) async fn store(
        &mut self,
        table: &Object,
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<usize> {
        let mut stage = self.stage()?;
        let mut count = 0;
        for batch in batches.iter().filter(|b| b.num_rows() > 0) {
            let fields = schema.fields().iter();
            let columns = fields.zip(batch.columns()).map(|(f, c)| assign(c, f.data_type()));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let rows = checked(table, schema, columns)?;
            count += rows.num_rows();
            stage.write(table.id, DeltaBatch::inserts(rows));
        }
        self.put(stage).await?;
        Ok(count)
    }

    /// Writes weighted rows to a table as one epoch (or stages them, in a transaction).
    ///
    /// # Errors
    /// 40001 when a retracted row is not there, 23505 when a key is taken.
    pub async fn apply(&mut self, relation: &str, batches: Vec<DeltaBatch>) -> Result<Epoch> {
        let name = ast::ObjectName(
            relation
                .split('.')
                .map(|part| ast::ObjectNamePart::Identifier(ast::Ident::new(part)))
                .collect(),
        );
        let (table, schema) = self.writable(&name)?;
        let mut stage = self.stage()?;
        let parts: Vec<RecordBatch> = batches
            .iter()
            .map(|b| checked(&table, &schema, b.columns.columns().to_vec()))
            .collect::<Result<_>>()?;
        let weights: Vec<i64> =
            batches.iter().flat_map(|b| (0..b.len()).map(|i| b.weights.get(i))).collect();
        let rows = concat_batches(&schema, &parts)?;
        stage.write(table.id, DeltaBatch::weighted(rows, weights));
        self.put(stage).await?;
        Ok(self.inner.shared.snapshot().epoch)
    }

    /// The table that a name means, if rows can be written to it.
    pub(super) fn writable(&mut self, name: &ast::ObjectName) -> Result<(Arc<Object>, SchemaRef)> {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|p| p.as_ident())
            .map(|i| if i.quote_style.is_some() { i.value.clone() } else { i.value.to_lowercase() })
            .collect();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table.as_str()),
            [.., schema, table] => (Some(schema.as_str()), table.as_str()),
            [] => return Err(Error::Internal("an empty name".to_owned())),
        };
        if matches!(schema, Some("sys" | "pg_catalog" | "information_schema")) {
            let message = format!("permission denied: \"{table}\" is a system relation");
            return Err(Error::statement("42501", message));
        }
        let path = self.settings.search_path(&self.options.user);
        let catalog = self.catalog();
        let object = catalog.resolve(schema, table, &path)?;
        if object.kind() != ObjectKind::Table {
            let kind = object.kind().words();
            let message = format!("cannot write to {kind} \"{table}\"");
            return Err(Error::statement("42809", message).with_hint(match object.kind() {
                ObjectKind::MaterializedView | ObjectKind::View => {
                    "Write to the tables it is made of."
                }
                ObjectKind::Source => "Its rows come from its connector.",
                _ => "Only tables take rows.",
            }));
        }
        let schema = object.arrow_schema().ok_or_else(|| Error::unfit("table"))?;
        Ok((Arc::clone(object), schema))
    }
}

/// A batch of the table's schema; NULL where none is allowed is an error.
fn checked(table: &Object, schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    for (field, column) in schema.fields().iter().zip(&columns) {
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::statement(
                "23502",
                format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    field.name(),
                    table.name
                ),
            ));
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// A value as a column's type: an assignment cast, which fails rather than gives NULL.
pub(super) fn assign(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if values.data_type() == to {
        return Ok(Arc::clone(values));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(values, to, &options)?)
}

/// `SELECT all columns, new values FROM t WHERE ...`.
fn changed_rows(
    from: &ast::TableWithJoins,
    table: &Object,
    assignments: &[ast::Assignment],
    selection: Option<&ast::Expr>,
) -> Result<ast::Statement> {
    let mut query = levada_planner::parse::query("SELECT 1")?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::Internal("a select is a select".to_owned()));
    };
    let qualifier = match &from.relation {
        ast::TableFactor::Table { alias: Some(alias), .. } => Some(alias.name.clone()),
        ast::TableFactor::Table { name, .. } => name.0.last().and_then(|p| p.as_ident()).cloned(),
        _ => None,
    };
    let columns = table.columns().unwrap_or_default().iter().map(|c| {
        let name = ast::Ident::with_quote('"', &c.name);
        let parts = qualifier.iter().cloned().chain([name]).collect();
        ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts))
    });
    let values = assignments.iter().enumerate().map(|(i, a)| ast::SelectItem::ExprWithAlias {
        expr: typed(a, table),
        alias: ast::Ident::with_quote('"', format!("new value {i}")),
    });
    select.projection = columns.chain(values).collect();
    select.from = vec![from.clone()];
    select.selection = selection.cloned();
    Ok(ast::Statement::Query(query))
}

/// The assigned expression; text that is assigned to a `bytea` is read as one.
fn typed(assignment: &ast::Assignment, table: &Object) -> ast::Expr {
    let value = assignment.value.clone();
    let ast::AssignmentTarget::ColumnName(name) = &assignment.target else { return value };
    let column = name.0.last().and_then(|p| p.as_ident()).and_then(|ident| {
        let folded = match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        };
        table.columns().unwrap_or_default().iter().find(|c| c.name == folded)
    });
    let is_bytea = column.is_some_and(|c| {
        matches!(c.data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
    });
    if !is_bytea {
        return value;
    }
    ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(value),
        data_type: ast::DataType::Bytea,
        array: false,
        format: None,
    }
}

/// Positions of the assigned columns.
fn assigned(assignments: &[ast::Assignment], schema: &SchemaRef) -> Result<Vec<usize>> {
    let mut targets = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        let ast::AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(Error::statement(
                "0A000",
                "assignment to a list of columns is not supported yet",
            ));
        };
        let ident = name.0.last().and_then(|p| p.as_ident());
        let ident = ident.ok_or_else(|| Error::statement("42601", "a column name is missing"))?;
        let column = if ident.quote_style.is_some() {
            ident.value.clone()
        } else {
            ident.value.to_lowercase()
        };
        let position = schema.index_of(&column).map_err(|_lost| {
            let nearest = schema
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .min_by_key(|n| levada_catalog::state::distance(n, &column));
            Error::from(levada_planner::Error::UnknownColumn {
                name: column.clone(),
                position: 0,
                nearest,
            })
        })?;
        if targets.contains(&position) {
            let message = format!("multiple assignments to same column \"{column}\"");
            return Err(Error::statement("42601", message));
        }
        targets.push(position);
    }
    Ok(targets)
}

fn deleted_from(delete: &ast::Delete) -> Result<&ast::TableWithJoins> {
    let tables = match &delete.from {
        ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables) => tables,
    };
    match tables.as_slice() {
        [one] => Ok(one),
        _ => Err(Error::statement("0A000", "DELETE from several tables is not supported")),
    }
}

/// Which rows are deleted: with USING, those that have a match.
fn deleted_rows(delete: &ast::Delete) -> Result<Option<ast::Expr>> {
    let Some(using) = &delete.using else { return Ok(delete.selection.clone()) };
    let mut subquery = levada_planner::parse::query("SELECT 1")?;
    if let ast::SetExpr::Select(select) = subquery.body.as_mut() {
        select.from.clone_from(using);
        select.selection.clone_from(&delete.selection);
    }
    Ok(Some(ast::Expr::Exists { subquery, negated: false }))
}

fn relation_name(from: &ast::TableWithJoins) -> Result<ast::ObjectName> {
    match &from.relation {
        ast::TableFactor::Table { name, .. } if from.joins.is_empty() => Ok(name.clone()),
        _ => Err(Error::statement("42809", "only a table can be written to")),
    }
}

fn plain_table(name: &ast::ObjectName) -> ast::TableFactor {
    ast::TableFactor::Table {
        name: name.clone(),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn refuse(found: bool, construct: &str) -> Result<()> {
    if found {
        return Err(Error::statement("0A000", format!("{construct} is not supported yet")));
    }
    Ok(())
}
