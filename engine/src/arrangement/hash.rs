//! The hash of keys and rows.
//!
//! 64 bits per row over any columns, of a fixed seed, the same on every machine: runs are ordered by it
//! and it is part of the persisted format ([`HASH_VERSION`]). Equal values hash equally whatever holds
//! them: the integers of all widths, `Utf8` and `Utf8View`, `-0.0` and `0.0`, every NaN. Unequal values
//! may collide; whoever looks a key up compares it.
//!
//! ```text
//! hash(row) = fold over the columns of mix(hash ^ word(value)),   word(NULL) a constant
//! vnode     = the top 8 bits
//! ```

use arrow::array::{
    Array, ArrayRef, AsArray, GenericByteArray, GenericByteViewArray, downcast_primitive_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ByteArrayType, ByteViewType, DataType, IntervalDayTime, IntervalMonthDayNano, i256,
};
use arrow::row::{RowConverter, SortField};
use half::f16;

use crate::error::Result;
pub use crate::operator::HASH_VERSION;
use crate::workers::Workers;

/// The hash before the first column.
const SEED: u64 = 0x4c65_7661_6461_0001;
/// The word of a NULL.
const NULL: u64 = 0x9ae1_6a3b_2f90_404f;

/// Rows that one thread hashes at a time.
const PART_ROWS: usize = 4096;

/// How many bits of the hash are used: all, or few so that tests meet collisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashWidth {
    /// All 64 bits.
    #[default]
    Full,
    /// The top bits only.
    Bits(u32),
}

/// The finalizer of `SplitMix64`: every input bit reaches every output bit, and it is a bijection.
#[inline]
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[inline]
fn fold(hash: u64, word: u64) -> u64 {
    mix((hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// The virtual node of a hash: its top 8 bits.
#[must_use]
pub fn vnode(hash: u64) -> u8 {
    hash.to_be_bytes()[0]
}

/// The hash of each of `rows` rows over `columns`.
///
/// # Errors
/// When a column's type has no row format.
pub fn hash_columns(columns: &[ArrayRef], rows: usize, width: HashWidth) -> Result<Vec<u64>> {
    let mut hashes = vec![SEED; rows];
    for column in columns {
        fold_column(column, &mut hashes)?;
    }
    let mask = match width {
        HashWidth::Full => return Ok(hashes),
        HashWidth::Bits(bits) => u64::MAX.checked_shl(64 - bits).unwrap_or(0),
    };
    hashes.iter_mut().for_each(|h| *h &= mask);
    Ok(hashes)
}

/// As [`hash_columns`]; `workers` share the rows when they are many.
///
/// # Errors
/// As [`hash_columns`].
pub fn hash_with(
    columns: Vec<ArrayRef>,
    rows: usize,
    width: HashWidth,
    workers: &Workers,
) -> Result<Vec<u64>> {
    if !workers.pays(rows) {
        return hash_columns(&columns, rows, width);
    }
    let parts = (0..rows).step_by(PART_ROWS).map(|from| (from, PART_ROWS.min(rows - from)));
    let hashed = workers.map(parts.collect(), move |(from, rows)| {
        let part: Vec<ArrayRef> = columns.iter().map(|column| column.slice(from, rows)).collect();
        hash_columns(&part, rows, width)
    });
    Ok(hashed.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// A value as one word.
trait Word: Copy {
    fn word(self) -> u64;
}

macro_rules! word_of_integers {
    ($($t:ty),+ => $word:expr) => {
        $(impl Word for $t {
            #[inline]
            fn word(self) -> u64 {
                $word(self.into())
            }
        })+
    };
}
word_of_integers!(i8, i16, i32, i64 => i64::cast_unsigned);
word_of_integers!(u8, u16, u32, u64 => std::convert::identity::<u64>);

impl Word for f64 {
    #[inline]
    fn word(self) -> u64 {
        if self.is_nan() { f64::NAN.to_bits() } else { (self + 0.0).to_bits() }
    }
}

impl Word for f32 {
    #[inline]
    fn word(self) -> u64 {
        f64::from(self).word()
    }
}

impl Word for f16 {
    fn word(self) -> u64 {
        self.to_f64().word()
    }
}

impl Word for i128 {
    #[inline]
    fn word(self) -> u64 {
        bytes_word(&self.to_le_bytes())
    }
}

impl Word for i256 {
    fn word(self) -> u64 {
        bytes_word(&self.to_le_bytes())
    }
}

impl Word for IntervalDayTime {
    fn word(self) -> u64 {
        fold(self.days.word(), self.milliseconds.word())
    }
}

impl Word for IntervalMonthDayNano {
    fn word(self) -> u64 {
        fold(fold(self.months.word(), self.days.word()), self.nanoseconds.word())
    }
}

/// The word of a string of bytes.
#[inline]
fn bytes_word(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |h, w| fold(h, u64::from_le_bytes(*w)));
    if tail.is_empty() {
        return hash;
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    fold(hash, u64::from_le_bytes(last))
}

/// Folds `word(i)`, or that of NULL, into each hash.
#[inline]
fn fold_words(hashes: &mut [u64], nulls: Option<&NullBuffer>, word: impl Fn(usize) -> u64) {
    match nulls.filter(|n| n.null_count() > 0) {
        None => hashes.iter_mut().enumerate().for_each(|(i, h)| *h = fold(*h, word(i))),
        Some(nulls) => {
            for (i, h) in hashes.iter_mut().enumerate() {
                *h = fold(*h, if nulls.is_valid(i) { word(i) } else { NULL });
            }
        }
    }
}

fn fold_bytes<T: ByteArrayType>(array: &GenericByteArray<T>, hashes: &mut [u64]) {
    let value = |i: usize| -> &[u8] { array.value(i).as_ref() };
    fold_words(hashes, array.nulls(), |i| bytes_word(value(i)));
}

fn fold_views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>, hashes: &mut [u64]) {
    let value = |i: usize| -> &[u8] { array.value(i).as_ref() };
    fold_words(hashes, array.nulls(), |i| bytes_word(value(i)));
}

fn fold_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    let array = column.as_ref();
    downcast_primitive_array!(
        array => {
            let values = array.values();
            fold_words(hashes, array.nulls(), |i| values[i].word());
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            fold_words(hashes, array.nulls(), |i| u64::from(array.value(i)));
        }
        DataType::Null => fold_words(hashes, None, |_| NULL),
        DataType::Utf8 => fold_bytes(array.as_string::<i32>(), hashes),
        DataType::LargeUtf8 => fold_bytes(array.as_string::<i64>(), hashes),
        DataType::Binary => fold_bytes(array.as_binary::<i32>(), hashes),
        DataType::LargeBinary => fold_bytes(array.as_binary::<i64>(), hashes),
        DataType::Utf8View => fold_views(array.as_string_view(), hashes),
        DataType::BinaryView => fold_views(array.as_binary_view(), hashes),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            fold_words(hashes, array.nulls(), |i| bytes_word(array.value(i)));
        }
        other => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            let rows = converter.convert_columns(&[ArrayRef::clone(column)])?;
            let nulls = column.logical_nulls();
            fold_words(hashes, nulls.as_ref(), |i| bytes_word(rows.row(i).data()));
        }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int32Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
    };

    use super::{HASH_VERSION, HashWidth, hash_columns, vnode};

    fn hashes(columns: &[ArrayRef]) -> Vec<u64> {
        hash_columns(columns, columns[0].len(), HashWidth::Full).expect("hashable")
    }

    #[test]
    fn hashes_of_version_1_never_change() {
        assert_eq!(HASH_VERSION, 1, "a new version needs new golden hashes");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(0), Some(-1), None, Some(42)])),
            Arc::new(StringArray::from(vec![
                Some(""),
                Some("carrier"),
                Some("a longer string"),
                None,
            ])),
            Arc::new(Float64Array::from(vec![0.0, 1.5, f64::NAN, -1e300])),
            Arc::new(BooleanArray::from(vec![true, false, true, false])),
            Arc::new(Date32Array::from(vec![1, 2, 3, 4])),
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3, 4])),
            Arc::new(Decimal128Array::from(vec![1, -2, 3, -4])),
        ];
        // Computed by an implementation in another language.
        let golden = [
            0x4aa8_bae0_a61e_2588,
            0xea31_56dc_09fb_0180,
            0x7c7f_d3c6_8aed_90ce,
            0x2750_28ec_e3d6_a33f,
        ];
        assert_eq!(hashes(&columns), golden, "hash of version 1");
    }

    #[test]
    fn equal_values_hash_equally_whatever_holds_them() {
        let strings = vec![Some("x"), None, Some("more than twelve bytes")];
        let a: ArrayRef = Arc::new(StringArray::from(strings.clone()));
        let b: ArrayRef = Arc::new(StringViewArray::from(strings));
        assert_eq!(hashes(&[a]), hashes(&[b]), "Utf8 and Utf8View");
        let a: ArrayRef = Arc::new(Int32Array::from(vec![-7, 9]));
        let b: ArrayRef = Arc::new(Int64Array::from(vec![-7, 9]));
        assert_eq!(hashes(&[a]), hashes(&[b]), "integer widths");
        let a: ArrayRef = Arc::new(Float64Array::from(vec![0.0, f64::NAN, 0.5]));
        let b: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, -f64::NAN, 0.5]));
        let c: ArrayRef = Arc::new(Float32Array::from(vec![-0.0, f32::NAN, 0.5]));
        assert_eq!(hashes(std::slice::from_ref(&a)), hashes(&[b]), "zeros and NaNs");
        assert_eq!(hashes(&[a]), hashes(&[c]), "float widths");
    }

    #[test]
    fn few_bits_force_collisions_and_vnode_is_the_top() {
        let a: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let none =
            hash_columns(&[ArrayRef::clone(&a)], 1000, HashWidth::Bits(0)).expect("hashable");
        assert!(none.iter().all(|h| *h == 0), "no bits");
        let mut four = hash_columns(&[a], 1000, HashWidth::Bits(4)).expect("hashable");
        four.sort_unstable();
        four.dedup();
        assert_eq!(four.len(), 16, "four bits");
        assert_eq!(vnode(0xab00_0000_0000_0001), 0xab, "top 8 bits");
    }
}
