//! `GROUPING SETS`, `ROLLUP`, `CUBE`: every row once per set.
//!
//! ```text
//! rows -> for each set with keys: (row, keys of the set or NULL, id of the set) -> union
//!      -> groups by (keys, id)
//! rows -> for each set without keys: one group                    all of them in a union
//! ```
//! The id tells a set's NULL from a NULL among the values, and a set from its repetitions; `grouping()` is
//! read off it. A set without keys has its one group even over no rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result as DataFusionResult, ScalarValue, not_impl_err};
use datafusion::logical_expr::{Expr, GroupingSet};
use datafusion::physical_expr::expressions::Literal;

use super::call::Planned;
use crate::delta_plan::{Expression, NodeId, Op, Properties};
use crate::error::Result;
use crate::incremental::{Builder, column};

/// The sets of a grouping.
pub(super) struct GroupingSets<'a> {
    keys: Vec<&'a Expr>,
    /// Per set which keys are not in it, and how many equal sets stand before it.
    sets: Vec<(Vec<bool>, u64)>,
}

impl<'a> GroupingSets<'a> {
    /// The sets that `group_expr` is, if it is no plain list of keys.
    pub(super) fn of(group_expr: &'a [Expr]) -> DataFusionResult<Option<Self>> {
        let [Expr::GroupingSet(sets)] = group_expr else {
            if group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
                return not_impl_err!("grouping sets beside other keys");
            }
            return Ok(None);
        };
        let keys = sets.distinct_expr();
        let n = keys.len();
        let absent = match sets {
            GroupingSet::Rollup(_) => {
                (0..=n).map(|kept| (0..n).map(|i| i >= kept).collect()).collect()
            }
            GroupingSet::Cube(_) => {
                (0..1u64 << n).map(|set| (0..n).map(|i| set >> i & 1 == 1).collect()).collect()
            }
            GroupingSet::GroupingSets(sets) => {
                let absent = |set: &Vec<Expr>| keys.iter().map(|k| !set.contains(k)).collect();
                sets.iter().map(absent).collect::<Vec<Vec<bool>>>()
            }
        };
        let mut seen: HashMap<Vec<bool>, u64> = HashMap::new();
        let numbered = absent.into_iter().map(|set| {
            let count = seen.entry(set.clone()).or_insert(0);
            *count += 1;
            (set, *count - 1)
        });
        let sets = numbered.collect();
        Ok(Some(Self { keys, sets }))
    }

    /// All keys, in output order.
    pub(super) fn keys(&self) -> Vec<&'a Expr> {
        self.keys.clone()
    }
}

/// The id of a set: a bit per key that is not in it, the last key's lowest, then its number among equals.
fn id(absent: &[bool], number: u64, data_type: &DataType) -> DataFusionResult<ScalarValue> {
    let bits = absent.iter().fold(0u64, |id, absent| id << 1 | u64::from(*absent));
    let id = bits | number.checked_shl(u32::try_from(absent.len()).unwrap_or(64)).unwrap_or(0);
    ScalarValue::UInt64(Some(id)).cast_to(data_type)
}

fn constant(value: ScalarValue) -> Expression {
    let text = format!("{value:?}");
    Expression { physical: Arc::new(Literal::new(value)), text }
}

impl Builder<'_> {
    pub(super) fn grouping_sets(
        &mut self,
        input: NodeId,
        keys: &[usize],
        sets: &GroupingSets,
        (calls, at): (&[Planned], &[usize]),
        schema: SchemaRef,
    ) -> Result<NodeId> {
        let mut parts = Vec::new();
        let mut copies = Vec::new();
        let group = &schema.fields()[..=keys.len()];
        for (absent, number) in &sets.sets {
            let id = id(absent, *number, group[keys.len()].data_type())?;
            if absent.iter().all(|a| *a) {
                parts.push(self.one_group(input, id, calls, at, &schema)?);
            } else {
                copies.push(self.copy(input, keys, absent, id, group)?);
            }
        }
        if let Some(first) = copies.first() {
            let from = SchemaRef::clone(&self.nodes[*first].schema);
            let width = from.fields().len() - group.len();
            let keys = (width..from.fields().len()).collect();
            let rows = self.union_of(copies, from);
            parts.push(self.groups(rows, keys, calls, at, SchemaRef::clone(&schema)));
        }
        Ok(self.union_of(parts, schema))
    }

    fn union_of(&mut self, parts: Vec<NodeId>, schema: SchemaRef) -> NodeId {
        match parts[..] {
            [only] => only,
            _ => self.add(Op::Union, parts, schema, Properties::default()),
        }
    }

    /// The rows of `input` with the keys and the id of a set behind them.
    fn copy(
        &mut self,
        input: NodeId,
        keys: &[usize],
        absent: &[bool],
        id: ScalarValue,
        group: &[arrow::datatypes::FieldRef],
    ) -> Result<NodeId> {
        let node = &self.nodes[input];
        let insert_only = node.properties.insert_only;
        let width = node.schema.fields().len();
        let mut exprs: Vec<Expression> = (0..width).map(|i| column(&node.schema, i)).collect();
        for ((key, absent), field) in keys.iter().zip(absent).zip(group) {
            exprs.push(if *absent {
                constant(ScalarValue::try_from(field.data_type())?)
            } else {
                column(&node.schema, *key)
            });
        }
        exprs.push(constant(id));
        let plain =
            |f: &arrow::datatypes::FieldRef| Field::new(f.name(), f.data_type().clone(), true);
        let fields = node.schema.fields().iter().chain(group).map(plain);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = Properties { insert_only, unique_keys: Vec::new() };
        Ok(self.add(Op::Project(exprs), vec![input], schema, properties))
    }

    /// The one group of a set without keys.
    fn one_group(
        &mut self,
        input: NodeId,
        id: ScalarValue,
        calls: &[Planned],
        at: &[usize],
        schema: &SchemaRef,
    ) -> Result<NodeId> {
        let keys = schema.fields().len() - calls.len() - 1;
        let results = Arc::new(Schema::new(schema.fields()[keys + 1..].to_vec()));
        let group = self.groups(input, Vec::new(), calls, at, SchemaRef::clone(&results));
        let mut exprs = Vec::with_capacity(schema.fields().len());
        for field in &schema.fields()[..keys] {
            exprs.push(constant(ScalarValue::try_from(field.data_type())?));
        }
        exprs.push(constant(id));
        exprs.extend((0..calls.len()).map(|i| column(&results, i)));
        Ok(self.add(
            Op::Project(exprs),
            vec![group],
            SchemaRef::clone(schema),
            Properties::default(),
        ))
    }
}
