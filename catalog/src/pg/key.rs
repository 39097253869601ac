//! Declared keys: `pg_index` and `pg_constraint`.
//!
//! A table's or source's primary key is a constraint with a unique index; a materialized view's `KEY` is a
//! unique index alone, as `PostgreSQL` has no constraints on views. Neither index exists as a structure of its
//! own: the key is what the relation is stored and updated by.

use super::table::{Table, Value};
use super::{View, of_arrow, oid};
use crate::object::{Column, Object, ObjectId, ObjectKind};

/// The declared key of a relation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) object: &'a Object,
    columns: &'a [Column],
}

impl<'a> Key<'a> {
    pub(super) fn of(object: &'a Object) -> Option<Self> {
        let columns = object.columns()?;
        (!object.key().is_empty()).then_some(Self { object, columns })
    }

    pub(super) fn is_primary(&self) -> bool {
        self.object.kind() != ObjectKind::MaterializedView
    }

    /// Name of the index, and of the constraint.
    pub(super) fn name(&self) -> String {
        if self.is_primary() {
            format!("{}_pkey", self.object.name)
        } else {
            format!("{}_{}_key", self.object.name, self.object.key().join("_"))
        }
    }

    /// The key's columns with their numbers in the relation.
    pub(super) fn columns(self) -> impl Iterator<Item = (i16, &'a Column)> {
        let columns = self.columns;
        self.object.key().iter().filter_map(move |name| {
            let position = columns.iter().position(|c| c.name == *name)?;
            Some((i16::try_from(position + 1).ok()?, &columns[position]))
        })
    }

    fn numbers(&self) -> Vec<i16> {
        self.columns().map(|(number, _)| number).collect()
    }
}

/// All declared keys.
pub(super) fn keys<'a>(view: &View<'a>) -> impl Iterator<Item = Key<'a>> {
    view.catalog.objects().filter_map(|o| Key::of(o))
}

pub(super) fn indexes(table: &mut Table, view: &View<'_>) {
    for key in keys(view) {
        let numbers = key.numbers();
        let width = Value::Int(i64::try_from(numbers.len()).unwrap_or(0));
        let collations: Vec<u32> = key.columns().map(|(_, c)| collation(c)).collect();
        let classes: Vec<u32> = key.columns().map(|(_, c)| operator_class(c)).collect();
        table.push([
            ("indexrelid", oid::key_index(key.object.id).into()),
            ("indrelid", key.object.id.into()),
            ("indnatts", width.clone()),
            ("indnkeyatts", width),
            ("indisunique", true.into()),
            ("indisprimary", key.is_primary().into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indoption", vec![0_i16; numbers.len()].into()),
            ("indkey", numbers.into()),
            ("indcollation", collations.into()),
            ("indclass", classes.into()),
        ]);
    }
}

pub(super) fn constraints(table: &mut Table, view: &View<'_>) {
    for key in keys(view).filter(Key::is_primary) {
        table.push([
            ("oid", oid::key_constraint(key.object.id).into()),
            ("conname", key.name().into()),
            ("connamespace", key.object.schema.into()),
            ("contype", "p".into()),
            ("convalidated", true.into()),
            ("conrelid", key.object.id.into()),
            ("conindid", oid::key_index(key.object.id).into()),
            ("confupdtype", " ".into()),
            ("confdeltype", " ".into()),
            ("confmatchtype", " ".into()),
            ("conislocal", true.into()),
            ("connoinherit", true.into()),
            ("conkey", key.numbers().into()),
        ]);
    }
}

fn collation(column: &Column) -> ObjectId {
    super::type_by_oid(of_arrow(&column.data_type).0).map_or(0, |t| t.collation)
}

/// The default btree operator class of a column's type.
fn operator_class(column: &Column) -> ObjectId {
    let column_type = of_arrow(&column.data_type).0;
    super::fixed::operator_class_of(column_type)
}
