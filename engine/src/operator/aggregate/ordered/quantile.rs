//! Medians and percentiles: one or two values at ranks, and what lies between them.
//!
//! The arithmetic is that of DataFusion's functions, to the last bit; they find the same values by
//! partitioning all of a group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Float32Type, Float64Type,
};
use levada_planner::delta_plan::Quantile;

use crate::arrangement::multiset::{Multisets, Unit};
use crate::error::{Error, Result};
use crate::operator::aggregate::ordered::codec::Codec;

/// Steps that the way between two values is divided into, as DataFusion does.
const STEPS: f64 = 1_000_000.0;

/// Where the value lies among the units of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    low: u64,
    /// None if it is the unit at `low`.
    high: Option<u64>,
    /// How far it is from the one to the other.
    weight: f64,
}

impl Place {
    /// The place among `units` units, which are some.
    fn of(quantile: Quantile, units: u64) -> Self {
        let at = |low| Self { low, high: None, weight: 0.0 };
        match quantile {
            Quantile::Median if units.is_multiple_of(2) => {
                Self { low: units / 2 - 1, high: Some(units / 2), weight: 0.5 }
            }
            Quantile::Median => at(units / 2),
            Quantile::Continuous(part) => between(part, units).unwrap_or_else(at),
        }
    }
}

/// The place of a part of the way from the first unit to the last; a rank if it is at a unit.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "DataFusion's arithmetic"
)]
fn between(part: f64, units: u64) -> std::result::Result<Place, u64> {
    if units == 1 || part == 0.0 {
        return Err(0);
    }
    if part == 1.0 {
        return Err(units - 1);
    }
    let index = part * ((units - 1) as f64);
    let (low, high) = (index.floor() as u64, index.ceil() as u64);
    if low == high {
        return Err(low);
    }
    let steps = ((index - low as f64) * STEPS) as u64;
    Ok(Place { low, high: Some(high), weight: steps as f64 / STEPS })
}

/// The values of groups.
pub(super) fn evaluate<const W: usize>(
    quantile: Quantile,
    (codec, values): (&Codec<W>, &Multisets<W>),
    unit: Unit,
    slots: &[u32],
) -> Result<ArrayRef> {
    let (mut lows, mut highs, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for slot in slots {
        let units = values.count(*slot, unit);
        let place = (units > 0).then(|| Place::of(quantile, units));
        lows.push(place.and_then(|place| values.select(*slot, unit, place.low)));
        let high = place.and_then(|place| place.high);
        highs.push(high.and_then(|high| values.select(*slot, unit, high)));
        weights.push(place.map_or(0.0, |place| place.weight));
    }
    let low = codec.decode(&lows);
    if highs.iter().all(Option::is_none) {
        return Ok(low);
    }
    let pair = (&low, &codec.decode(&highs));
    match (quantile, low.data_type()) {
        (Quantile::Median, DataType::Float32) => Ok(middle::<Float32Type>(pair)),
        (Quantile::Median, DataType::Float64) => Ok(middle::<Float64Type>(pair)),
        (Quantile::Median, DataType::Decimal32(..)) => Ok(middle::<Decimal32Type>(pair)),
        (Quantile::Median, DataType::Decimal64(..)) => Ok(middle::<Decimal64Type>(pair)),
        (Quantile::Median, DataType::Decimal128(..)) => Ok(middle::<Decimal128Type>(pair)),
        (Quantile::Median, DataType::Decimal256(..)) => Ok(middle::<Decimal256Type>(pair)),
        (Quantile::Continuous(_), DataType::Float32) => {
            #[expect(clippy::cast_possible_truncation, reason = "DataFusion's arithmetic")]
            let on_the_way = |i: usize, low: f32, high: f32| {
                interpolate(low.into(), high.into(), weights[i]) as f32
            };
            Ok(of_pairs::<Float32Type>(pair, on_the_way))
        }
        (Quantile::Continuous(_), DataType::Float64) => {
            let on_the_way = |i: usize, low, high| interpolate(low, high, weights[i]);
            Ok(of_pairs::<Float64Type>(pair, on_the_way))
        }
        (quantile, other) => Err(Error::Internal(format!("no {quantile:?} over {other}"))),
    }
}

fn interpolate(low: f64, high: f64, weight: f64) -> f64 {
    low + (high - low) * weight
}

fn middle<T: ArrowPrimitiveType>(pair: (&ArrayRef, &ArrayRef)) -> ArrayRef
where
    T::Native: ArrowNativeTypeOp,
{
    let two = T::Native::usize_as(2);
    of_pairs::<T>(pair, |_, low, high| match low.add_checked(high) {
        Ok(sum) => sum.div_wrapping(two),
        Err(_overflow) => {
            let halves = low.div_wrapping(two).add_wrapping(high.div_wrapping(two));
            let rest = low.mod_wrapping(two).add_wrapping(high.mod_wrapping(two));
            halves.add_wrapping(rest.div_wrapping(two))
        }
    })
}

/// The lower values, or where there is a higher one what `of` makes of both.
fn of_pairs<T: ArrowPrimitiveType>(
    (low, high): (&ArrayRef, &ArrayRef),
    of: impl Fn(usize, T::Native, T::Native) -> T::Native,
) -> ArrayRef {
    let pairs = low.as_primitive::<T>().iter().zip(high.as_primitive::<T>()).enumerate();
    let values = pairs.map(|(i, (low, high))| match high {
        Some(high) => low.map(|low| of(i, low, high)),
        None => low,
    });
    let values: PrimitiveArray<T> = values.collect();
    Arc::new(values.with_data_type(low.data_type().clone()))
}

#[cfg(test)]
mod tests {
    use levada_planner::delta_plan::Quantile;

    use super::Place;

    #[test]
    fn places_are_between_the_units_that_the_standard_names() {
        let place = |low, high, weight| Place { low, high, weight };
        let of = Place::of;
        assert_eq!(of(Quantile::Median, 1), place(0, None, 0.0), "of one");
        assert_eq!(of(Quantile::Median, 6), place(2, Some(3), 0.5), "of six");
        assert_eq!(of(Quantile::Continuous(0.25), 5), place(1, None, 0.0), "at a unit");
        assert_eq!(of(Quantile::Continuous(0.25), 4), place(0, Some(1), 0.75), "between");
        assert_eq!(of(Quantile::Continuous(1.0), 4), place(3, None, 0.0), "the last");
    }
}
