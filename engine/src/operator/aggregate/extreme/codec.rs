//! Keys whose order is the order of the values they stand for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, UInt32Array, UInt64Array,
    downcast_integer, downcast_temporal, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Float32Type, Float64Type, Schema,
    UInt64Type,
};
use arrow::row::{RowConverter, SortField};
use levada_planner::delta_plan::RowEnd;

use crate::error::Result;

/// A translation of values to ordered keys and back.
pub(super) trait Codec: Send {
    /// The key; its default is the least one.
    type Key: Ord + Clone + Default + Send;

    /// The key of each row; that of a NULL is any.
    fn encode(&self, values: &ArrayRef) -> Result<Vec<Self::Key>>;

    /// The values of keys.
    fn decode(&self, keys: Vec<Option<Self::Key>>) -> Result<ArrayRef>;

    /// Keys as a column of a run.
    fn to_array<'a>(keys: impl Iterator<Item = &'a Self::Key>) -> ArrayRef
    where
        Self::Key: 'a;

    /// The keys of such a column.
    fn from_array(keys: &ArrayRef) -> Option<Vec<Self::Key>>;

    /// Bytes a key holds outside itself.
    fn bytes(key: &Self::Key) -> u64;
}

/// Values of up to 64 bits, as a `u64`.
#[derive(Debug)]
pub(super) struct Fixed {
    data_type: DataType,
    encode: fn(&ArrayRef) -> Vec<u64>,
    decode: fn(Vec<Option<u64>>, &DataType) -> ArrayRef,
}

impl Fixed {
    /// The codec of a type, if its values are of up to 64 bits.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        macro_rules! codec {
            ($t:ty) => {
                Some(Self {
                    data_type: data_type.clone(),
                    encode: encode::<$t>,
                    decode: decode::<$t>,
                })
            };
        }
        downcast_integer! {
            data_type => (codec),
            DataType::Float32 => codec!(Float32Type),
            DataType::Float64 => codec!(Float64Type),
            DataType::Decimal32(..) => codec!(Decimal32Type),
            DataType::Decimal64(..) => codec!(Decimal64Type),
            DataType::Boolean => Some(Self {
                data_type: DataType::Boolean,
                encode: |values| {
                    let values = values.as_boolean();
                    (0..values.len()).map(|i| u64::from(values.value(i))).collect()
                },
                decode: |keys, _| {
                    Arc::new(keys.into_iter().map(|k| k.map(|k| k == 1)).collect::<BooleanArray>())
                },
            }),
            _ => downcast_temporal! {
                data_type => (codec),
                _ => None
            }
        }
    }
}

impl Codec for Fixed {
    type Key = u64;

    fn encode(&self, values: &ArrayRef) -> Result<Vec<u64>> {
        Ok((self.encode)(values))
    }

    fn decode(&self, keys: Vec<Option<u64>>) -> Result<ArrayRef> {
        Ok((self.decode)(keys, &self.data_type))
    }

    fn to_array<'a>(keys: impl Iterator<Item = &'a u64>) -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(keys.copied()))
    }

    fn from_array(keys: &ArrayRef) -> Option<Vec<u64>> {
        Some(keys.as_primitive_opt::<UInt64Type>()?.values().to_vec())
    }

    fn bytes(_: &u64) -> u64 {
        0
    }
}

fn encode<T: ArrowPrimitiveType>(values: &ArrayRef) -> Vec<u64>
where
    T::Native: Rank,
{
    values.as_primitive::<T>().values().iter().map(|v| v.rank()).collect()
}

fn decode<T: ArrowPrimitiveType>(keys: Vec<Option<u64>>, data_type: &DataType) -> ArrayRef
where
    T::Native: Rank,
{
    let values = keys.into_iter().map(|k| k.map(T::Native::of_rank));
    let array: PrimitiveArray<T> = values.collect();
    Arc::new(array.with_data_type(data_type.clone()))
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
        let bits = if self.is_nan() { Self::NAN.to_bits() } else { (self + 0.0).to_bits() };
        // Negative values: all bits turned; others: the sign.
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    }

    #[inline]
    fn of_rank(rank: u64) -> Self {
        Self::from_bits(if rank & SIGN == 0 { !rank } else { rank ^ SIGN })
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

/// Values of any type, in Arrow's row format.
#[derive(Debug)]
pub(super) struct Bytes {
    converter: RowConverter,
    /// The row of NULL.
    null: Box<[u8]>,
}

impl Bytes {
    pub(super) fn new(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?.row(0).data().into();
        Ok(Self { converter, null })
    }
}

impl Codec for Bytes {
    type Key = Box<[u8]>;

    fn encode(&self, values: &ArrayRef) -> Result<Vec<Self::Key>> {
        let rows = self.converter.convert_columns(&[ArrayRef::clone(values)])?;
        Ok(rows.iter().map(|row| row.data().into()).collect())
    }

    fn decode(&self, keys: Vec<Option<Self::Key>>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let rows = keys.iter().map(|k| parser.parse(k.as_deref().unwrap_or(&self.null)));
        let columns = self.converter.convert_rows(rows)?;
        Ok(ArrayRef::clone(&columns[0]))
    }

    fn to_array<'a>(keys: impl Iterator<Item = &'a Self::Key>) -> ArrayRef {
        Arc::new(BinaryArray::from_iter_values(keys))
    }

    fn from_array(keys: &ArrayRef) -> Option<Vec<Self::Key>> {
        let keys = keys.as_binary_opt::<i32>()?;
        Some((0..keys.len()).map(|i| keys.value(i).into()).collect())
    }

    fn bytes(key: &Self::Key) -> u64 {
        key.len() as u64
    }
}

/// Rows of columns in an order, of which one column is read.
#[derive(Debug)]
pub(super) struct Tuple {
    converter: RowConverter,
    result: usize,
    data_type: DataType,
}

impl Tuple {
    pub(super) fn new(node: &RowEnd, input: &Schema) -> Result<Self> {
        let data_type = |column: usize| input.field(column).data_type().clone();
        let fields = node.order.iter();
        let fields = fields.map(|(c, o)| SortField::new_with_options(data_type(*c), *o));
        let converter = RowConverter::new(fields.collect())?;
        let data_type = data_type(node.order[node.result].0);
        Ok(Self { converter, result: node.result, data_type })
    }
}

impl Codec for Tuple {
    type Key = Box<[u8]>;

    fn encode(&self, values: &ArrayRef) -> Result<Vec<Self::Key>> {
        let rows = self.converter.convert_columns(values.as_struct().columns())?;
        Ok(rows.iter().map(|row| row.data().into()).collect())
    }

    fn decode(&self, keys: Vec<Option<Self::Key>>) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let found: Vec<&[u8]> = keys.iter().flatten().map(|key| &**key).collect();
        let mut next = 0..;
        let places = keys.iter().map(|key| key.as_ref().and_then(|_| next.next()));
        let places: UInt32Array = places.collect();
        if found.is_empty() {
            return Ok(new_null_array(&self.data_type, keys.len()));
        }
        let columns = self.converter.convert_rows(found.into_iter().map(|k| parser.parse(k)))?;
        Ok(take(&columns[self.result], &places, None)?)
    }

    fn to_array<'a>(keys: impl Iterator<Item = &'a Self::Key>) -> ArrayRef {
        Bytes::to_array(keys)
    }

    fn from_array(keys: &ArrayRef) -> Option<Vec<Self::Key>> {
        Bytes::from_array(keys)
    }

    fn bytes(key: &Self::Key) -> u64 {
        key.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Rank;

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
