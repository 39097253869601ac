//! Every catalog query that recorded clients sent plans and runs, but for those listed with their reason.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{DataType, Expr, Statement, Value, VisitMut, VisitorMut};

use super::{parse, sample};

const TRACES: &[(&str, &str)] = &[
    ("psql", include_str!("traces/psql.sql")),
    ("pgjdbc", include_str!("traces/pgjdbc.sql")),
    ("sqla_psycopg", include_str!("traces/sqla_psycopg.sql")),
    ("sqla_psycopg2", include_str!("traces/sqla_psycopg2.sql")),
    ("asyncpg", include_str!("traces/asyncpg.sql")),
    ("pgcli", include_str!("traces/pgcli.sql")),
    ("psycopg3", include_str!("traces/psycopg3.sql")),
    ("dbt", include_str!("traces/dbt.sql")),
    ("odbc", include_str!("traces/odbc.sql")),
    ("pandas", include_str!("traces/pandas.sql")),
    ("adbc", include_str!("traces/adbc.sql")),
    ("typeorm", include_str!("traces/node_typeorm.sql")),
    ("kysely", include_str!("traces/node_kysely.sql")),
    ("postgresjs", include_str!("traces/node_postgresjs.sql")),
];

/// Queries that may fail: a piece of their text and why.
const EXPECTED: &[(&str, &str)] =
    &[("CROSS JOIN UNNEST(conkey)", "a function in FROM of a column beside it")];

/// The statements of a trace, which sets each apart by a comment with its protocol.
fn statements(trace: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in trace.lines() {
        if line == "-- simple" || line == "-- extended" {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    all
}

/// Gives parameters values of the type that their place asks for.
struct Parameters;

impl VisitorMut for Parameters {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let value =
            |text: &str| Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span());
        let number = |n: &str| Expr::Value(Value::Number(n.to_owned(), false).with_empty_span());
        match expr {
            Expr::Cast { expr: inner, data_type, .. } if is_parameter(inner) => {
                **inner = match data_type {
                    DataType::Varchar(_) | DataType::Text => value("r"),
                    DataType::Regclass => value("pg_catalog.pg_class"),
                    DataType::Array(_) => value("{16385}"),
                    _ => number("1"),
                };
            }
            Expr::BinaryOp { left, right, .. }
                if is_parameter(right) && left.to_string().contains("attisdropped") =>
            {
                **right = value("t");
            }
            Expr::AnyOp { right, .. } if is_parameter(right) => **right = value("{r,v}"),
            e if is_parameter(e) => *e = value("16385"),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(v) if matches!(v.value, Value::Placeholder(_)))
}

#[tokio::test]
async fn recorded_catalog_queries_run() {
    let session = sample::session();
    let mut failures = Vec::new();
    let mut total = 0;
    for (client, trace) in TRACES {
        let mut passed = 0;
        let mut count = 0;
        for text in statements(trace) {
            let parsed = parse(&text);
            if let Err(error) = &parsed
                && text.to_lowercase().contains("pg_")
            {
                failures.push(format!("{client}: {error}\n{text}"));
            }
            for mut statement in parsed.unwrap_or_default() {
                if !matches!(statement, Statement::Query(_)) || !is_catalog_query(&statement) {
                    continue;
                }
                count += 1;
                let flow = VisitMut::visit(&mut statement, &mut Parameters);
                assert!(flow.is_continue(), "parameters never break off");
                match session.run(statement).await {
                    Ok(_) => passed += 1,
                    Err(error) => failures.push(format!("{client}: {error}\n{text}")),
                }
            }
        }
        println!("{client}: {passed}/{count}");
        total += count;
    }
    let unexpected: Vec<&String> =
        failures.iter().filter(|f| !EXPECTED.iter().any(|(piece, _)| f.contains(piece))).collect();
    println!("{} of {total} fail", failures.len());
    assert!(
        unexpected.is_empty(),
        "{}",
        unexpected.iter().map(|s| s.as_str()).collect::<Vec<_>>().join("\n\n")
    );
}

/// Whether a statement reads no relation of a user's.
fn is_catalog_query(statement: &Statement) -> bool {
    let text = statement.to_string().to_lowercase();
    let system = ["pg_", "current_", "version(", "information_schema"];
    system.iter().any(|word| text.contains(word)) && !text.contains("pg_sleep")
}
