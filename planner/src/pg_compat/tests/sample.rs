//! The catalog of the traces: schema `app` with tables, a view, a materialized view, a source and a sink.

use arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;

use levada_catalog::pg::{PgContext, PgRole, PgSession};
use levada_catalog::{Catalog, Change, ChangeSet, Column, Detail, Object, ObjectId};

use super::Session;

/// OIDs of the sample's objects.
pub(super) const APP: ObjectId = 16_384;
pub(super) const ORDERS: ObjectId = 16_385;
pub(super) const ITEMS: ObjectId = 16_386;
pub(super) const V: ObjectId = 16_387;
pub(super) const MV: ObjectId = 16_388;
pub(super) const FLIGHTS: ObjectId = 16_389;
pub(super) const LAKE: ObjectId = 16_390;

pub(super) fn session() -> Session {
    let context = PgContext {
        backend_pid: 4242,
        search_path: vec!["public".to_owned()],
        roles: vec![
            PgRole {
                name: "admin".to_owned(),
                superuser: true,
                login: true,
                member_of: Vec::new(),
            },
            PgRole {
                name: "analyst".to_owned(),
                superuser: false,
                login: true,
                member_of: vec!["reader".to_owned()],
            },
            PgRole {
                name: "reader".to_owned(),
                superuser: false,
                login: false,
                member_of: Vec::new(),
            },
        ],
        sessions: vec![PgSession {
            pid: 4242,
            role: "admin".to_owned(),
            application: "psql".to_owned(),
            client_address: Some("127.0.0.1".to_owned()),
            connected_at: 1_700_000_000_000_000,
            statement_at: None,
            state: "active".to_owned(),
            query: "select 1".to_owned(),
            interrupt: None,
        }]
        .into(),
        sizes: vec![(ORDERS, 16_384)],
        ..PgContext::default()
    };
    Session::new(catalog(), context)
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    let set = ChangeSet {
        changes: [schema(), orders(), items(), view(), materialized_view(), source(), sink()]
            .into_iter()
            .map(Change::Create)
            .collect(),
    };
    catalog.apply(&set);
    catalog
}

fn object(id: ObjectId, name: &str, schema: ObjectId, detail: Detail) -> Object {
    Object {
        id,
        name: name.to_owned(),
        schema,
        owner: "admin".to_owned(),
        comment: None,
        definition: String::new(),
        depends_on: if schema == 0 { Vec::new() } else { vec![schema] },
        detail,
    }
}

fn column(name: &str, data_type: DataType, nullable: bool) -> Column {
    Column { name: name.to_owned(), data_type, nullable, default: None }
}

fn schema() -> Object {
    object(APP, "app", 0, Detail::Schema { pipeline: None })
}

fn orders() -> Object {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let tags = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8View, true)));
    let default = Column { default: Some("now()".to_owned()), ..column("ts", utc, true) };
    let columns = vec![
        column("id", DataType::Int64, false),
        column("customer", DataType::Utf8View, false),
        column("amount", DataType::Decimal128(12, 2), true),
        default,
        column("tags", tags, true),
        column("meta", DataType::Utf8View, true),
    ];
    let detail = Detail::Table { columns, primary_key: vec!["id".to_owned()] };
    Object { comment: Some("orders".to_owned()), ..object(ORDERS, "orders", APP, detail) }
}

fn items() -> Object {
    let columns = vec![
        column("order_id", DataType::Int64, false),
        column("sku", DataType::Utf8View, false),
        column("qty", DataType::Int32, true),
    ];
    let primary_key = vec!["order_id".to_owned(), "sku".to_owned()];
    object(ITEMS, "items", APP, Detail::Table { columns, primary_key })
}

const QUERY: &str = "SELECT customer, sum(amount) AS total FROM app.orders GROUP BY customer";

fn totals() -> Vec<Column> {
    vec![
        column("customer", DataType::Utf8View, true),
        column("total", DataType::Decimal128(22, 2), true),
    ]
}

fn view() -> Object {
    let detail = Detail::View {
        columns: totals(),
        query: QUERY.to_owned(),
        search_path: vec!["public".to_owned()],
    };
    Object { depends_on: vec![APP, ORDERS], ..object(V, "v", APP, detail) }
}

fn materialized_view() -> Object {
    let detail = Detail::MaterializedView {
        columns: totals(),
        key: vec!["customer".to_owned()],
        query: QUERY.to_owned(),
        search_path: vec!["public".to_owned()],
        revision: 0,
    };
    Object { depends_on: vec![APP, ORDERS], ..object(MV, "mv", APP, detail) }
}

fn source() -> Object {
    let detail = Detail::Source {
        columns: vec![
            column("carrier", DataType::Utf8View, true),
            column("day", DataType::Date32, true),
        ],
        primary_key: Vec::new(),
        connector: "files".to_owned(),
        arguments: vec!["data/*.csv".to_owned()],
        options: vec![("secret_key".to_owned(), "s3cr3t".to_owned())],
        format: "csv".to_owned(),
        format_options: vec![("header".to_owned(), "true".to_owned())],
    };
    object(FLIGHTS, "Flights", levada_catalog::object::PUBLIC_OID, detail)
}

fn sink() -> Object {
    let detail = Detail::Sink {
        from: MV,
        connector: "files".to_owned(),
        arguments: vec!["out".to_owned()],
        options: Vec::new(),
        format: "parquet".to_owned(),
        format_options: Vec::new(),
        identity: "01KB0000000000000000000000".to_owned(),
        displaces: None,
    };
    object(LAKE, "lake", APP, detail)
}
