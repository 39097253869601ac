//! A call of an ordered aggregate: what it takes to make DataFusion's accumulators at any time.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, EmitTo};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

/// The call.
#[derive(Debug)]
pub(super) struct Call {
    function: Arc<AggregateUDF>,
    reads_order: bool,
    name: String,
    schema: Schema,
    return_field: FieldRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
    order: Vec<PhysicalSortExpr>,
    sort_types: Vec<DataType>,
    ignore_nulls: bool,
    distinct: bool,
}

/// A constant integer as the type that DataFusion's functions look for.
pub(super) fn widened(expr: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    let literal = expr.downcast_ref::<Literal>().map(Literal::value);
    let integer = literal.filter(|value| value.data_type().is_integer());
    match integer.and_then(|value| value.cast_to(&DataType::Int64).ok()) {
        Some(value) => Arc::new(Literal::new(value)),
        None => Arc::clone(expr),
    }
}

impl Call {
    /// The call of `function` that DataFusion describes by `args`.
    pub(super) fn new(
        function: &Arc<AggregateUDF>,
        reads_order: bool,
        args: &AccumulatorArgs,
    ) -> Result<Self> {
        let types = args.order_bys.iter().map(|sort| sort.expr.data_type(args.schema));
        Ok(Self {
            function: Arc::clone(function),
            reads_order,
            name: args.name.to_owned(),
            schema: args.schema.clone(),
            return_field: Arc::clone(&args.return_field),
            exprs: args.exprs.iter().map(widened).collect(),
            expr_fields: args.expr_fields.to_vec(),
            order: args.order_bys.to_vec(),
            sort_types: types.collect::<Result<_>>()?,
            ignore_nulls: args.ignore_nulls,
            distinct: args.is_distinct,
        })
    }

    /// Number of columns that a row has: arguments, then sort expressions.
    pub(super) fn width(&self) -> usize {
        self.exprs.len() + self.order.len()
    }

    /// The types of those columns.
    pub(super) fn types(&self) -> Vec<DataType> {
        let arguments = self.expr_fields.iter().map(|f| f.data_type().clone());
        arguments.chain(self.sort_types.iter().cloned()).collect()
    }

    /// The columns without a row.
    pub(super) fn no_rows(&self) -> Vec<ArrayRef> {
        self.types().iter().map(new_empty_array).collect()
    }

    /// For DataFusion's function: it gets its rows in order and each once, so it need not know of either.
    fn args(&self) -> AccumulatorArgs<'_> {
        AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: self.ignore_nulls,
            order_bys: if self.reads_order { &self.order } else { &[] },
            is_reversed: false,
            name: &self.name,
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        }
    }

    /// The value over rows that are one group.
    pub(super) fn value(&self, columns: &[ArrayRef]) -> Result<ScalarValue> {
        let rows = columns.first().map_or(0, |c| c.len());
        let order = self.order_of(columns, &vec![0; rows])?;
        let mut accumulator = self.function.accumulator(self.args())?;
        if !order.is_empty() {
            accumulator.update_batch(&self.arguments_at(columns, order)?)?;
        }
        accumulator.evaluate()
    }

    /// The values of `total` groups over rows whose group stands in `groups`.
    pub(super) fn values(
        &self,
        columns: &[ArrayRef],
        groups: &[u32],
        total: usize,
    ) -> Result<ArrayRef> {
        let order = self.order_of(columns, groups)?;
        let sorted: Vec<usize> = order.iter().map(|i| groups[*i as usize] as usize).collect();
        let arguments = self.arguments_at(columns, order)?;
        if self.function.groups_accumulator_supported(self.args()) {
            let mut accumulator = self.function.create_groups_accumulator(self.args())?;
            // Without a filter, accumulators take it that every group has rows.
            let all = BooleanArray::from(vec![true; sorted.len()]);
            accumulator.update_batch(&arguments, &sorted, Some(&all), total)?;
            return accumulator.evaluate(EmitTo::All);
        }
        let mut values = Vec::with_capacity(total);
        let mut start = 0;
        for group in 0..total {
            let length = sorted[start..].iter().take_while(|g| **g == group).count();
            let mut accumulator = self.function.accumulator(self.args())?;
            if length > 0 {
                let rows: Vec<ArrayRef> =
                    arguments.iter().map(|a| a.slice(start, length)).collect();
                accumulator.update_batch(&rows)?;
            }
            start += length;
            values.push(accumulator.evaluate()?);
        }
        if values.is_empty() {
            return Ok(new_empty_array(self.return_field.data_type()));
        }
        ScalarValue::iter_to_array(values)
    }

    fn arguments_at(&self, columns: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>> {
        let rows = UInt32Array::from(rows);
        let arguments = columns[..self.exprs.len()].iter();
        Ok(arguments.map(|c| take(c, &rows, None)).collect::<std::result::Result<_, _>>()?)
    }

    /// The rows by group and order; with DISTINCT each once.
    fn order_of(&self, columns: &[ArrayRef], groups: &[u32]) -> Result<Vec<u32>> {
        let sorts = self.order.iter().zip(&self.sort_types);
        let fields = sorts.map(|(s, t)| SortField::new_with_options(t.clone(), s.options));
        let converter = RowConverter::new(fields.collect())?;
        let keys = converter.convert_columns(&columns[self.exprs.len()..])?;
        let rows = u32::try_from(groups.len()).map_err(|_large| {
            datafusion::common::exec_datafusion_err!("too many rows in one aggregate")
        })?;
        // Without sort expressions there are no keys: all arguments are constant, and all rows equal.
        let has_keys = !self.order.is_empty();
        let key = |row: u32| (groups[row as usize], has_keys.then(|| keys.row(row as usize)));
        let mut order: Vec<u32> = (0..rows).collect();
        order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
        if self.distinct {
            // Equal keys are equal arguments: all of them are sort expressions, and no others are.
            order.dedup_by(|a, b| key(*a) == key(*b));
        }
        Ok(order)
    }
}
