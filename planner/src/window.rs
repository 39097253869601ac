//! Window functions that count: `bigint` (`ntile`: `integer`), as in `PostgreSQL`, where DataFusion's are unsigned.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_window::{ntile, rank, row_number};
use datafusion::logical_expr::function::{
    ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, ReversedUDWF, Signature, WindowUDF,
    WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;

/// The functions to register over DataFusion's own.
pub(crate) fn window_functions() -> Vec<Arc<WindowUDF>> {
    let counting = [
        (row_number::row_number_udwf(), DataType::Int64),
        (rank::rank_udwf(), DataType::Int64),
        (rank::dense_rank_udwf(), DataType::Int64),
        (ntile::ntile_udwf(), DataType::Int32),
    ];
    let counting = counting.map(|(standard, result)| Counting { standard, result });
    counting.map(|function| Arc::new(WindowUDF::new_from_impl(function))).into()
}

/// The number of a row in its partition, from 1, as a `bigint`.
pub(crate) fn row_number() -> Arc<WindowUDF> {
    let standard = row_number::row_number_udwf();
    Arc::new(WindowUDF::new_from_impl(Counting { standard, result: DataType::Int64 }))
}

/// The number of rows before a row's peers, from 1, as a `bigint`.
pub(crate) fn rank() -> Arc<WindowUDF> {
    let standard = rank::rank_udwf();
    Arc::new(WindowUDF::new_from_impl(Counting { standard, result: DataType::Int64 }))
}

/// A function with its result made signed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Counting {
    standard: Arc<WindowUDF>,
    result: DataType,
}

impl WindowUDFImpl for Counting {
    fn name(&self) -> &str {
        self.standard.name()
    }

    fn aliases(&self) -> &[String] {
        self.standard.aliases()
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>> {
        self.standard.inner().expressions(args)
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let standard = self.standard.inner().partition_evaluator(args)?;
        Ok(Box::new(Signed { standard, result: self.result.clone() }))
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let field = self.standard.field(args)?;
        Ok(Arc::new(field.as_ref().clone().with_data_type(self.result.clone())))
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.standard.sort_options()
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        ReversedUDWF::NotSupported
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.standard.documentation()
    }

    fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        self.standard.inner().limit_effect(args)
    }
}

#[derive(Debug)]
struct Signed {
    standard: Box<dyn PartitionEvaluator>,
    result: DataType,
}

impl PartitionEvaluator for Signed {
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.standard.memoize(state)
    }

    fn get_range(&self, idx: usize, n_rows: usize) -> Result<Range<usize>> {
        self.standard.get_range(idx, n_rows)
    }

    fn is_causal(&self) -> bool {
        self.standard.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        Ok(cast(&self.standard.evaluate_all(values, num_rows)?, &self.result)?)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        self.standard.evaluate(values, range)?.cast_to(&self.result)
    }

    fn evaluate_all_with_rank(
        &self,
        num_rows: usize,
        ranks_in_partition: &[Range<usize>],
    ) -> Result<ArrayRef> {
        let ranks = self.standard.evaluate_all_with_rank(num_rows, ranks_in_partition)?;
        Ok(cast(&ranks, &self.result)?)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.standard.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.standard.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.standard.include_rank()
    }
}
