//! The functions that call the clock: `now()`, `current_date`, `localtimestamp` and their like.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility, cast, lit,
};
use datafusion::scalar::ScalarValue;

use super::UTC;

/// What is read off the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reading {
    /// The point in time.
    Instant,
    /// The same without a time zone.
    Local,
    /// The day.
    Date,
    /// The time since midnight.
    Time,
}

/// Name, reading, and whether the digits of a second can be given.
const ALL: [(&str, Reading, bool); 8] = [
    ("now", Reading::Instant, false),
    ("transaction_timestamp", Reading::Instant, false),
    ("statement_timestamp", Reading::Instant, false),
    ("current_timestamp", Reading::Instant, true),
    ("localtimestamp", Reading::Local, true),
    ("current_date", Reading::Date, false),
    ("today", Reading::Date, false),
    ("current_time", Reading::Time, false),
];

/// Digits of a second that a time has.
const DIGITS_MAX: i64 = 6;

/// A function that calls the clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClockFunction {
    name: &'static str,
    reading: Reading,
    signature: Signature,
}

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let function = |(name, reading, digits): &(&'static str, Reading, bool)| {
        let types = match digits {
            false => TypeSignature::Nullary,
            true => TypeSignature::OneOf(vec![
                TypeSignature::Nullary,
                TypeSignature::Exact(vec![DataType::Int64]),
            ]),
        };
        let signature = Signature::new(types, Volatility::Stable);
        Arc::new(ScalarUDF::new_from_impl(ClockFunction { name, reading: *reading, signature }))
    };
    ALL.iter().map(function).collect()
}

impl ClockFunction {
    /// What a call with these arguments reads off the time `now`.
    pub(super) fn of(&self, args: &[Expr], now: Expr) -> Expr {
        let digits = match args.first() {
            Some(Expr::Literal(ScalarValue::Int64(Some(digits)), _)) => *digits,
            _ => DIGITS_MAX,
        };
        let micros = match digits {
            DIGITS_MAX.. => now,
            _ => rounded(now, digits.max(0)),
        };
        match self.reading {
            Reading::Instant => micros,
            reading => cast(micros, reading.data_type()),
        }
    }

    /// Whether what is read never goes back as time passes.
    pub(super) fn rises(&self) -> bool {
        self.reading != Reading::Time
    }

    /// The function as a volatile one, or as a stable one.
    pub(super) fn as_volatile(&self, volatile: bool) -> Arc<ScalarUDF> {
        let mut function = self.clone();
        function.signature.volatility =
            if volatile { Volatility::Volatile } else { Volatility::Stable };
        Arc::new(ScalarUDF::new_from_impl(function))
    }
}

impl Reading {
    fn data_type(self) -> DataType {
        match self {
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
            Self::Local => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Nanosecond),
        }
    }
}

/// A time with so many digits of the seconds, the nearest.
fn rounded(now: Expr, digits: i64) -> Expr {
    let dropped = u32::try_from(DIGITS_MAX - digits).unwrap_or(0);
    let unit = 10_i64.pow(dropped);
    let micros = (cast(now, DataType::Int64) + lit(unit / 2)) / lit(unit) * lit(unit);
    cast(micros, Reading::Instant.data_type())
}

impl ScalarUDFImpl for ClockFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.reading.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{}() has no value outside of an epoch", self.name)
    }
}
