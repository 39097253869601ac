//! `SHOW`, `DESCRIBE`, `WAIT FOR`, and SQL's prepared statements.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use levada_catalog::pg;
use levada_catalog::{ObjectId, ObjectKind};
use levada_planner::statement::{Execute, Name, Prepare, Show, WaitFor};

use super::explain::memory_stream;
use super::{Outcome, Prepared, Rows, RowsTag, Session};
use crate::error::{Error, Result};

impl Session {
    /// `SHOW`.
    pub(super) async fn show(&mut self, show: &Show) -> Result<Outcome> {
        let rows = match show {
            Show::Objects { .. } | Show::All => self.select_text(&show_text(show)?).await?,
            Show::Setting(name) => {
                let value = self.settings.get(&name.name).ok_or_else(|| {
                    let message = format!("unrecognized configuration parameter \"{}\"", name.name);
                    Error::statement("42704", message)
                })?;
                one_value(&name.name, &value)?
            }
            Show::Create { kind, name } => {
                let object = self.named(name)?;
                if object.kind() != *kind {
                    return Err(levada_catalog::Error::WrongKind {
                        name: name.name.clone(),
                        wanted: *kind,
                        found: object.kind(),
                    }
                    .into());
                }
                one_value("definition", &object.definition)?
            }
            _ => return Err(Error::statement("0A000", "this SHOW is not supported yet")),
        };
        Ok(Outcome::Rows(Rows { tag: RowsTag::Fixed("SHOW"), ..rows }))
    }

    pub(super) async fn show_schema(&mut self, show: &Show) -> Result<SchemaRef> {
        match show {
            Show::Objects { .. } | Show::All => {
                Ok(self.select_text(&show_text(show)?).await?.schema)
            }
            Show::Setting(name) => Ok(text_column(&name.name)),
            _ => Ok(text_column("definition")),
        }
    }

    /// `DESCRIBE relation`.
    pub(super) fn describe_relation(&mut self, name: &Name) -> Result<Outcome> {
        let object = self.named(name)?;
        let columns = object.columns().ok_or_else(|| {
            let message = format!("{} \"{}\" has no columns", object.kind().words(), object.name);
            Error::statement("42809", message)
        })?;
        let (catalog, context) = (self.catalog(), self.pg_context());
        let types = columns.iter().map(|c| {
            let (oid, modifier) = pg::of_arrow(&c.data_type);
            pg::format_type(&catalog, &context, oid, Some(modifier))
        });
        let key = object.key();
        let batch = RecordBatch::try_new(
            describe_schema(),
            vec![
                Arc::new(StringArray::from_iter_values(columns.iter().map(|c| &c.name))),
                Arc::new(StringArray::from_iter_values(types)),
                Arc::new(StringArray::from_iter_values(
                    columns.iter().map(|c| if c.nullable { "yes" } else { "no" }),
                )),
                Arc::new(StringArray::from_iter(columns.iter().map(|c| c.default.clone()))),
                Arc::new(StringArray::from_iter_values(
                    columns.iter().map(|c| if key.contains(&c.name) { "yes" } else { "" }),
                )),
            ],
        )?;
        Ok(Outcome::Rows(Rows {
            schema: describe_schema(),
            stream: memory_stream(batch)?,
            tag: RowsTag::Fixed("DESCRIBE"),
        }))
    }

    /// `WAIT FOR relation`: until it reflects everything that its sources hold now, and the time that it is.
    pub(super) async fn wait_for(&mut self, wait: &WaitFor) -> Result<Outcome> {
        let object = self.named(&wait.name)?;
        if let Some(epoch) = wait.epoch {
            let mut epochs = self.inner.shared.epochs();
            epochs.wait_for(|e| *e >= epoch).await.map_err(|_lost| Error::Closed)?;
            return Ok(Outcome::Done("WAIT".to_owned()));
        }
        let snapshot = self.inner.shared.snapshot();
        let mut pending: Vec<ObjectId> = vec![object.id];
        let mut seen = Vec::new();
        while let Some(id) = pending.pop() {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let Some(object) = snapshot.catalog.get(id) else { continue };
            pending.extend(&object.depends_on);
            if object.kind() == ObjectKind::Pipeline || object.kind() == ObjectKind::Schema {
                let inside = snapshot.catalog.objects().filter(|o| {
                    o.schema == id || matches!(&object.detail,
                        levada_catalog::Detail::Pipeline { steps_schema, .. } if o.schema == *steps_schema)
                });
                pending.extend(inside.map(|o| o.id));
            }
            if let Some(source) = self.inner.shared.source(id) {
                source.wait_until_drained().await;
            }
        }
        self.inner.keep_time().await?;
        for id in seen {
            if let Some(sink) = self.inner.shared.sink(id) {
                crate::emit::settle_one(&self.inner.shared, id, &sink).await;
            }
        }
        Ok(Outcome::Done("WAIT".to_owned()))
    }

    /// `PREPARE name AS ...`.
    pub(super) fn prepare(&mut self, s: &Prepare) -> Result<Outcome> {
        if self.prepared.contains_key(&s.name.name) {
            let message = format!("prepared statement \"{}\" already exists", s.name.name);
            return Err(Error::statement("42P05", message));
        }
        let planning = self.planning()?;
        let types = {
            let binder = planning.binder();
            s.types.iter().map(|t| Ok(Some(binder.data_type(t)?))).collect::<Result<Vec<_>>>()?
        };
        let statement = s.statement.as_ref().clone();
        let whole = statement.text.as_str().into();
        let prepared =
            Prepared { text: statement.text.clone(), parsed: Arc::new(statement), whole };
        self.prepared.insert(s.name.name.clone(), (prepared, types));
        Ok(Outcome::Done("PREPARE".to_owned()))
    }

    /// `EXECUTE name (...)`.
    pub(super) async fn execute_prepared(&mut self, s: &Execute) -> Result<Outcome> {
        let (prepared, types) = self.find_prepared(&s.name.name)?;
        let describing = self.describe_statement(&prepared.parsed, &types);
        let description = Box::pin(describing).await?;
        if s.parameters.len() != description.parameters.len() {
            let message =
                format!("wrong number of parameters for prepared statement \"{}\"", s.name.name);
            return Err(Error::statement("42601", message).with_detail(format!(
                "Expected {} parameters but got {}.",
                description.parameters.len(),
                s.parameters.len()
            )));
        }
        let mut values = Vec::with_capacity(s.parameters.len());
        for (expr, data_type) in s.parameters.iter().zip(&description.parameters) {
            values.push(self.constant(expr, data_type).await?);
        }
        Box::pin(self.run(&prepared.parsed, values)).await
    }

    async fn constant(&mut self, expr: &ast::Expr, data_type: &DataType) -> Result<ScalarValue> {
        let mut query = levada_planner::parse::query("SELECT 1")?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![ast::SelectItem::UnnamedExpr(expr.clone())];
        }
        let (_, batches) = self.collect(&ast::Statement::Query(query), Vec::new()).await?;
        let batch = batches.first().ok_or_else(|| Error::Internal("no value".to_owned()))?;
        let value = ScalarValue::try_from_array(batch.column(0), 0)?;
        Ok(value.cast_to(data_type)?)
    }

    pub(super) fn find_prepared(&self, name: &str) -> Result<(Prepared, Vec<Option<DataType>>)> {
        self.prepared.get(name).cloned().ok_or_else(|| {
            Error::statement("26000", format!("prepared statement \"{name}\" does not exist"))
        })
    }

    /// `DEALLOCATE name` or `DEALLOCATE ALL`.
    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<Outcome> {
        match name {
            None => {
                self.prepared.clear();
                Ok(Outcome::Done("DEALLOCATE ALL".to_owned()))
            }
            Some(name) => {
                self.find_prepared(name)?;
                self.prepared.remove(name);
                Ok(Outcome::Done("DEALLOCATE".to_owned()))
            }
        }
    }
}

/// The plain views of users, named as they are in other lists, with their queries as they were written.
const VIEWS: &str = "(SELECT CASE schemaname WHEN 'public' THEN viewname \
    ELSE schemaname || '.' || viewname END AS view, btrim(definition, ' ;') AS definition \
    FROM pg_catalog.pg_views \
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')) AS views";

/// The query that a `SHOW` stands for.
fn show_text(show: &Show) -> Result<String> {
    let Show::Objects { kind, schema, like } = show else {
        return Ok("SELECT name, setting, short_desc AS description FROM pg_catalog.pg_settings \
                   ORDER BY name"
            .to_owned());
    };
    let (relation, name) = match kind {
        ObjectKind::Source => ("sys.sources", "source"),
        ObjectKind::Sink => ("sys.sinks", "sink"),
        ObjectKind::Pipeline => ("sys.pipelines", "pipeline"),
        ObjectKind::MaterializedView => ("sys.materialized_views", "view"),
        ObjectKind::Table => ("sys.tables", "table"),
        ObjectKind::View => (VIEWS, "view"),
        ObjectKind::Schema => {
            ("(SELECT nspname AS schema FROM pg_catalog.pg_namespace) AS schemas", "schema")
        }
    };
    let mut tests = Vec::new();
    if let Some(schema) = schema {
        let plain = schema.name.replace('\'', "''");
        tests.push(if plain == "public" {
            format!("strpos(\"{name}\", '.') = 0")
        } else {
            format!("starts_with(\"{name}\", '{plain}.')")
        });
    }
    if let Some(like) = like {
        tests.push(format!("\"{name}\" LIKE '{}'", like.replace('\'', "''")));
    }
    let filter =
        if tests.is_empty() { String::new() } else { format!("WHERE {}", tests.join(" AND ")) };
    Ok(format!("SELECT * FROM {relation} {filter} ORDER BY 1"))
}

/// Columns of `DESCRIBE`.
pub(super) fn describe_schema() -> SchemaRef {
    let fields = ["column", "type", "nullable", "default", "key"]
        .map(|name| Field::new(name, DataType::Utf8, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn text_column(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]))
}

fn one_value(name: &str, value: &str) -> Result<Rows> {
    let schema = text_column(name);
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec![value]))])?;
    Ok(Rows { schema, stream: memory_stream(batch)?, tag: RowsTag::Fixed("SHOW") })
}
