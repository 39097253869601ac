//! Exact sums of values, squares and products of one or two columns, under retraction.
//!
//! ```text
//! words = n, then a window of 256 bits for each of  x  x*x  and with two columns  y  y*y  x*y
//! wide  = for the rows whose exponents no window covers: the same sums in bins of 32 bits, and the counts
//!         of NaN and the infinities
//! ```
//! As in [`exact_float`](crate::aggregate::exact_float), the windows' bases come from the first value and do
//! not show in a result. A row goes into the windows as a whole or not at all.

use std::collections::BTreeMap;

use super::number::Number;
use crate::aggregate::exact_float::{Base, split};

/// Exponents that a window of values covers beside its base; windows of products cover twice as many.
const WINDOW_EXPONENTS: i32 = 40;
/// Exponent of the least bit of a product.
const LEAST_EXPONENT: i32 = -2148;
/// Base 2^32 digits that hold any wide sum.
const DIGITS: u8 = 140;

/// How many columns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Columns {
    /// Sums of `x` and its square.
    One,
    /// Sums of `x`, `y`, their squares and their product.
    Two,
}

/// Where the windows of the two columns begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// Of the first column; none before it had a value.
    pub x: Option<Base>,
    /// Of the second.
    pub y: Option<Base>,
}

impl Bases {
    /// Chooses the bases that are not chosen yet; whether one was.
    pub fn see(&mut self, x: f64, y: f64) -> bool {
        let before = *self;
        self.x = self.x.or_else(|| Base::around(x));
        self.y = self.y.or_else(|| Base::around(y));
        *self != before
    }

    fn exponents(&self, columns: Columns) -> [i32; 5] {
        let of = |base: Option<Base>| base.unwrap_or(Base::new(0)).exponent();
        let (x, y) = (of(self.x), if columns == Columns::Two { of(self.y) } else { 0 });
        [x, 2 * x, y, 2 * y, x + y]
    }
}

impl Columns {
    /// The number of sums.
    #[must_use]
    pub fn sums(self) -> usize {
        match self {
            Self::One => 2,
            Self::Two => 5,
        }
    }

    /// Words of the windows and the count.
    #[must_use]
    pub fn words(self) -> usize {
        1 + 4 * self.sums()
    }

    /// Adds a row `weight` times to the words; false when only its count was added and the rest must go to
    /// a [`Wide`].
    #[inline]
    #[must_use]
    pub fn add(self, bases: &Bases, words: &mut [u64], x: f64, y: f64, weight: i64) -> bool {
        words[0] = words[0].wrapping_add(weight.cast_unsigned());
        if !(-(1 << 20)..=1 << 20).contains(&weight) {
            return false;
        }
        let at = bases.exponents(self);
        let ((a, i), (b, j)) = (split(x), split(y));
        let covered = |mantissa: i64, exponent: i32| {
            mantissa == 0 || (0..=WINDOW_EXPONENTS).contains(&exponent)
        };
        let (i, j) = (i - at[0], j - at[2]);
        if !covered(a, i) || (self == Self::Two && !covered(b, j)) {
            return false;
        }
        let (i, j) = (if a == 0 { 0 } else { i }, if b == 0 { 0 } else { j });
        let terms = [
            (i128::from(a), i),
            (i128::from(a) * i128::from(a), 2 * i),
            (i128::from(b), j),
            (i128::from(b) * i128::from(b), 2 * j),
            (i128::from(a) * i128::from(b), i + j),
        ];
        let windows = words[1..].as_chunks_mut::<4>().0;
        let mut next = [[0; 4]; 5];
        for ((window, (term, shift)), next) in windows.iter().zip(terms).zip(&mut next) {
            match moved(*window, term * i128::from(weight), shift) {
                Some(sum) => *next = sum,
                None => return false,
            }
        }
        windows.iter_mut().zip(next).for_each(|(window, next)| *window = next);
        true
    }

    /// The sums that words and what did not fit them hold.
    #[must_use]
    pub fn read(self, bases: &Bases, words: &[u64], wide: Option<&Wide>) -> Sums {
        let windows = words[1..].as_chunks::<4>().0;
        let mut sums: [Number; 5] = Default::default();
        for ((sum, window), exponent) in sums.iter_mut().zip(windows).zip(bases.exponents(self)) {
            *sum = number(window, exponent);
        }
        if let Some(wide) = wide {
            for (sum, bins) in sums.iter_mut().zip(&wide.sums) {
                *sum = sum.plus(&bins.number());
            }
        }
        let special = |column: usize| wide.map_or([0; 3], |wide| wide.special[column]);
        let [x, xx, y, yy, xy] = sums;
        let specials = [special(0), special(1)];
        Sums { n: words[0].cast_signed(), x, xx, y, yy, xy, specials }
    }
}

/// `window + term * 2^shift`, unless that comes near the end of 256 bits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits")]
fn moved(window: [u64; 4], term: i128, shift: i32) -> Option<[u64; 4]> {
    if term == 0 {
        return Some(window);
    }
    let magnitude = term.unsigned_abs();
    let (word, bits) = (usize::from(shift >= 64), shift.cast_unsigned() % 64);
    let (low, high) = (magnitude as u64, (magnitude >> 64) as u64);
    let over = |part: u64| if bits == 0 { 0 } else { part >> (64 - bits) };
    let mut addend = [0u64; 4];
    addend[word] = low << bits;
    addend[word + 1] = high << bits | over(low);
    addend[word + 2] = over(high);
    let negative = term < 0;
    let mut carry = negative;
    let mut sum = [0; 4];
    for ((sum, old), new) in sum.iter_mut().zip(window).zip(addend) {
        let (partial, first) = old.overflowing_add(if negative { !new } else { new });
        let (total, second) = partial.overflowing_add(u64::from(carry));
        *sum = total;
        carry = first || second;
    }
    matches!(sum[3].cast_signed() >> 56, 0 | -1).then_some(sum)
}

fn number(window: &[u64; 4], exponent: i32) -> Number {
    let halves = |word: &u64| [*word & 0xffff_ffff, *word >> 32];
    let digits = window.iter().flat_map(halves).map(|half| u32::try_from(half).unwrap_or(0));
    Number::of_complement(digits.collect(), window[3] >> 63 == 1, exponent)
}

/// Multiples of 2^(32 b - 2148) by b; none is zero.
#[derive(Clone, Debug, Default)]
struct Bins(BTreeMap<u8, i128>);

impl Bins {
    fn add(&mut self, bin: u8, value: i128) {
        if value == 0 {
            return;
        }
        let entry = self.0.entry(bin).or_insert(0);
        *entry += value;
        if *entry == 0 {
            self.0.remove(&bin);
        }
    }

    /// Adds `term * 2^exponent`, `weight` times.
    fn add_term(&mut self, term: i128, exponent: i32, weight: i64) {
        let position = u32::try_from(exponent - LEAST_EXPONENT).unwrap_or(0);
        let (bin, shift) = (u8::try_from(position / 32).unwrap_or(u8::MAX), position % 32);
        let sign = if term < 0 { -1 } else { 1 };
        let magnitude = term.unsigned_abs();
        // The weight in two halves, so that no product passes 2^97.
        let (high, low) = (i128::from(weight >> 32), i128::from(weight & 0xffff_ffff));
        for k in 0..4u8 {
            let digit = (magnitude >> (32 * k) & 0xffff_ffff).cast_signed();
            let digit = sign * (digit << shift);
            self.add(bin + k, digit * low);
            self.add(bin + k + 1, digit * high);
        }
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(bin, value)| self.add(*bin, *value));
    }

    fn number(&self) -> Number {
        if self.0.is_empty() {
            return Number::default();
        }
        let mut carry = 0i128;
        let mut digits = Vec::with_capacity(DIGITS.into());
        for bin in 0..DIGITS {
            let value = carry + self.0.get(&bin).copied().unwrap_or(0);
            digits.push(u32::try_from(value & 0xffff_ffff).unwrap_or(0));
            carry = value >> 32;
        }
        Number::of_complement(digits, carry < 0, LEAST_EXPONENT)
    }
}

/// What of the sums is in no window.
#[derive(Clone, Debug, Default)]
pub struct Wide {
    sums: [Bins; 5],
    /// Per column the number of NaN, of the positive and of the negative infinity.
    special: [[i64; 3]; 2],
}

fn special(x: f64) -> Option<usize> {
    if x.is_nan() {
        Some(0)
    } else if x.is_infinite() {
        Some(if x > 0.0 { 1 } else { 2 })
    } else {
        None
    }
}

impl Wide {
    /// Adds a row `weight` times; the count is elsewhere.
    pub fn add(&mut self, columns: Columns, x: f64, y: f64, weight: i64) {
        let two = columns == Columns::Two;
        let specials = [special(x), if two { special(y) } else { None }];
        for (counts, special) in self.special.iter_mut().zip(specials) {
            special.into_iter().for_each(|kind| counts[kind] += weight);
        }
        // Where a value is no number, its sums are not read; the other column's are.
        let part =
            |x: f64, special: Option<usize>| if special.is_some() { (0, 0) } else { split(x) };
        let (a, i) = part(x, specials[0]);
        let (b, j) = if two { part(y, specials[1]) } else { (0, 0) };
        let (a, b) = (i128::from(a), i128::from(b));
        let terms = [(a, i), (a * a, 2 * i), (b, j), (b * b, 2 * j), (a * b, i + j)];
        for (sum, (term, exponent)) in self.sums.iter_mut().zip(terms) {
            sum.add_term(term, exponent, weight);
        }
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.merge(other));
        for (counts, others) in self.special.iter_mut().zip(other.special) {
            counts.iter_mut().zip(others).for_each(|(count, other)| *count += other);
        }
    }

    /// Adds the windows of words.
    pub fn merge_windows(&mut self, columns: Columns, bases: &Bases, words: &[u64]) {
        let windows = words[1..].as_chunks::<4>().0;
        let exponents = bases.exponents(columns);
        for ((sum, window), exponent) in self.sums.iter_mut().zip(windows).zip(exponents) {
            for (k, word) in (0i32..).zip(window) {
                // The highest word has the sign.
                let term = if k == 3 { word.cast_signed().into() } else { i128::from(*word) };
                sum.add_term(term, exponent + 64 * k, 1);
            }
        }
    }

    /// Whether nothing is in it; a sum of zero may be something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.special == [[0; 3]; 2] && self.sums.iter().all(|sum| sum.number().is_zero())
    }

    /// Bytes it occupies, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.sums.iter().map(|sum| sum.0.len() * 32).sum::<usize>()
    }

    /// The bytes that [`Wide::decode`] reads: six counts, then per sum the number of bins, bin and value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.special.iter().flatten().for_each(|count| out.extend(count.to_le_bytes()));
        for sum in &self.sums {
            out.push(u8::try_from(sum.0.len()).unwrap_or(u8::MAX));
            for (bin, value) in &sum.0 {
                out.push(*bin);
                out.extend(value.to_le_bytes());
            }
        }
        out
    }

    /// The sums that were encoded; `None` when the bytes are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut wide = Self::default();
        let mut rest = bytes;
        for count in wide.special.iter_mut().flatten() {
            let (head, tail) = rest.split_first_chunk::<8>()?;
            (*count, rest) = (i64::from_le_bytes(*head), tail);
        }
        for sum in &mut wide.sums {
            let (bins, tail) = rest.split_first()?;
            rest = tail;
            for _ in 0..*bins {
                let (bin, tail) = rest.split_first()?;
                let (value, tail) = tail.split_first_chunk::<16>()?;
                if *bin >= DIGITS {
                    return None;
                }
                sum.add(*bin, i128::from_le_bytes(*value));
                rest = tail;
            }
        }
        rest.is_empty().then_some(wide)
    }
}

/// Exact sums over `n` rows.
#[derive(Clone, Debug)]
pub struct Sums {
    pub(super) n: i64,
    pub(super) x: Number,
    pub(super) xx: Number,
    pub(super) y: Number,
    pub(super) yy: Number,
    pub(super) xy: Number,
    pub(super) specials: [[i64; 3]; 2],
}
