//! Equality of values, column by column over pairs of rows.
//!
//! Two NULLs are equal here. Floats have two equalities: as **keys**, `-0.0` equals `0.0`, as GROUP BY and
//! joins compare them in a batch query; as **bits**, nothing but the same bits, which is how a row is
//! found again that is to be retracted.

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, GenericByteArray, GenericByteViewArray,
    downcast_primitive_array, make_comparator,
};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    ArrowPrimitiveType, ByteArrayType, ByteViewType, DataType, Float32Type, Float64Type,
    IntervalDayTime, IntervalMonthDayNano, i256,
};
use half::f16;

use crate::error::Result;

/// Which floats are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// `-0.0` equals `0.0`.
    Key,
    /// The same bits.
    Bits,
}

/// Clears `keep[k]` where row `left_rows[k]` of `left` differs from row `right_rows[k]` of `right`.
///
/// # Errors
/// When the types differ or cannot be compared.
pub fn retain_equal(
    (left, left_rows): (&ArrayRef, &[u32]),
    (right, right_rows): (&ArrayRef, &[u32]),
    equality: Equality,
    keep: &mut [bool],
) -> Result<()> {
    let pairs = Pairs { left_rows, right_rows, keep };
    let (a, b) = (left.as_ref(), right.as_ref());
    if a.data_type() != b.data_type() {
        return pairs.compare(left, right);
    }
    downcast_primitive_array!(
        (a, b) => pairs.primitive(a, b, equality),
        (DataType::Boolean, _) => {
            let (a, b) = (left.as_boolean(), right.as_boolean());
            pairs.each(a, b, |i, j| a.value(i) == b.value(j));
        },
        (DataType::Utf8, _) => pairs.bytes(left.as_string::<i32>(), right.as_string::<i32>()),
        (DataType::LargeUtf8, _) => pairs.bytes(left.as_string::<i64>(), right.as_string::<i64>()),
        (DataType::Binary, _) => pairs.bytes(left.as_binary::<i32>(), right.as_binary::<i32>()),
        (DataType::LargeBinary, _) => pairs.bytes(left.as_binary::<i64>(), right.as_binary::<i64>()),
        (DataType::Utf8View, _) => pairs.views(left.as_string_view(), right.as_string_view()),
        (DataType::BinaryView, _) => pairs.views(left.as_binary_view(), right.as_binary_view()),
        _ => pairs.compare(left, right)?
    );
    Ok(())
}

/// A column whose values are equal as keys exactly when their bits are: floats as integers.
#[must_use]
pub fn bits(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>();
            let bits =
                floats.unary::<_, arrow::datatypes::Int64Type>(|x| x.to_bits().cast_signed());
            std::sync::Arc::new(bits)
        }
        DataType::Float32 => {
            let floats = column.as_primitive::<Float32Type>();
            let bits =
                floats.unary::<_, arrow::datatypes::Int32Type>(|x| x.to_bits().cast_signed());
            std::sync::Arc::new(bits)
        }
        _ => ArrayRef::clone(column),
    }
}

/// The column with `-0.0` as `0.0`: the representative of a group of equal keys.
#[must_use]
pub fn canonical_key(column: &ArrayRef) -> ArrayRef {
    fn has_negative_zero<T: ArrowPrimitiveType>(column: &ArrayRef, zero: T::Native) -> bool
    where
        T::Native: Same,
    {
        column.as_primitive::<T>().values().iter().any(|x| x.same(zero, Equality::Bits))
    }
    match column.data_type() {
        DataType::Float64 if has_negative_zero::<Float64Type>(column, -0.0) => {
            let array: Float64Array = column.as_primitive::<Float64Type>().unary(|x| x + 0.0);
            std::sync::Arc::new(array)
        }
        DataType::Float32 if has_negative_zero::<Float32Type>(column, -0.0) => {
            let array: Float32Array = column.as_primitive::<Float32Type>().unary(|x| x + 0.0);
            std::sync::Arc::new(array)
        }
        _ => ArrayRef::clone(column),
    }
}

/// Equality of native values.
trait Same: Copy {
    fn same(self, other: Self, equality: Equality) -> bool;
}

macro_rules! same_by_eq {
    ($($t:ty),+) => {
        $(impl Same for $t {
            #[inline]
            fn same(self, other: Self, _: Equality) -> bool {
                self == other
            }
        })+
    };
}
same_by_eq!(
    i8,
    i16,
    i32,
    i64,
    i128,
    u8,
    u16,
    u32,
    u64,
    i256,
    IntervalDayTime,
    IntervalMonthDayNano
);

macro_rules! same_float {
    ($($t:ty),+) => {
        $(impl Same for $t {
            #[inline]
            fn same(self, other: Self, equality: Equality) -> bool {
                self.to_bits() == other.to_bits() || (equality == Equality::Key && self == other)
            }
        })+
    };
}
same_float!(f16, f32, f64);

struct Pairs<'a> {
    left_rows: &'a [u32],
    right_rows: &'a [u32],
    keep: &'a mut [bool],
}

impl Pairs<'_> {
    fn primitive<T: ArrowPrimitiveType>(
        self,
        a: &arrow::array::PrimitiveArray<T>,
        b: &arrow::array::PrimitiveArray<T>,
        equality: Equality,
    ) where
        T::Native: Same,
    {
        let (x, y) = (a.values(), b.values());
        self.each(a, b, |i, j| x[i].same(y[j], equality));
    }

    fn bytes<T: ByteArrayType>(self, a: &GenericByteArray<T>, b: &GenericByteArray<T>) {
        let value = |x: &GenericByteArray<T>, i: usize, y: &GenericByteArray<T>, j: usize| {
            let (x, y): (&[u8], &[u8]) = (x.value(i).as_ref(), y.value(j).as_ref());
            x == y
        };
        self.each(a, b, |i, j| value(a, i, b, j));
    }

    fn views<T: ByteViewType + ?Sized>(
        self,
        a: &GenericByteViewArray<T>,
        b: &GenericByteViewArray<T>,
    ) {
        self.each(a, b, |i, j| {
            let (x, y): (&[u8], &[u8]) = (a.value(i).as_ref(), b.value(j).as_ref());
            x == y
        });
    }

    fn compare(self, left: &ArrayRef, right: &ArrayRef) -> Result<()> {
        let order = make_comparator(left, right, SortOptions::default())?;
        for ((i, j), keep) in self.left_rows.iter().zip(self.right_rows).zip(self.keep) {
            *keep = *keep && order(*i as usize, *j as usize).is_eq();
        }
        Ok(())
    }

    #[inline]
    fn each(self, a: &dyn Array, b: &dyn Array, equal: impl Fn(usize, usize) -> bool) {
        let rows = self.left_rows.iter().zip(self.right_rows).zip(self.keep);
        if a.null_count() == 0 && b.null_count() == 0 {
            for ((i, j), keep) in rows {
                *keep = *keep && equal(*i as usize, *j as usize);
            }
            return;
        }
        for ((i, j), keep) in rows {
            let (i, j) = (*i as usize, *j as usize);
            *keep = *keep
                && match (a.is_valid(i), b.is_valid(j)) {
                    (true, true) => equal(i, j),
                    (x, y) => x == y,
                };
        }
    }
}
