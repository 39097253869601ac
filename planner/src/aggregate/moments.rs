//! Variances, covariances, correlations and linear regressions out of exact sums.
//!
//! ```text
//! D(x, y) = n * sum(x y) - sum(x) * sum(y)          an exact number; D(x, x) / n^2 is the variance
//! ```
//! Sums, products and differences are exact ([`sums`], [`number`]); a result is rounded where it is divided
//! or its root taken, so it depends neither on the order of rows nor on what came and went between, and
//! nothing cancels. The results for no rows, one row and constant columns are `PostgreSQL`'s; where a NaN or
//! an infinity takes part, the result is NaN.

mod accumulator;
mod distinct;
pub mod number;
pub mod sums;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::Result;
use datafusion::functions_aggregate as standard;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    Signature,
};

use self::accumulator::{MomentAccumulator, MomentGroups};
use self::distinct::DistinctAccumulator;
use self::number::Number;
use self::sums::{Columns, Sums};

/// What is read off the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Statistic {
    /// `var_samp`
    VarianceSample,
    /// `var_pop`
    VariancePopulation,
    /// `stddev_samp`
    DeviationSample,
    /// `stddev_pop`
    DeviationPopulation,
    /// `covar_samp`
    CovarianceSample,
    /// `covar_pop`
    CovariancePopulation,
    /// `corr`
    Correlation,
    /// `regr_slope`
    Slope,
    /// `regr_intercept`
    Intercept,
    /// `regr_r2`
    Determination,
    /// `regr_avgx`
    AverageX,
    /// `regr_avgy`
    AverageY,
    /// `regr_sxx`
    SquaresX,
    /// `regr_syy`
    SquaresY,
    /// `regr_sxy`
    Products,
}

impl Statistic {
    /// The columns it needs: one, or `y` and `x` in this order.
    #[must_use]
    pub fn columns(self) -> Columns {
        match self {
            Self::VarianceSample
            | Self::VariancePopulation
            | Self::DeviationSample
            | Self::DeviationPopulation => Columns::One,
            _ => Columns::Two,
        }
    }

    /// The name of its function.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VarianceSample => "var_samp",
            Self::VariancePopulation => "var_pop",
            Self::DeviationSample => "stddev_samp",
            Self::DeviationPopulation => "stddev_pop",
            Self::CovarianceSample => "covar_samp",
            Self::CovariancePopulation => "covar_pop",
            Self::Correlation => "corr",
            Self::Slope => "regr_slope",
            Self::Intercept => "regr_intercept",
            Self::Determination => "regr_r2",
            Self::AverageX => "regr_avgx",
            Self::AverageY => "regr_avgy",
            Self::SquaresX => "regr_sxx",
            Self::SquaresY => "regr_syy",
            Self::Products => "regr_sxy",
        }
    }

    /// The result over sums.
    #[must_use]
    pub fn of(self, sums: &Sums) -> Option<f64> {
        let n = sums.n;
        if n <= 0 {
            return None;
        }
        let sample =
            matches!(self, Self::VarianceSample | Self::DeviationSample | Self::CovarianceSample);
        if sample && n == 1 {
            return None;
        }
        if let Some(special) = self.special(sums) {
            return Some(special);
        }
        let (count, pairs) =
            (Number::of(n), Number::of(n).times(&Number::of(n - i64::from(sample))));
        let d = |ab: &Number, a: &Number, b: &Number| count.times(ab).minus(&a.times(b));
        let xx = || d(&sums.xx, &sums.x, &sums.x);
        let yy = || d(&sums.yy, &sums.y, &sums.y);
        let xy = || d(&sums.xy, &sums.x, &sums.y);
        let quotient = |a: &Number, b: &Number| a.scaled().over(b.scaled()).value();
        Some(match self {
            Self::VarianceSample | Self::VariancePopulation => quotient(&xx(), &pairs),
            Self::DeviationSample | Self::DeviationPopulation => quotient(&xx(), &pairs).sqrt(),
            Self::CovarianceSample | Self::CovariancePopulation => quotient(&xy(), &pairs),
            Self::AverageX => quotient(&sums.x, &count),
            Self::AverageY => quotient(&sums.y, &count),
            Self::SquaresX => quotient(&xx(), &count),
            Self::SquaresY => quotient(&yy(), &count),
            Self::Products => quotient(&xy(), &count),
            Self::Slope | Self::Intercept | Self::Determination | Self::Correlation => {
                return self.of_line(sums, &xx(), &yy(), &xy());
            }
        })
    }

    /// The statistics that a column without variation leaves open.
    fn of_line(self, sums: &Sums, xx: &Number, yy: &Number, xy: &Number) -> Option<f64> {
        if xx.is_zero() {
            return None;
        }
        let quotient = |a: &Number, b: &Number| a.scaled().over(b.scaled()).value();
        match self {
            Self::Slope => Some(quotient(xy, xx)),
            Self::Intercept => {
                let numerator = sums.y.times(xx).minus(&sums.x.times(xy));
                Some(quotient(&numerator, &Number::of(sums.n).times(xx)))
            }
            Self::Determination if yy.is_zero() => Some(1.0),
            Self::Determination => Some(quotient(&xy.times(xy), &xx.times(yy))),
            _ if yy.is_zero() => None,
            _ => {
                let root = xx.times(yy).scaled().root();
                Some(xy.scaled().over(root).value().clamp(-1.0, 1.0))
            }
        }
    }

    /// The result where a NaN or an infinity takes part.
    fn special(self, sums: &Sums) -> Option<f64> {
        let [x, y] = sums.specials;
        let any = |counts: [i64; 3]| counts.iter().any(|count| *count != 0);
        let average = |counts: [i64; 3]| match counts.map(|count| count != 0) {
            [false, false, false] => None,
            [false, true, false] => Some(f64::INFINITY),
            [false, false, true] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        };
        match self {
            Self::AverageX => average(x),
            Self::AverageY => average(y),
            Self::SquaresX => any(x).then_some(f64::NAN),
            Self::SquaresY => any(y).then_some(f64::NAN),
            _ => (any(x) || any(y)).then_some(f64::NAN),
        }
    }
}

/// One of the functions. Its signature and type are those of DataFusion's function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    statistic: Statistic,
    standard: Arc<AggregateUDF>,
}

impl Moment {
    /// What it computes.
    #[must_use]
    pub fn statistic(&self) -> Statistic {
        self.statistic
    }
}

/// All of them.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    use Statistic as S;
    [
        (S::VarianceSample, standard::variance::var_samp_udaf()),
        (S::VariancePopulation, standard::variance::var_pop_udaf()),
        (S::DeviationSample, standard::stddev::stddev_udaf()),
        (S::DeviationPopulation, standard::stddev::stddev_pop_udaf()),
        (S::CovarianceSample, standard::covariance::covar_samp_udaf()),
        (S::CovariancePopulation, standard::covariance::covar_pop_udaf()),
        (S::Correlation, standard::correlation::corr_udaf()),
        (S::Slope, standard::regr::regr_slope_udaf()),
        (S::Intercept, standard::regr::regr_intercept_udaf()),
        (S::Determination, standard::regr::regr_r2_udaf()),
        (S::AverageX, standard::regr::regr_avgx_udaf()),
        (S::AverageY, standard::regr::regr_avgy_udaf()),
        (S::SquaresX, standard::regr::regr_sxx_udaf()),
        (S::SquaresY, standard::regr::regr_syy_udaf()),
        (S::Products, standard::regr::regr_sxy_udaf()),
    ]
    .map(|(statistic, standard)| Arc::new(AggregateUDF::from(Moment { statistic, standard })))
    .to_vec()
}

/// Rows of one or two columns of floats.
pub struct Pairs {
    x: Float64Array,
    y: Option<Float64Array>,
    /// Rows that count.
    valid: Option<NullBuffer>,
}

impl Pairs {
    /// The rows of arguments, which are `x`, or `y` and `x`.
    ///
    /// # Errors
    /// When they are no numbers.
    pub fn of(arguments: &[&ArrayRef]) -> std::result::Result<Self, arrow::error::ArrowError> {
        let floats = |values: &ArrayRef| {
            Ok::<_, arrow::error::ArrowError>(
                cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            )
        };
        if let [y, x] = arguments {
            let (x, y) = (floats(x)?, floats(y)?);
            let valid = NullBuffer::union(x.nulls(), y.nulls());
            return Ok(Self { x, y: Some(y), valid });
        }
        let x = arguments.first().map(|x| floats(x)).transpose()?;
        let x = x.unwrap_or_else(|| Float64Array::new_null(0));
        let valid = x.nulls().cloned();
        Ok(Self { x, y: None, valid })
    }

    /// `x` and `y` of a row, if it counts; `y` is zero where there is none.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> Option<(f64, f64)> {
        let valid = self.valid.as_ref().is_none_or(|valid| valid.is_valid(row));
        valid.then(|| (self.x.value(row), self.y.as_ref().map_or(0.0, |y| y.value(row))))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }
}

impl AggregateUDFImpl for Moment {
    fn name(&self) -> &str {
        self.standard.name()
    }

    fn aliases(&self) -> &[String] {
        self.standard.aliases()
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.standard.return_type(arg_types)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.standard.coerce_types(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(if args.is_distinct {
            Box::new(DistinctAccumulator::new(self.statistic))
        } else {
            Box::new(MomentAccumulator::new(self.statistic))
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(MomentGroups::new(self.statistic)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |part: &str, data_type| {
            Arc::new(Field::new(format!("{}[{part}]", args.name), data_type, true))
        };
        if args.is_distinct {
            return Ok(vec![field("distinct", DataType::Binary)]);
        }
        Ok(vec![field("count", DataType::Int64), field("exact", DataType::Binary)])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.standard.documentation()
    }
}
