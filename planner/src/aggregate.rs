//! Aggregate functions whose result does not depend on the order of the rows.
//!
//! A maintained view adds and takes away rows in the order of their arrival, a batch query adds them in
//! the order of its scan, on several cores. Both must give the same bits, so the functions that are not
//! associative in DataFusion are replaced by exact ones under the same names:
//!
//! | function | over | accumulates in | result |
//! |---|---|---|---|
//! | `sum`, `avg` | floats | the exact sum ([`exact_float`]) | rounded once |
//! | `sum` | integers | `i128` | `bigint`, over `bigint` `numeric`; error 22003 outside the type |
//! | `sum` | decimals | `i256` ([`decimal`]) | error 22003 outside the type |
//! | `avg` | decimals | `i256` ([`decimal`]) | rounded once; error 22003 outside the type |
//! | `sum`, `avg` | all else | as DataFusion does | |
//! | `min`, `max` | floats | the greatest value is NaN, zero has no sign | |
//! | `min`, `max` | all else | as DataFusion does | |
//! | variances, covariances, `corr`, `regr_...` | all | exact sums of products ([`moments`]) | rounded once |
//! | lists, texts, digests | all | the rows, sorted ([`ordered`]) | as DataFusion does |
//!
//! Where the result depends on the order of the rows as a whole, that order is made total by the analyzer
//! rule of [`order`].

pub mod average;
pub mod decimal;
mod distinct;
pub mod exact_float;
pub mod extreme;
pub mod float;
pub mod integer;
pub mod moments;
pub(crate) mod order;
pub(crate) mod order_once;
pub mod ordered;
pub mod sum;
pub(crate) mod zero;

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use datafusion::logical_expr::AggregateUDF;

/// The functions to register over DataFusion's own.
#[must_use]
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = vec![
        Arc::new(AggregateUDF::from(sum::Sum::new())),
        Arc::new(AggregateUDF::from(average::Average::new())),
        Arc::new(AggregateUDF::from(extreme::Extreme::min())),
        Arc::new(AggregateUDF::from(extreme::Extreme::max())),
    ];
    functions.extend(moments::functions());
    functions.extend(ordered::functions());
    functions
}

/// Calls `f` with the index of each row that has a value and passes the filter.
fn for_each_counted(values: &dyn Array, filter: Option<&BooleanArray>, mut f: impl FnMut(usize)) {
    match (values.nulls(), filter) {
        (None, None) => (0..values.len()).for_each(f),
        (nulls, filter) => {
            for i in 0..values.len() {
                let valid = nulls.is_none_or(|n| n.is_valid(i));
                if valid && filter.is_none_or(|p| p.is_valid(i) && p.value(i)) {
                    f(i);
                }
            }
        }
    }
}
