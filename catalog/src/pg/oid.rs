//! OIDs of what belongs to an object without being one.
//!
//! `PostgreSQL` numbers a key's index and constraint, a relation's row type and a column's default. Here they are
//! functions of their owner's OID, in ranges far above any owner: equal after a restart, never reused,
//! and below 2^31, since some clients read OIDs as signed.

use crate::object::{FIRST_USER_OID, ObjectId};

const RANGE: u32 = 1 << 28;

/// Index of the relation's declared key.
#[must_use]
pub fn key_index(relation: ObjectId) -> ObjectId {
    derived(1, relation)
}

/// Constraint of the relation's declared key.
#[must_use]
pub fn key_constraint(relation: ObjectId) -> ObjectId {
    derived(2, relation)
}

/// The relation's row type.
#[must_use]
pub fn row_type(relation: ObjectId) -> ObjectId {
    derived(3, relation)
}

/// Array of the relation's row type.
#[must_use]
pub fn row_array_type(relation: ObjectId) -> ObjectId {
    derived(4, relation)
}

/// The rule that holds a view's query.
#[must_use]
pub fn rewrite_rule(relation: ObjectId) -> ObjectId {
    derived(5, relation)
}

/// The default of a column, by its number from 1.
#[must_use]
pub fn default_of(relation: ObjectId, column: i16) -> ObjectId {
    let column = u32::try_from(column).unwrap_or(0);
    derived(6, relation.wrapping_mul(1_601).wrapping_add(column))
}

/// The relation whose key index has that OID.
#[must_use]
pub fn relation_of_key_index(oid: ObjectId) -> Option<ObjectId> {
    owner(1, oid)
}

/// The relation whose key constraint has that OID.
#[must_use]
pub fn relation_of_key_constraint(oid: ObjectId) -> Option<ObjectId> {
    owner(2, oid)
}

/// The relation whose row type has that OID.
#[must_use]
pub fn relation_of_row_type(oid: ObjectId) -> Option<ObjectId> {
    owner(3, oid)
}

/// The relation whose row type's array has that OID.
#[must_use]
pub fn relation_of_row_array_type(oid: ObjectId) -> Option<ObjectId> {
    owner(4, oid)
}

/// The relation whose rule has that OID.
#[must_use]
pub fn relation_of_rewrite_rule(oid: ObjectId) -> Option<ObjectId> {
    owner(5, oid)
}

fn derived(range: u32, owner: u32) -> ObjectId {
    range * RANGE + owner % RANGE
}

fn owner(range: u32, oid: ObjectId) -> Option<ObjectId> {
    (oid / RANGE == range && oid % RANGE >= FIRST_USER_OID).then_some(oid % RANGE)
}
