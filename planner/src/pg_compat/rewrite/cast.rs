//! Casts: type names that DataFusion does not know, and the reg* types.
//!
//! A reg* type is an OID inside a query and a name outside. `x::regclass` is `regclassin(x)`, an OID, wherever it is
//! compared; cast on to text, or as an output column, it is `regclassout(regclassin(x))`.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
    SelectItem, SetExpr,
};

use super::build::{array, array_items, call, last_name, literal_text};

/// The reg* types with their input and output functions.
const REG_TYPES: &[(&str, &str, &str)] = &[
    ("regclass", "regclassin", "regclassout"),
    ("regtype", "regtypein", "regtypeout"),
    ("regproc", "regprocin", "regprocout"),
    ("regprocedure", "regprocin", "regprocout"),
    ("regnamespace", "regnamespacein", "regnamespaceout"),
    ("regrole", "regrolein", "regroleout"),
];

/// What a type name stands for.
enum Target {
    /// What the parser made of it.
    Same,
    /// Another name of a type that DataFusion knows.
    Type(DataType),
    /// A reg* type, by its input function.
    Reg(&'static str),
    /// An array of a reg* type.
    RegArray,
}

pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    match target(data_type) {
        Target::Reg(input) => *expr = call(input, vec![take(inner)]),
        Target::RegArray => *expr = call("regtypesout", vec![take(inner)]),
        Target::Type(other) => {
            *data_type = other;
            finish(expr);
        }
        Target::Same => finish(expr),
    }
}

/// Makes an output expression of a reg* type print names; looks into scalar subqueries.
pub(super) fn print(expr: &mut Expr) {
    if let Some((_, _, output)) = reg_call(expr) {
        let inner = take(expr);
        *expr = call(output, vec![inner]);
        return;
    }
    match expr {
        Expr::Nested(inner) => print(inner),
        Expr::Case { conditions, else_result, .. } => {
            for branch in conditions {
                print(&mut branch.result);
            }
            if let Some(result) = else_result {
                print(result);
            }
        }
        Expr::Subquery(query) => {
            if let SetExpr::Select(select) = query.body.as_mut() {
                for item in &mut select.projection {
                    if let SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } =
                        item
                    {
                        print(e);
                    }
                }
            }
        }
        _ => {}
    }
}

/// Casts to known types: texts of arrays are parsed, reg* values printed.
fn finish(expr: &mut Expr) {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return };
    if let (DataType::Array(_), Some(items)) =
        (&*data_type, literal_text(inner).and_then(array_items))
    {
        **inner = array(items);
        return;
    }
    if let Some((_, _, output)) = reg_call(inner)
        && is_text(data_type)
    {
        let value = take(inner);
        *expr = call(output, vec![value]);
    }
}

/// The reg* type whose input function an expression calls.
fn reg_call(expr: &Expr) -> Option<(&'static str, &'static str, &'static str)> {
    let function = match expr {
        Expr::Function(function) => function,
        Expr::Nested(inner) => return reg_call(inner),
        _ => return None,
    };
    let name = last_name(&function.name)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(_))] = list.args.as_slice() else {
        return None;
    };
    REG_TYPES.iter().find(|(_, input, _)| *input == name).copied()
}

fn target(data_type: &DataType) -> Target {
    match data_type {
        DataType::Regclass => Target::Reg("regclassin"),
        DataType::Custom(name, _) => named(name),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, size)) => match target(item) {
            Target::Same => Target::Same,
            Target::Type(item) => Target::Type(DataType::Array(ArrayElemTypeDef::SquareBracket(
                Box::new(item),
                *size,
            ))),
            Target::Reg(_) | Target::RegArray => Target::RegArray,
        },
        _ => Target::Same,
    }
}

fn named(name: &ObjectName) -> Target {
    let Some(word) = last_name(name) else { return Target::Same };
    if let Some((_, input, _)) = REG_TYPES.iter().find(|(reg, _, _)| *reg == word) {
        return Target::Reg(input);
    }
    let known = match word.as_str() {
        "text" | "name" | "char" | "varchar" | "bpchar" | "cstring" | "citext" | "inet"
        | "cidr" | "pg_lsn" | "pg_node_tree" | "aclitem" | "xml" | "unknown" => DataType::Text,
        "oid" | "xid" | "cid" => DataType::IntUnsigned(None),
        "bool" => DataType::Bool,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Int(None),
        "int8" | "xid8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "bytea" => DataType::Bytea,
        "date" => DataType::Date,
        "int2vector" => array_type(DataType::SmallInt(None)),
        "oidvector" => array_type(DataType::IntUnsigned(None)),
        _ => return Target::Same,
    };
    Target::Type(known)
}

fn array_type(item: DataType) -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::String(_)
    )
}

/// The expression, leaving NULL in its place.
pub(in crate::pg_compat) fn take(expr: &mut Expr) -> Expr {
    let null = datafusion::sql::sqlparser::ast::Value::Null.with_empty_span();
    std::mem::replace(expr, Expr::Value(null))
}
