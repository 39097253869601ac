//! Keys whose order is the order of the values they stand for.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, PrimitiveArray, downcast_integer, downcast_temporal,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float32Type, Float64Type, i256,
};

/// What becomes of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floats {
    /// One NaN, which is the greatest, and one zero, as `PostgreSQL` compares them.
    Canonical,
    /// Every bit is kept; the order is that of IEEE 754 (`total_cmp`).
    Exact,
}

/// Values of one type as keys of `W` words.
#[derive(Debug)]
pub(crate) struct Codec<const W: usize> {
    data_type: DataType,
    floats: Floats,
    encode: fn(&ArrayRef) -> Vec<[u64; W]>,
    decode: fn(&[Option<[u64; W]>], &DataType) -> ArrayRef,
}

impl<const W: usize> Codec<W> {
    /// The type of the values, and what becomes of floats among them.
    pub(crate) fn kind(&self) -> (&DataType, Floats) {
        (&self.data_type, self.floats)
    }

    /// The key of each value; that of a NULL is any.
    pub(crate) fn encode(&self, values: &ArrayRef) -> Vec<[u64; W]> {
        (self.encode)(values)
    }

    /// The values of keys.
    pub(crate) fn decode(&self, keys: &[Option<[u64; W]>]) -> ArrayRef {
        (self.decode)(keys, &self.data_type)
    }

    fn of<T: ArrowPrimitiveType, K: Key<T::Native, W>>(
        data_type: &DataType,
        floats: Floats,
    ) -> Self {
        let (encode, decode) = (encode::<T, K, W>, decode::<T, K, W>);
        Self { data_type: data_type.clone(), floats, encode, decode }
    }
}

impl Codec<1> {
    /// The codec of values of up to 64 bits.
    pub(crate) fn narrow(data_type: &DataType, floats: Floats) -> Option<Self> {
        macro_rules! codec {
            ($t:ty) => {
                Some(Self::of::<$t, Ranked>(data_type, floats))
            };
        }
        downcast_integer! {
            data_type => (codec),
            DataType::Float32 if floats == Floats::Exact => {
                Some(Self::of::<Float32Type, Bits>(data_type, floats))
            }
            DataType::Float64 if floats == Floats::Exact => {
                Some(Self::of::<Float64Type, Bits>(data_type, floats))
            }
            DataType::Float32 => codec!(Float32Type),
            DataType::Float64 => codec!(Float64Type),
            DataType::Decimal32(..) => codec!(Decimal32Type),
            DataType::Decimal64(..) => codec!(Decimal64Type),
            DataType::Boolean => Some(Self {
                data_type: DataType::Boolean,
                floats,
                encode: |values| {
                    let values = values.as_boolean();
                    (0..values.len()).map(|i| [u64::from(values.value(i))]).collect()
                },
                decode: |keys, _| {
                    let values = keys.iter().map(|key| key.map(|[key]| key == 1));
                    Arc::new(values.collect::<BooleanArray>())
                },
            }),
            _ => downcast_temporal! {
                data_type => (codec),
                _ => None
            }
        }
    }
}

impl Codec<2> {
    /// The codec of values of 128 bits.
    pub(crate) fn wide(data_type: &DataType) -> Option<Self> {
        let is_wide = matches!(data_type, DataType::Decimal128(..));
        is_wide.then(|| Self::of::<Decimal128Type, Ranked>(data_type, Floats::Canonical))
    }
}

impl Codec<4> {
    /// The codec of values of 256 bits.
    pub(crate) fn widest(data_type: &DataType) -> Option<Self> {
        let is_widest = matches!(data_type, DataType::Decimal256(..));
        is_widest.then(|| Self::of::<Decimal256Type, Ranked>(data_type, Floats::Canonical))
    }
}

fn encode<T: ArrowPrimitiveType, K: Key<T::Native, W>, const W: usize>(
    values: &ArrayRef,
) -> Vec<[u64; W]> {
    values.as_primitive::<T>().values().iter().map(|value| K::of(*value)).collect()
}

fn decode<T: ArrowPrimitiveType, K: Key<T::Native, W>, const W: usize>(
    keys: &[Option<[u64; W]>],
    data_type: &DataType,
) -> ArrayRef {
    let values = keys.iter().map(|key| key.map(K::value));
    let array: PrimitiveArray<T> = values.collect();
    Arc::new(array.with_data_type(data_type.clone()))
}

/// Keys of values, and values of keys.
trait Key<T, const W: usize> {
    fn of(value: T) -> [u64; W];
    fn value(key: [u64; W]) -> T;
}

/// Keys in the order of [`Rank`].
struct Ranked;

/// Keys of floats that keep their bits.
struct Bits;

impl<T: Rank> Key<T, 1> for Ranked {
    #[inline]
    fn of(value: T) -> [u64; 1] {
        [value.rank()]
    }

    #[inline]
    fn value([key]: [u64; 1]) -> T {
        T::of_rank(key)
    }
}

impl Key<i128, 2> for Ranked {
    #[inline]
    fn of(value: i128) -> [u64; 2] {
        [high(value.cast_unsigned()) ^ SIGN, low(value.cast_unsigned())]
    }

    #[inline]
    fn value([high, low]: [u64; 2]) -> i128 {
        joined(high ^ SIGN, low).cast_signed()
    }
}

impl Key<i256, 4> for Ranked {
    #[inline]
    fn of(value: i256) -> [u64; 4] {
        let (below, above) = value.to_parts();
        let above = above.cast_unsigned();
        [high(above) ^ SIGN, low(above), high(below), low(below)]
    }

    #[inline]
    fn value([a, b, c, d]: [u64; 4]) -> i256 {
        i256::from_parts(joined(c, d), joined(a ^ SIGN, b).cast_signed())
    }
}

fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is asked for")]
fn low(value: u128) -> u64 {
    value as u64
}

fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

impl Key<f64, 1> for Bits {
    #[inline]
    fn of(value: f64) -> [u64; 1] {
        [rank_of_bits(value.to_bits())]
    }

    #[inline]
    fn value([key]: [u64; 1]) -> f64 {
        f64::from_bits(bits_of_rank(key))
    }
}

impl Key<f32, 1> for Bits {
    #[inline]
    fn of(value: f32) -> [u64; 1] {
        // Bits alone: a way through `f64` would make NaNs quiet.
        [rank_of_bits(u64::from(value.to_bits()) << 32)]
    }

    #[inline]
    fn value([key]: [u64; 1]) -> f32 {
        f32::from_bits((bits_of_rank(key) >> 32) as u32)
    }
}

/// Bits of a float whose order is that of the floats: negative ones have all bits turned, others the sign.
#[inline]
fn rank_of_bits(bits: u64) -> u64 {
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[inline]
fn bits_of_rank(rank: u64) -> u64 {
    if rank & SIGN == 0 { !rank } else { rank ^ SIGN }
}

/// A bijection to `u64` that keeps the order.
trait Rank: Copy {
    fn rank(self) -> u64;
    fn of_rank(rank: u64) -> Self;
}

const SIGN: u64 = 1 << 63;

macro_rules! rank_of_signed {
    ($($t:ty),+) => {
        $(impl Rank for $t {
            #[inline]
            fn rank(self) -> u64 {
                i64::from(self).cast_unsigned() ^ SIGN
            }
            #[inline]
            fn of_rank(rank: u64) -> Self {
                Self::try_from((rank ^ SIGN).cast_signed()).unwrap_or(Self::MAX)
            }
        })+
    };
}
rank_of_signed!(i8, i16, i32, i64);

macro_rules! rank_of_unsigned {
    ($($t:ty),+) => {
        $(impl Rank for $t {
            #[inline]
            fn rank(self) -> u64 {
                u64::from(self)
            }
            #[inline]
            fn of_rank(rank: u64) -> Self {
                Self::try_from(rank).unwrap_or(Self::MAX)
            }
        })+
    };
}
rank_of_unsigned!(u8, u16, u32, u64);

impl Rank for f64 {
    #[inline]
    fn rank(self) -> u64 {
        rank_of_bits(if self.is_nan() { Self::NAN.to_bits() } else { (self + 0.0).to_bits() })
    }

    #[inline]
    fn of_rank(rank: u64) -> Self {
        Self::from_bits(bits_of_rank(rank))
    }
}

impl Rank for f32 {
    #[inline]
    fn rank(self) -> u64 {
        f64::from(self).rank()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the value was an f32")]
    fn of_rank(rank: u64) -> Self {
        f64::of_rank(rank) as Self
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::i256;

    use super::{Bits, Key, Rank, Ranked};

    #[test]
    fn wide_keys_keep_the_order_and_come_back() {
        let numbers = [i128::MIN, i128::MIN + 1, -1 << 64, -1, 0, 1, 1 << 64, i128::MAX];
        let keys = numbers.map(<Ranked as Key<i128, 2>>::of);
        assert!(keys.is_sorted(), "128 bits");
        assert_eq!(keys.map(<Ranked as Key<i128, 2>>::value), numbers, "128 bits");
        let wide = [i256::MIN, i256::from_i128(-1), i256::from_i128(1), i256::MAX];
        let keys = wide.map(<Ranked as Key<i256, 4>>::of);
        assert!(keys.is_sorted(), "256 bits");
        assert_eq!(keys.map(<Ranked as Key<i256, 4>>::value), wide, "256 bits");
    }

    #[test]
    fn exact_floats_keep_their_bits() {
        let floats = [-f64::NAN, f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN];
        let keys = floats.map(<Bits as Key<f64, 1>>::of);
        assert!(keys.is_sorted_by(|a, b| a < b), "in the order of total_cmp");
        let same = |f: f64| <Bits as Key<f64, 1>>::value(<Bits as Key<f64, 1>>::of(f)).to_bits();
        assert!(floats.iter().all(|f| same(*f) == f.to_bits()), "and back");
        let same = |f: f32| <Bits as Key<f32, 1>>::value(<Bits as Key<f32, 1>>::of(f)).to_bits();
        let floats = [-f32::NAN, -1.5, -0.0, 0.0, 1.5, f32::NAN];
        assert!(floats.iter().all(|f| same(*f) == f.to_bits()), "and back from 32 bits");
    }

    #[test]
    fn ranks_keep_the_order_and_come_back() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::INFINITY];
        assert!(floats.is_sorted_by_key(|f| f.rank()), "floats");
        assert!(f64::INFINITY.rank() < f64::NAN.rank(), "NaN is the greatest");
        assert_eq!((-f64::NAN).rank(), f64::NAN.rank(), "one NaN");
        assert_eq!((-0.0f64).rank(), 0.0f64.rank(), "one zero");
        for f in floats {
            assert_eq!(f64::of_rank(f.rank()).to_bits(), f.to_bits(), "{f}");
        }
        for i in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(i64::of_rank(i.rank()), i, "{i}");
        }
        assert!(i8::MIN.rank() < i8::MAX.rank(), "signed");
        assert_eq!(u8::of_rank(200u8.rank()), 200, "unsigned");
    }
}
