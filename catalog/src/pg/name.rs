//! Names: quoting, parsing, resolving along the search path, and what is visible without its schema.

use super::class::{Class, class, classes};
use super::{PgContext, PgSystemTable, relation};
use crate::Catalog;
use crate::object::{INFORMATION_SCHEMA_OID, ObjectId, PG_CATALOG_OID};

/// Words that are no names unless quoted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// A name as SQL needs it: quoted unless it is a plain lower-case word.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if starts_well && name.chars().all(plain) && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as a SQL literal.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The parts of a dotted name, folded unless quoted; `None` when it is malformed.
#[must_use]
pub fn parse_identifiers(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' if chars.next_if_eq(&'"').is_none() => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && *c != '"' && !c.is_whitespace()) {
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

/// The OID of a schema.
#[must_use]
pub fn namespace_oid(catalog: &Catalog, name: &str) -> Option<ObjectId> {
    catalog.find(0, name).map(|s| s.id)
}

/// The name of a schema.
#[must_use]
pub fn namespace_name(catalog: &Catalog, oid: ObjectId) -> Option<&str> {
    catalog.get(oid).filter(|o| o.schema == 0).map(|o| o.name.as_str())
}

/// The OID of the relation a text names, as `to_regclass` finds it; digits are an OID already.
#[must_use]
pub fn resolve_relation(catalog: &Catalog, context: &PgContext, text: &str) -> Option<ObjectId> {
    if let Ok(oid) = text.trim().parse() {
        return Some(oid);
    }
    let parts = parse_identifiers(text)?;
    match parts.as_slice() {
        [name] => context
            .effective_path()
            .into_iter()
            .filter_map(|schema| namespace_oid(catalog, schema))
            .find_map(|schema| relation_in(catalog, context, schema, name)),
        [schema, name] | [_, schema, name] => {
            relation_in(catalog, context, namespace_oid(catalog, schema)?, name)
        }
        _ => None,
    }
}

/// A relation's name as `regclass` prints it: bare when visible, else with its schema.
#[must_use]
pub fn relation_name(catalog: &Catalog, context: &PgContext, oid: ObjectId) -> Option<String> {
    let class = class(catalog, context, oid)?;
    if is_visible(catalog, context, &class) {
        return Some(quote_identifier(&class.name));
    }
    Some(qualified_name(catalog, &class))
}

/// A relation's name with its schema.
#[must_use]
pub fn qualified_name(catalog: &Catalog, class: &Class<'_>) -> String {
    let schema = namespace_name(catalog, class.namespace).unwrap_or_default();
    format!("{}.{}", quote_identifier(schema), quote_identifier(&class.name))
}

/// Whether the bare name of a relation finds it.
#[must_use]
pub fn is_visible(catalog: &Catalog, context: &PgContext, class: &Class<'_>) -> bool {
    for schema in context.effective_path() {
        let Some(namespace) = namespace_oid(catalog, schema) else { continue };
        if namespace == class.namespace {
            return true;
        }
        if relation_in(catalog, context, namespace, &class.name).is_some() {
            return false;
        }
    }
    false
}

/// The relation of that name in a schema, indexes of keys included.
#[must_use]
pub fn relation_in(
    catalog: &Catalog,
    context: &PgContext,
    namespace: ObjectId,
    name: &str,
) -> Option<ObjectId> {
    let system = match namespace {
        PG_CATALOG_OID => "pg_catalog",
        INFORMATION_SCHEMA_OID => "information_schema",
        _ => {
            let object = catalog.find(namespace, name).and_then(|o| Class::of_object(o));
            return object.map(|c| c.oid).or_else(|| unnamed_in(catalog, context, namespace, name));
        }
    };
    relation(name).filter(|r| r.schema == system).map(|r| r.oid)
}

/// The key's index or system relation of that name.
fn unnamed_in(
    catalog: &Catalog,
    context: &PgContext,
    namespace: ObjectId,
    name: &str,
) -> Option<ObjectId> {
    let in_schema = |t: &&PgSystemTable| t.namespace == namespace && t.name == name;
    if let Some(table) = context.system_tables.iter().find(in_schema) {
        return Some(table.oid);
    }
    if !name.ends_with("_pkey") && !name.ends_with("_key") {
        return None;
    }
    let indexes = classes(catalog, context).filter(|c| c.kind == 'i' && c.namespace == namespace);
    indexes.filter(|c| c.name == name).map(|c| c.oid).next()
}
