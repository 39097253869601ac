//! What a statement does, as far as the modes must know it: read from its syntax tree.

use datafusion::sql::sqlparser::ast::{self, ColumnOption, SetExpr, TableConstraint};
use levada_planner::parse::parse;
use levada_planner::statement::{CreatePipeline, IfExists, Name, Setting, Statement, Step};

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Changes rows of tables.
    Rows,
    /// Creates a table.
    CreateTable(Table),
    /// Creates materialized views.
    CreateViews(Vec<View>),
    /// May drop relations.
    Drop,
    /// Only reads.
    Read,
    /// Changes a setting of the session.
    Setting,
    /// Anything else: other objects, `WAIT FOR`, `CHECKPOINT`, text that does not parse.
    Other,
}

/// A table as created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name as SQL.
    pub name: String,
    /// Columns of the primary key.
    pub key: Vec<String>,
}

/// A materialized view as created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name as SQL.
    pub name: String,
    /// Its query.
    pub query: String,
    /// Schema searched first, for the steps of a pipeline.
    pub schema: Option<String>,
    /// Whether a view of that name is left alone: `IF NOT EXISTS`.
    pub if_missing: bool,
}

/// Reads a statement.
#[must_use]
pub fn classify(sql: &str) -> Class {
    match parse(sql).unwrap_or_default().as_slice() {
        [parsed] => of(&parsed.statement),
        _ => Class::Other,
    }
}

fn of(statement: &Statement) -> Class {
    match statement {
        Statement::Sql(statement) => of_sql(statement),
        Statement::CreateMaterializedView(view) => Class::CreateViews(vec![View {
            name: quoted(&view.name),
            query: view.query.text.clone(),
            schema: None,
            if_missing: view.if_exists == IfExists::Skip,
        }]),
        Statement::CreatePipeline(pipeline) => Class::CreateViews(steps(pipeline)),
        Statement::Drop(_) => Class::Drop,
        Statement::Setting(Setting::Set { .. } | Setting::Reset(_) | Setting::ResetAll) => {
            Class::Setting
        }
        Statement::Explain(_)
        | Statement::Show(_)
        | Statement::Describe(_)
        | Statement::CheckIncremental(_) => Class::Read,
        _ => Class::Other,
    }
}

fn steps(pipeline: &CreatePipeline) -> Vec<View> {
    let schema = &pipeline.name.name;
    let views = pipeline.steps.iter().filter_map(|step| match step {
        Step::Query(step) if step.materialized => Some(View {
            name: quoted(&Name::new(Some(schema), &step.name.name)),
            query: step.query.text.clone(),
            schema: Some(schema.clone()),
            if_missing: pipeline.if_exists == IfExists::Skip,
        }),
        _ => None,
    });
    views.collect()
}

fn quoted(name: &Name) -> String {
    let quote = |part: &String| format!("\"{}\"", part.replace('"', "\"\""));
    match &name.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&name.name)),
        None => quote(&name.name),
    }
}

fn of_sql(statement: &ast::Statement) -> Class {
    match statement {
        ast::Statement::Insert(_)
        | ast::Statement::Update(_)
        | ast::Statement::Delete(_)
        | ast::Statement::Merge(_)
        | ast::Statement::Truncate(_) => Class::Rows,
        ast::Statement::CreateTable(table) => Class::CreateTable(created(table)),
        ast::Statement::Drop { .. } => Class::Drop,
        ast::Statement::Query(query) => match query.body.as_ref() {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) => Class::Rows,
            _ => Class::Read,
        },
        _ => Class::Other,
    }
}

fn created(table: &ast::CreateTable) -> Table {
    let mut key = Vec::new();
    for column in &table.columns {
        let primary = |o: &ast::ColumnOptionDef| matches!(o.option, ColumnOption::PrimaryKey(_));
        if column.options.iter().any(primary) {
            key.push(column.name.value.clone());
        }
    }
    for constraint in &table.constraints {
        if let TableConstraint::PrimaryKey(primary) = constraint {
            key.extend(primary.columns.iter().map(|c| c.column.expr.to_string()));
        }
    }
    Table { name: table.name.to_string(), key }
}

#[cfg(test)]
mod tests {
    use super::{Class, Table, View, classify};

    #[test]
    fn a_table_carries_its_primary_key() {
        let table = |name: &str, key: &[&str]| {
            Class::CreateTable(Table {
                name: name.to_owned(),
                key: key.iter().map(|k| (*k).to_owned()).collect(),
            })
        };
        assert_eq!(classify("CREATE TABLE t (a int PRIMARY KEY, b text)"), table("t", &["a"]));
        assert_eq!(
            classify("CREATE TABLE s.t (a int, b int, PRIMARY KEY (a, b))"),
            table("s.t", &["a", "b"])
        );
    }

    #[test]
    fn statements_fall_into_their_classes() {
        assert_eq!(classify("INSERT INTO t VALUES (1)"), Class::Rows);
        assert_eq!(classify("UPDATE t SET a = 1"), Class::Rows);
        assert_eq!(classify("WITH x AS (SELECT 1) SELECT * FROM x"), Class::Read);
        assert_eq!(classify("SET search_path = s"), Class::Setting);
        assert_eq!(classify("DROP VIEW v"), Class::Drop);
        assert_eq!(classify("CREATE SOURCE s FROM FILES ('x') FORMAT CSV"), Class::Other);
    }

    #[test]
    fn views_and_materialized_steps_carry_their_query() {
        let view = |name: &str, query: &str, schema: Option<&str>| View {
            name: name.to_owned(),
            query: query.to_owned(),
            schema: schema.map(str::to_owned),
            if_missing: false,
        };
        assert_eq!(
            classify("CREATE MATERIALIZED VIEW s.V KEY (a) AS SELECT a FROM t"),
            Class::CreateViews(vec![view("\"s\".\"v\"", "SELECT a FROM t", None)])
        );
        assert_eq!(
            classify("CREATE PIPELINE p (x AS (SELECT 1), y MATERIALIZED AS (SELECT * FROM x))"),
            Class::CreateViews(vec![view("\"p\".\"y\"", "SELECT * FROM x", Some("p"))])
        );
    }
}
