//! The oracle: a maintained view equals its query run again over the same contents.
//!
//! Two judges after every epoch. `CHECK INCREMENTAL` is the engine's own; the other reads the view, runs
//! its defining query as an ordinary `SELECT`, and compares both as bags, bit for bit. A view that holds
//! error rows fails on reading; then its query must fail too.
//!
//! The list of views comes from the statements that made them, so a view that the engine loses is found.

use anyhow::{Result, bail};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::bag::Bag;
use crate::class::{Class, View};
use crate::embedded::{Embedded, Table};
use crate::target::Failure;

/// The views to compare.
#[derive(Debug, Default)]
pub struct Oracle {
    views: Vec<Watched>,
}

/// A view under watch.
#[derive(Debug)]
struct Watched {
    /// Its name with its schema, as SQL.
    name: String,
    query: String,
    /// The search path that its query is read with.
    path: String,
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The view against its query.
    Compare,
    /// `CHECK INCREMENTAL` as well.
    Check,
}

impl Oracle {
    /// Takes note of a statement that succeeded.
    pub async fn note(&mut self, class: &Class, database: &mut Embedded) {
        match class {
            Class::CreateViews(views) => {
                let path = database.value("SHOW search_path").await.unwrap_or_default();
                let schema = database.value("SELECT current_schema()").await.unwrap_or_default();
                for view in views {
                    self.watch(view, &path, &schema, database).await;
                }
            }
            Class::Drop => {
                let mut left = Vec::new();
                for view in std::mem::take(&mut self.views) {
                    let read = database.rows(&format!("SELECT * FROM {}", view.name)).await;
                    let gone =
                        read.is_err_and(|f| matches!(f.sqlstate.as_str(), "42P01" | "3F000"));
                    if !gone {
                        left.push(view);
                    }
                }
                self.views = left;
            }
            _ => {}
        }
    }

    async fn watch(&mut self, view: &View, path: &str, schema: &str, database: &mut Embedded) {
        let name = if view.name.contains('.') {
            view.name.clone()
        } else {
            format!("\"{schema}\".{}", view.name)
        };
        if view.if_missing {
            let select = format!("SELECT * FROM {name} LIMIT 0");
            let left_alone = self.views.iter().any(|v| v.name == name);
            if left_alone || database.rows(&select).await.is_err_and(|f| f.sqlstate == "42P01") {
                return;
            }
        }
        let path = match &view.schema {
            Some(schema) => format!("\"{schema}\", {path}"),
            None => path.to_owned(),
        };
        self.views.retain(|v| v.name != name);
        self.views.push(Watched { name, query: view.query.clone(), path });
    }

    /// Number of views under watch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether no view is under watch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Compares every view.
    ///
    /// # Errors
    /// The first view that differs, with the rows.
    pub async fn check(&self, database: &mut Embedded, depth: Depth) -> Result<()> {
        for view in &self.views {
            if let Some(what) = self.difference(view, database).await? {
                bail!(
                    "view {} is not its query run again\n{what}\nquery: {}",
                    view.name,
                    view.query
                );
            }
            if depth == Depth::Check {
                check_incremental(view, database).await?;
            }
        }
        Ok(())
    }

    /// Reads the view, its query, and the view again: a difference counts if the view stood still.
    async fn difference(&self, view: &Watched, database: &mut Embedded) -> Result<Option<String>> {
        let select = format!("SELECT * FROM {}", view.name);
        let mut stored = database.rows(&select).await;
        loop {
            let computed = recompute(view, database).await?;
            let difference = compare(&stored, &computed)?;
            if difference.is_none() {
                return Ok(None);
            }
            let again = database.rows(&select).await;
            let stood_still = match (&stored, &again) {
                (Ok(a), Ok(b)) => same(a, b)?,
                (Err(a), Err(b)) => a == b,
                _ => false,
            };
            if stood_still {
                return Ok(difference);
            }
            stored = again;
        }
    }
}

async fn recompute(view: &Watched, database: &mut Embedded) -> Result<Result<Table, Failure>> {
    let path = database.value("SHOW search_path").await.unwrap_or_default();
    if path == view.path {
        return Ok(database.rows(&view.query).await);
    }
    database.search(&view.path).await?;
    let rows = database.rows(&view.query).await;
    database.search(&path).await?;
    Ok(rows)
}

async fn check_incremental(view: &Watched, database: &mut Embedded) -> Result<()> {
    match database.run(&format!("CHECK INCREMENTAL {}", view.name)).await {
        Ok(answer) => {
            let fine = answer.rows.len() == 1
                && answer.rows.iter().all(|r| r.split(' ').any(|word| word == "ok"));
            if fine { Ok(()) } else { bail!("CHECK INCREMENTAL says {:?}", answer.rows) }
        }
        Err(failure) => bail!("CHECK INCREMENTAL {} fails: {failure}", view.name),
    }
}

fn same(a: &Table, b: &Table) -> Result<bool> {
    Ok(Bag::of(SchemaRef::clone(&a.0), &a.1)?.rows()
        == Bag::of(SchemaRef::clone(&b.0), &b.1)?.rows())
}

/// How the stored rows differ from the computed ones.
///
/// # Errors
/// When rows cannot be compared at all.
pub fn compare(
    stored: &Result<Table, Failure>,
    computed: &Result<Table, Failure>,
) -> Result<Option<String>> {
    let (stored, computed) = match (stored, computed) {
        (Ok(stored), Ok(computed)) => (normal(stored)?, normal(computed)?),
        (Err(a), Err(_)) if ["21", "22"].iter().any(|class| a.sqlstate.starts_with(class)) => {
            return Ok(None);
        }
        (Err(a), Err(b)) => return Ok(Some(format!("reading fails: {a}\nthe query fails: {b}"))),
        (Err(a), Ok(_)) => return Ok(Some(format!("reading fails, the query does not: {a}"))),
        (Ok(_), Err(b)) => return Ok(Some(format!("the query fails, reading does not: {b}"))),
    };
    let types = |schema: &SchemaRef| {
        schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<DataType>>()
    };
    if types(&stored.0) != types(&computed.0) {
        return Ok(Some(format!(
            "column types differ: stored {:?}, computed {:?}",
            types(&stored.0),
            types(&computed.0)
        )));
    }
    let stored = Bag::of(SchemaRef::clone(&computed.0), &renamed(&stored, &computed.0)?)?;
    let computed = Bag::of(computed.0, &computed.1)?;
    let changes = stored.minus(&computed);
    if changes.is_empty() {
        return Ok(None);
    }
    let mut lines =
        vec![format!("{} rows differ (+ only in the view, - only in its query):", changes.len())];
    lines.extend(stored.describe(&changes[..changes.len().min(20)]));
    Ok(Some(lines.join("\n")))
}

fn renamed(table: &Table, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let rename = |batch: &RecordBatch| {
        RecordBatch::try_new(SchemaRef::clone(schema), batch.columns().to_vec())
    };
    Ok(table.1.iter().map(rename).collect::<Result<_, _>>()?)
}

/// Columns with one form per meaning: all texts `Utf8`, all nullable, no metadata.
fn normal((schema, batches): &Table) -> Result<Table> {
    let fields: Vec<Field> =
        schema.fields().iter().map(|f| Field::new(f.name(), plain(f.data_type()), true)).collect();
    let schema = SchemaRef::new(Schema::new(fields));
    let mut out = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(c, f)| cast(c, f.data_type()))
            .collect::<Result<Vec<_>, _>>()?;
        out.push(RecordBatch::try_new(SchemaRef::clone(&schema), columns)?);
    }
    Ok((schema, out))
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        // What is always NULL is stored as text.
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

    use super::compare;
    use crate::embedded::Table;
    use crate::target::Failure;

    fn table(column: ArrayRef) -> Table {
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        (batch.schema(), vec![batch])
    }

    #[test]
    fn order_and_batches_do_not_matter_but_bits_and_types_do() {
        let a = Ok(table(Arc::new(Float64Array::from(vec![1.0, -0.0]))));
        let b = Ok(table(Arc::new(Float64Array::from(vec![-0.0, 1.0]))));
        assert_eq!(compare(&a, &b).unwrap(), None);
        let zero = Ok(table(Arc::new(Float64Array::from(vec![0.0, 1.0]))));
        assert!(compare(&a, &zero).unwrap().unwrap().contains("+1 -0"));
        let ints = Ok(table(Arc::new(Int64Array::from(vec![0, 1]))));
        assert!(compare(&a, &ints).unwrap().unwrap().contains("types differ"));
    }

    #[test]
    fn an_error_in_one_place_only_is_a_difference() {
        let rows = Ok(table(Arc::new(Int64Array::from(vec![1]))));
        let failed = || {
            Err(Failure {
                sqlstate: "22012".into(),
                message: "division by zero".into(),
                more: vec![],
            })
        };
        assert_eq!(compare(&failed(), &failed()).unwrap(), None);
        assert!(compare(&failed(), &rows).unwrap().is_some());
        assert!(compare(&rows, &failed()).unwrap().is_some());
    }
}
