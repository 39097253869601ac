//! The condition of a join beyond the equality of its keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use levada_planner::delta_plan::Expression;
use levada_storage::delta::{DeltaBatch, ErrorRow, Weights};

use crate::error::Result;
use crate::operator::evaluate::{batch_of, evaluate_rows, true_rows};

/// The columns of the concatenation that an expression reads.
pub(super) fn columns_of(expression: &Expression) -> BTreeSet<usize> {
    collect_columns(&expression.physical).iter().map(Column::index).collect()
}

/// The condition, over just the columns it reads.
#[derive(Debug)]
pub(super) struct Residual {
    predicate: Arc<dyn PhysicalExpr>,
    columns: Vec<(usize, usize)>,
    schema: SchemaRef,
}

impl Residual {
    /// Rewrites `expression` over the concatenation to its own columns; `place` gives side and stored
    /// column of a column of the concatenation.
    pub(super) fn new(
        expression: &Expression,
        place: &dyn Fn(usize) -> (usize, usize),
        schemas: [&SchemaRef; 2],
    ) -> Result<Self> {
        let read: Vec<usize> = columns_of(expression).into_iter().collect();
        let columns: Vec<(usize, usize)> = read.iter().map(|c| place(*c)).collect();
        let fields = columns.iter().map(|(side, c)| Arc::clone(&schemas[*side].fields()[*c]));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let predicate = Arc::clone(&expression.physical).transform_up(|e| {
            let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
            let index = read.binary_search(&column.index()).unwrap_or_default();
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), index));
            Ok(Transformed::yes(column))
        })?;
        Ok(Self { predicate: predicate.data, columns, schema })
    }

    /// Side and stored column of each column it reads.
    pub(super) fn columns(&self) -> &[(usize, usize)] {
        &self.columns
    }

    /// Which pairs it is true for, given its columns; pairs it fails for go to `err`.
    pub(super) fn check(
        &self,
        columns: Vec<ArrayRef>,
        rows: usize,
        weights: &Weights,
        err: &mut Vec<(ErrorRow, i64)>,
    ) -> Result<Vec<bool>> {
        let pairs = batch_of(&self.schema, columns, rows)?;
        // The number of a pair travels as its weight, so that the parts can be put together again.
        let mut keep = vec![false; rows];
        let mut numbered = DeltaBatch::inserts(pairs);
        numbered.weights = Weights::Each((0..).take(rows).collect());
        let evaluate = |rows: &_| true_rows(&self.predicate, rows);
        let mut pass = |part: &DeltaBatch, mask: BooleanArray| {
            for (i, value) in mask.values().iter().enumerate() {
                if let Some(flag) =
                    usize::try_from(part.weights.get(i)).ok().and_then(|n| keep.get_mut(n))
                {
                    *flag = value;
                }
            }
            Ok(())
        };
        let mut failed = Vec::new();
        evaluate_rows(&numbered, &evaluate, &mut pass, &mut failed)?;
        err.extend(
            failed
                .into_iter()
                .map(|(row, number)| (row, usize::try_from(number).map_or(0, |n| weights.get(n)))),
        );
        Ok(keep)
    }
}
