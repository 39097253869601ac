//! `NOT IN` over a subquery that may hold NULLs.
//!
//! ```text
//! a.k NOT IN B  =  B is empty, or a.k is not NULL, no b is NULL and no b equals a.k
//!
//!   Join cross where empty or (k is not null and not has_null)
//!     Join anti on [k = b]                      rows of A without an equal b
//!     Distinct                                  changes only when one of the two answers does
//!       Project [count(*) = 0, count(b) <> count(*)]
//!         Aggregate [count(*), count(b)]
//! ```
//! So a row costs what it costs in an anti join, and the whole of A is looked at only when B gets its
//! first row or its first NULL, or loses its last.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNotNullExpr, Literal, NotExpr};
use datafusion::scalar::ScalarValue;

use super::{Builder, column};
use crate::delta_plan::{
    Aggregate, AggregateCall, AggregateFunction, Expression, Join, JoinKind, NodeId, Op, Properties,
};

type Physical = Arc<dyn PhysicalExpr>;

impl Builder<'_> {
    /// The first `width` columns of the left input where its column `keys.0` is not in column `keys.1` of
    /// the right one.
    pub(super) fn not_in(
        &mut self,
        [left, right]: [NodeId; 2],
        keys: (usize, usize),
        width: usize,
        schema: SchemaRef,
    ) -> NodeId {
        let gate = self.gate(right, keys.1);
        let left_schema = Arc::clone(&self.nodes[left].schema);
        let left_width = left_schema.fields().len();
        let anti = Join {
            kind: JoinKind::Anti,
            left_keys: vec![keys.0],
            right_keys: vec![keys.1],
            null_equals_null: false,
            residual: None,
            output: (0..left_width).collect(),
        };
        let right_width = self.nodes[right].schema.fields().len();
        let widths = (left_width, right_width);
        let key = Column::new(left_schema.field(keys.0).name(), keys.0);
        let anti = self.add_join(anti, [left, right], widths, left_schema);
        let residual = or(
            Arc::new(Column::new("empty", left_width)),
            and(
                Arc::new(IsNotNullExpr::new(Arc::new(key))),
                Arc::new(NotExpr::new(Arc::new(Column::new("has_null", left_width + 1)))),
            ),
        );
        let passed = Join {
            kind: JoinKind::Inner,
            left_keys: Vec::new(),
            right_keys: Vec::new(),
            null_equals_null: false,
            residual: Some(expression(residual)),
            output: (0..width).collect(),
        };
        self.add_join(passed, [anti, gate], (width, 0), schema)
    }

    /// One row: whether the input is empty, and whether its column `key` has a NULL.
    fn gate(&mut self, input: NodeId, key: usize) -> NodeId {
        let count = |argument: Option<usize>, input_type: &DataType| AggregateCall {
            function: AggregateFunction::Count,
            argument,
            filter: None,
            distinct: false,
            input_type: input_type.clone(),
            output_type: DataType::Int64,
        };
        let key_type = self.nodes[input].schema.field(key).data_type();
        let calls = vec![count(None, &DataType::Int64), count(Some(key), key_type)];
        let counts = fields(["rows", "values"], &DataType::Int64);
        let properties = Properties { insert_only: false, unique_keys: vec![Vec::new()] };
        let op = Op::Aggregate(Aggregate { keys: Vec::new(), calls });
        let counts = self.add(op, vec![input], counts, properties.clone());
        let [rows, values] = [0, 1].map(|i| column(&self.nodes[counts].schema, i).physical);
        let zero: Physical = Arc::new(Literal::new(ScalarValue::Int64(Some(0))));
        let answers = vec![
            expression(binary(Arc::clone(&rows), Operator::Eq, zero)),
            expression(binary(values, Operator::NotEq, rows)),
        ];
        let schema = fields(["empty", "has_null"], &DataType::Boolean);
        let op = Op::Project(answers);
        let answers = self.add(op, vec![counts], Arc::clone(&schema), properties.clone());
        self.add(Op::Distinct, vec![answers], schema, properties)
    }
}

fn fields<const N: usize>(names: [&str; N], data_type: &DataType) -> SchemaRef {
    let fields = names.map(|name| Field::new(name, data_type.clone(), true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn expression(physical: Physical) -> Expression {
    Expression { text: physical.to_string(), physical }
}

fn binary(left: Physical, operator: Operator, right: Physical) -> Physical {
    Arc::new(BinaryExpr::new(left, operator, right))
}

fn and(left: Physical, right: Physical) -> Physical {
    binary(left, Operator::And, right)
}

fn or(left: Physical, right: Physical) -> Physical {
    binary(left, Operator::Or, right)
}
