//! Orders: what rows are kept by, with nothing left to chance.
//!
//! An order is completed by all columns that it does not name, ascending and NULLs last, so that equal
//! sort keys do not leave the order of rows open. [`break_ties`](super::break_ties) does the same to the
//! query that runs as a batch.

use arrow::compute::SortOptions;
use arrow::row::{RowConverter, SortField};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, SortExpr};

use super::Builder;
use crate::delta_plan::{NodeId, SortKey};
use crate::error::Result;

/// Rows by partition and order.
pub(super) struct Ordered {
    /// The rows, with a column for each expression.
    pub(super) input: NodeId,
    /// Columns of the partition.
    pub(super) partition: Vec<usize>,
    /// All other columns, those that were asked for first.
    pub(super) order: Vec<SortKey>,
    /// How many of `order` were asked for.
    pub(super) asked: usize,
}

impl Builder<'_> {
    /// `input`, whose first columns are those of `schema`, by `partition` and `order`; none if a column has
    /// no order or there is no column.
    pub(super) fn ordered(
        &mut self,
        input: NodeId,
        schema: &DFSchema,
        partition: &[Expr],
        order: &[SortExpr],
    ) -> Result<Option<Ordered>> {
        let by_order = order.iter().map(|key| &key.expr);
        let exprs: Vec<&Expr> = partition.iter().chain(by_order).collect();
        let (input, positions) = self.with_columns(input, schema, &exprs)?;
        let (by_partition, by_order) = positions.split_at(partition.len());
        let mut partition: Vec<usize> = Vec::new();
        for column in by_partition {
            if !partition.contains(column) {
                partition.push(*column);
            }
        }
        let asked = by_order.iter().zip(order).map(|(column, key)| SortKey {
            column: *column,
            options: SortOptions { descending: !key.asc, nulls_first: key.nulls_first },
        });
        let rest = (0..self.nodes[input].schema.fields().len()).map(|column| SortKey {
            column,
            options: SortOptions { descending: false, nulls_first: false },
        });
        let mut keys: Vec<SortKey> = Vec::new();
        let complete = |keys: &mut Vec<SortKey>, more: &mut dyn Iterator<Item = SortKey>| {
            for key in more {
                if !partition.contains(&key.column) && keys.iter().all(|k| k.column != key.column) {
                    keys.push(key);
                }
            }
            keys.len()
        };
        let asked = complete(&mut keys, &mut asked.into_iter());
        complete(&mut keys, &mut rest.into_iter());
        let fields = self.nodes[input].schema.fields();
        let fields: Vec<SortField> =
            fields.iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let has_order = !fields.is_empty() && RowConverter::supports_fields(&fields);
        Ok(has_order.then_some(Ordered { input, partition, order: keys, asked }))
    }
}
