//! Exact sums of `f64`, rounded once when they are read.
//!
//! A finite `f64` is an integer times a power of two, so a sum of them is one as well; kept in full, it
//! does not depend on the order of the additions and a retraction takes back exactly what was added.
//!
//! ```text
//! sum  =  window * 2^base  +  wide           window: i128, inline; values whose exponent is in
//!                                                    [base, base + 40] go here
//! wide =  bins[b] * 2^(32 b - 1074), ...     a side table for all other values, and counts of
//!                                            NaN and the infinities
//! ```
//!
//! The base is chosen per column from its first value; the result does not depend on it. A window refuses
//! what would carry it past 2^120, so it never overflows.

use std::collections::BTreeMap;

/// Exponents that one window covers beside its base.
const WINDOW_EXPONENTS: i32 = 40;
/// Exponent of the least bit of an `f64`.
const LEAST_EXPONENT: i32 = -1074;
/// Base 2^32 digits that hold any sum: the 64 bins, their carries and a window above them.
const DIGITS: usize = 72;

/// Splits a finite value into mantissa and exponent: `x = mantissa * 2^exponent`.
///
/// NaN and the infinities get exponent 972, which no window covers.
#[inline]
#[must_use]
pub fn split(x: f64) -> (i64, i32) {
    let bits = x.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let fraction = (bits & ((1 << 52) - 1)).cast_signed();
    let (mantissa, exponent) =
        if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
    let sign = bits.cast_signed() >> 63;
    ((mantissa ^ sign) - sign, exponent - 1075)
}

/// Where a window begins: it counts in units of 2^base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base(i32);

impl Base {
    /// The base that puts `x` in the middle of the window; `None` for zero, NaN and infinities.
    #[must_use]
    pub fn around(x: f64) -> Option<Self> {
        let (mantissa, exponent) = split(x);
        (x.is_finite() && mantissa != 0).then(|| Self::new(exponent - WINDOW_EXPONENTS / 2))
    }

    /// The base `exponent`, kept where a window's value is never subnormal nor infinite.
    #[must_use]
    pub fn new(exponent: i32) -> Self {
        Self(exponent.clamp(-1000, 890))
    }

    /// The exponent.
    #[must_use]
    pub fn exponent(self) -> i32 {
        self.0
    }

    /// Adds `x`, `weight` times, to a window of this base; false when it does not fit and must go to a
    /// [`Wide`] instead.
    #[inline]
    pub fn add(self, window: &mut i128, x: f64, weight: i64) -> bool {
        let (mantissa, exponent) = split(x);
        if mantissa == 0 {
            return true;
        }
        let shift = exponent - self.0;
        if !(0..=WINDOW_EXPONENTS).contains(&shift) || !(-(1 << 20)..=1 << 20).contains(&weight) {
            return false;
        }
        let next = *window + ((i128::from(mantissa) * i128::from(weight)) << shift);
        let fits = matches!(next >> 120, 0 | -1);
        if fits {
            *window = next;
        }
        fits
    }
}

/// The part of a sum that no window holds.
#[derive(Clone, Debug, Default)]
pub struct Wide {
    /// Multiples of 2^(32 b - 1074) by b; no entry is zero. The same sum has many forms.
    bins: BTreeMap<u8, i128>,
    nan: i64,
    positive_infinity: i64,
    negative_infinity: i64,
}

impl Wide {
    /// Adds `x`, `weight` times.
    pub fn add(&mut self, x: f64, weight: i64) {
        if x.is_nan() {
            self.nan += weight;
        } else if x == f64::INFINITY {
            self.positive_infinity += weight;
        } else if x == f64::NEG_INFINITY {
            self.negative_infinity += weight;
        } else {
            let (mantissa, exponent) = split(x);
            let (bin, shift) = place(exponent);
            // The weight in two halves, so that no product passes 2^117.
            let (high, low) = (weight >> 32, weight & 0xffff_ffff);
            self.bin(bin, (i128::from(mantissa) * i128::from(low)) << shift);
            self.bin(bin + 1, (i128::from(mantissa) * i128::from(high)) << shift);
        }
    }

    /// Adds what a window of `base` holds.
    pub fn add_window(&mut self, window: i128, base: Base) {
        let (bin, shift) = place(base.0);
        for k in 0..3u8 {
            self.bin(bin + k, ((window >> (32 * k)) & 0xffff_ffff) << shift);
        }
        self.bin(bin + 3, (window >> 96) << shift);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        for (bin, value) in &other.bins {
            self.bin(*bin, *value);
        }
        self.nan += other.nan;
        self.positive_infinity += other.positive_infinity;
        self.negative_infinity += other.negative_infinity;
    }

    /// Whether it is the sum of nothing: zero, and no NaN or infinity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let counts = [self.nan, self.positive_infinity, self.negative_infinity];
        if counts != [0; 3] {
            return false;
        }
        // The bins of a zero sum need not be zero each: they overlap.
        self.bins.is_empty() || matches!(self.digits(), (digits, 0) if digits == [0; DIGITS])
    }

    /// Bytes it occupies, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bins.len() * 32
    }

    /// The bytes that [`Wide::decode`] reads: three counts, then bin and value of each bin.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + 17 * self.bins.len());
        for count in [self.nan, self.positive_infinity, self.negative_infinity] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        for (bin, value) in &self.bins {
            out.push(*bin);
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// The sum that was encoded; `None` when the bytes are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (counts, bins) = bytes.split_at_checked(24)?;
        let (counts, rest) = counts.as_chunks::<8>();
        let [nan, positive_infinity, negative_infinity] = counts else { return None };
        let mut wide = Self {
            bins: BTreeMap::new(),
            nan: i64::from_le_bytes(*nan),
            positive_infinity: i64::from_le_bytes(*positive_infinity),
            negative_infinity: i64::from_le_bytes(*negative_infinity),
        };
        let (bins, tail) = bins.as_chunks::<17>();
        for [bin, value @ ..] in bins {
            if usize::from(*bin) + 4 > DIGITS {
                return None;
            }
            wide.bin(*bin, i128::from_le_bytes(*value));
        }
        (rest.is_empty() && tail.is_empty()).then_some(wide)
    }

    fn bin(&mut self, bin: u8, value: i128) {
        if value == 0 {
            return;
        }
        let entry = self.bins.entry(bin).or_insert(0);
        *entry += value;
        if *entry == 0 {
            self.bins.remove(&bin);
        }
    }

    /// The base 2^32 digits of the bins' sum and what is left above them: 0, or -1 when it is negative.
    fn digits(&self) -> ([u32; DIGITS], i128) {
        let mut digits = [0u32; DIGITS];
        let mut carry = 0i128;
        let mut bins = self.bins.iter().peekable();
        for (b, digit) in (0u8..).zip(digits.iter_mut()) {
            let bin = bins.next_if(|(bin, _)| **bin == b).map_or(0, |(_, value)| *value);
            let value = carry + bin;
            *digit = low_digit(value);
            carry = value >> 32;
        }
        (digits, carry)
    }

    /// The nearest `f64`, ties to even.
    fn round(&self) -> f64 {
        if self.nan > 0 || (self.positive_infinity > 0 && self.negative_infinity > 0) {
            return f64::NAN;
        }
        if self.positive_infinity > 0 {
            return f64::INFINITY;
        }
        if self.negative_infinity > 0 {
            return f64::NEG_INFINITY;
        }
        let (mut digits, carry) = self.digits();
        let negative = carry < 0;
        if negative {
            let mut carry = true;
            for digit in &mut digits {
                (*digit, carry) = (!*digit).overflowing_add(u32::from(carry));
            }
        }
        let magnitude = round_digits(&digits);
        if negative { -magnitude } else { magnitude }
    }
}

/// The nearest `f64` to a sum, ties to even; a zero sum is positive zero.
#[inline]
#[must_use]
pub fn round(window: i128, base: Base, wide: Option<&Wide>) -> f64 {
    match wide {
        None => scale(window, base),
        Some(wide) => {
            let mut all = wide.clone();
            all.add_window(window, base);
            all.round()
        }
    }
}

/// One exact sum.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    base: Option<Base>,
    window: i128,
    wide: Wide,
}

impl ExactSum {
    /// Adds `x`, `weight` times.
    #[inline]
    pub fn add(&mut self, x: f64, weight: i64) {
        if self.base.is_none() {
            self.base = Base::around(x);
        }
        if !self.base.is_some_and(|base| base.add(&mut self.window, x, weight)) {
            self.wide.add(x, weight);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Wide) {
        self.wide.merge(other);
    }

    /// The sum without a window.
    #[must_use]
    pub fn widened(&self) -> Wide {
        let mut wide = self.wide.clone();
        if let Some(base) = self.base {
            wide.add_window(self.window, base);
        }
        wide
    }

    /// The nearest `f64`.
    #[must_use]
    pub fn value(&self) -> f64 {
        let wide = (!self.wide.is_empty()).then_some(&self.wide);
        round(self.window, self.base.unwrap_or(Base::new(0)), wide)
    }

    /// Bytes it occupies, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.wide.bytes()
    }
}

/// Bin and shift inside it of a multiple of 2^exponent.
fn place(exponent: i32) -> (u8, u32) {
    let position = u32::try_from(exponent - LEAST_EXPONENT).unwrap_or(0);
    (u8::try_from(position >> 5).unwrap_or(u8::MAX), position & 31)
}

fn low_digit(value: i128) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

/// `window * 2^base`, exact but for the rounding to 53 bits: a base is in [-1000, 890], a window below
/// 2^121, so the product is neither subnormal nor infinite.
#[inline]
fn scale(window: i128, base: Base) -> f64 {
    let power = u64::try_from(base.0 + 1023).unwrap_or(0) << 52;
    let value = window as f64 * f64::from_bits(power);
    // A sum of nothing but negative zeros is zero.
    value + 0.0
}

/// The nearest `f64` to the number of these base 2^32 digits times 2^-1074.
fn round_digits(digits: &[u32; DIGITS]) -> f64 {
    let Some(top) = digits.iter().rposition(|d| *d != 0) else { return 0.0 };
    let length = 32 * top + 32 - digits[top].leading_zeros() as usize;
    let bit = |i: usize| digits[i / 32] >> (i % 32) & 1;
    // A double of biased exponent 0 or 1 counts in the same unit as the digits.
    let shift = length.saturating_sub(53);
    let mut bits = (shift..length).rev().fold(0u64, |n, i| n << 1 | u64::from(bit(i)));
    if shift > 0 {
        let half = bit(shift - 1) == 1;
        let sticky = (0..shift - 1).any(|i| bit(i) == 1);
        bits += u64::from(half && (sticky || bits & 1 == 1));
        // The implicit bit of the mantissa raises the exponent field by one.
        bits += (shift as u64) << 52;
    }
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::{Base, ExactSum, Wide, round};

    fn sum(values: &[f64]) -> f64 {
        let mut s = ExactSum::default();
        values.iter().for_each(|v| s.add(*v, 1));
        s.value()
    }

    #[test]
    fn known_sums_are_exact() {
        assert_eq!(sum(&[]).to_bits(), 0f64.to_bits(), "nothing");
        assert_eq!(sum(&[-0.0]).to_bits(), 0f64.to_bits(), "negative zero");
        assert_eq!(sum(&[0.1, 0.2, 0.3]), 0.6, "correctly rounded");
        assert_eq!(sum(&[1e300, 1.0, -1e300, 1e-300, -1.0]), 1e-300, "cancellation");
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX, "no overflow on the way");
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY, "overflow of the sum");
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323, "subnormal");
        assert_eq!(sum(&[f64::MIN_POSITIVE, -5e-324]), f64::MIN_POSITIVE - 5e-324, "subnormal");
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan(), "infinities of both signs");
        assert_eq!(sum(&[f64::NEG_INFINITY, 1.0]), f64::NEG_INFINITY, "one infinity");
        assert!(sum(&[f64::NAN, 1.0]).is_nan(), "not a number");
    }

    #[test]
    fn ties_round_to_even() {
        let one = 1.0 + f64::EPSILON;
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]), 1.0, "tie to even below");
        assert_eq!(sum(&[one, f64::EPSILON / 2.0]), one + f64::EPSILON, "tie to even above");
        assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, 5e-324]), one, "just above the tie");
    }

    #[test]
    fn base_order_and_split_do_not_matter() {
        let mut seed = 7u64;
        let mut next = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed >> 11
        };
        let values: Vec<f64> = (0..5000)
            .map(|_| {
                let exponent = i32::try_from(next() % 600).expect("small") - 300;
                (next() as f64 - (1u64 << 52) as f64) * 2f64.powi(exponent - 52)
            })
            .collect();
        let expected = sum(&values);
        let mut reversed = values.clone();
        reversed.reverse();
        assert_eq!(sum(&reversed).to_bits(), expected.to_bits(), "another order and base");
        let mut merged = ExactSum::default();
        for part in values.chunks(37) {
            let mut s = ExactSum::default();
            part.iter().for_each(|v| s.add(*v, 1));
            let decoded = Wide::decode(&s.widened().encode()).expect("just encoded");
            merged.merge(&decoded);
        }
        assert_eq!(merged.value().to_bits(), expected.to_bits(), "merged parts");
        for v in &values {
            merged.add(*v, -1);
        }
        assert!(merged.widened().is_empty(), "all taken back");
    }

    #[test]
    fn weights_multiply() {
        for weight in [3, -5, 1 << 33, -(1 << 40) - 7] {
            let mut s = ExactSum::default();
            s.add(0.1, weight);
            let mut parts = ExactSum::default();
            parts.add(0.1, weight - 1);
            parts.add(0.1, 1);
            assert_eq!(s.value().to_bits(), parts.value().to_bits(), "weight {weight}");
            parts.add(0.1, -weight);
            assert!(parts.widened().is_empty(), "weight {weight} taken back");
        }
    }

    #[test]
    fn a_window_refuses_what_it_cannot_hold() {
        let base = Base::new(-60);
        let mut window = (1i128 << 120) - 1;
        assert!(!base.add(&mut window, 1.0, 1), "past 2^120");
        assert_eq!(window, (1 << 120) - 1, "unchanged");
        assert!(!base.add(&mut window, 1e-300, 1), "exponent below");
        assert_eq!(round(1 << 60, base, None), 1.0, "scaled");
    }
}
