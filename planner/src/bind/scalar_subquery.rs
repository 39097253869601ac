//! Scalar subqueries of which it is not known that they have one row at most.
//!
//! DataFusion joins a scalar subquery and takes each of its rows. Here the rows are gathered first, and the value
//! is taken where it is used, so that only a row that uses it fails (21000):
//!
//! ```text
//! (SELECT x FROM u WHERE u.id = t.id)   becomes   subquery_value((SELECT subquery_rows(x) FROM u WHERE ...))
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, LogicalPlan,
    LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery,
    Volatility,
};

use crate::named::rewrite_parts;
use crate::pg_compat;

/// `plan` with such subqueries checked when they are used.
pub(super) fn check(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(checked)?.data)
}

fn checked(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    rewrite_parts(plan, |e| match e {
        Expr::ScalarSubquery(subquery) if subquery.subquery.max_rows().is_none_or(|n| n > 1) => {
            Ok(Transformed::yes(value_of(subquery)?))
        }
        other => Ok(Transformed::no(other)),
    })
}

fn value_of(subquery: Subquery) -> Result<Expr> {
    let [(qualifier, field)] = subquery.subquery.schema().iter().collect::<Vec<_>>()[..] else {
        return Ok(Expr::ScalarSubquery(subquery));
    };
    let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
    let rows = AggregateUDF::from(Rows::new()).call(vec![column]).alias(field.name());
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone());
    let plan = plan.aggregate(Vec::<Expr>::new(), vec![rows])?.build()?;
    let gathered = Subquery { subquery: Arc::new(plan), ..subquery };
    Ok(ScalarUDF::new_from_impl(Value::new()).call(vec![Expr::ScalarSubquery(gathered)]))
}

/// The rows as a list: of none, of the one value, or of two NULLs where there are more.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rows {
    signature: Signature,
}

impl Rows {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

fn item(value: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(value.clone(), true))
}

impl AggregateUDFImpl for Rows {
    fn name(&self) -> &'static str {
        "subquery_rows"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [value] = types else { return internal_err!("subquery_rows of {types:?}") };
        Ok(DataType::List(item(value)))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let DataType::List(item) = args.return_type() else {
            return internal_err!("subquery_rows gives a list");
        };
        Ok(Box::new(Gathered { value: item.data_type().clone(), rows: Vec::new() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[rows]", args.name);
        Ok(vec![Arc::new(Field::new(name, args.return_type().clone(), true))])
    }
}

/// The rows seen: two at most.
#[derive(Debug)]
struct Gathered {
    value: DataType,
    rows: Vec<ScalarValue>,
}

impl Gathered {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        for i in 0..values.len().min(2 - self.rows.len().min(2)) {
            self.rows.push(ScalarValue::try_from_array(values, i)?);
        }
        Ok(())
    }

    fn list(&self) -> Result<ScalarValue> {
        // More than one row is an error whatever they are: no order shows.
        let null = ScalarValue::try_from(&self.value)?;
        let rows = if self.rows.len() > 1 { vec![null.clone(), null] } else { self.rows.clone() };
        Ok(ScalarValue::List(ScalarValue::new_list_nullable(&rows, &self.value)))
    }
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.list()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.iter().map(ScalarValue::size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.list()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|list| self.add(&list))
    }
}

/// The value of a list of one row; NULL of none.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Value {
    signature: Signature,
}

impl Value {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Value {
    fn name(&self) -> &'static str {
        "subquery_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(item)] => Ok(item.data_type().clone()),
            other => internal_err!("subquery_value of {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let lists = lists.as_list::<i32>();
        let mut rows = Vec::with_capacity(lists.len());
        for i in 0..lists.len() {
            let start = lists.value_offsets()[i];
            rows.push(match lists.value_length(i) {
                _ if lists.is_null(i) => None,
                0 => None,
                1 => u32::try_from(start).ok(),
                _ => {
                    let message = "more than one row returned by a subquery used as an expression";
                    return Err(pg_compat::error("21000", message.to_owned()));
                }
            });
        }
        Ok(ColumnarValue::Array(take(lists.values(), &UInt32Array::from(rows), None)?))
    }
}
