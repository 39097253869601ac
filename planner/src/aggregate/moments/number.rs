//! Exact binary numbers of any size: what sums of products are before they are rounded once.

use std::cmp::Ordering;

/// `±magnitude * 2^exponent`; the magnitude's base 2^32 digits, the lowest first, the highest not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    digits: Vec<u32>,
    exponent: i32,
}

impl Number {
    /// The number `value`.
    #[must_use]
    pub fn of(value: i64) -> Self {
        let magnitude = value.unsigned_abs();
        Self::new(value < 0, vec![low(magnitude), low(magnitude >> 32)], 0)
    }

    fn new(negative: bool, mut digits: Vec<u32>, exponent: i32) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self { negative: negative && !digits.is_empty(), digits, exponent }
    }

    /// The number whose two's complement has these digits, the lowest first.
    #[must_use]
    pub fn of_complement(mut digits: Vec<u32>, negative: bool, exponent: i32) -> Self {
        if negative {
            let mut carry = true;
            for digit in &mut digits {
                (*digit, carry) = (!*digit).overflowing_add(u32::from(carry));
            }
        }
        Self::new(negative, digits, exponent)
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The product.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let mut digits = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, a) in self.digits.iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.digits.iter().enumerate() {
                let sum = u64::from(*a) * u64::from(*b) + u64::from(digits[i + j]) + carry;
                digits[i + j] = low(sum);
                carry = sum >> 32;
            }
            digits[i + other.digits.len()] = low(carry);
        }
        Self::new(self.negative != other.negative, digits, self.exponent + other.exponent)
    }

    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.digits_at(exponent), other.digits_at(exponent));
        if self.negative == other.negative {
            return Self::new(self.negative, add(&a, &b), exponent);
        }
        match compare(&a, &b) {
            Ordering::Less => Self::new(other.negative, subtract(&b, &a), exponent),
            _ => Self::new(self.negative, subtract(&a, &b), exponent),
        }
    }

    /// The difference.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { negative: !other.negative, ..other.clone() })
    }

    /// The digits in units of 2^`exponent`, which is not above its own.
    fn digits_at(&self, exponent: i32) -> Vec<u32> {
        let shift = usize::try_from(self.exponent - exponent).unwrap_or(0);
        let mut digits = vec![0; shift / 32];
        let bits = shift % 32;
        let mut carry = 0;
        for digit in &self.digits {
            let wide = u64::from(*digit) << bits | carry;
            digits.push(low(wide));
            carry = wide >> 32;
        }
        digits.push(low(carry));
        while digits.last() == Some(&0) {
            digits.pop();
        }
        digits
    }

    /// The nearest `m * 2^e` with `m` of 53 bits, ties to even: a number in ±[2^52, 2^53], or zero.
    #[must_use]
    pub fn scaled(&self) -> Scaled {
        let Some(top) = self.digits.last() else { return Scaled { mantissa: 0.0, exponent: 0 } };
        let length = 32 * self.digits.len() - top.leading_zeros() as usize;
        let bit = |i: usize| u64::from(self.digits[i / 32] >> (i % 32) & 1);
        let dropped = length.saturating_sub(53);
        let mut bits = (dropped..length).rev().fold(0u64, |bits, i| bits << 1 | bit(i));
        if dropped > 0 && bit(dropped - 1) == 1 {
            let half = dropped - 1;
            let whole = self.digits[..half / 32].iter().any(|d| *d != 0);
            let sticky = whole || self.digits[half / 32] & ((1 << (half % 32)) - 1) != 0;
            bits += u64::from(sticky || bits & 1 == 1);
        }
        let up = 53usize.saturating_sub(length);
        let mantissa = (bits << up) as f64;
        let shift = i32::try_from(dropped).unwrap_or(0) - i32::try_from(up).unwrap_or(0);
        let mantissa = if self.negative { -mantissa } else { mantissa };
        Scaled { mantissa, exponent: self.exponent + shift }
    }
}

/// `mantissa * 2^exponent`, beyond the range of a `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    mantissa: f64,
    exponent: i32,
}

impl Scaled {
    /// The quotient.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self { mantissa: self.mantissa / other.mantissa, exponent: self.exponent - other.exponent }
    }

    /// The square root.
    #[must_use]
    pub fn root(self) -> Self {
        let odd = self.exponent & 1;
        let mantissa = if odd == 1 { self.mantissa * 2.0 } else { self.mantissa };
        Self { mantissa: mantissa.sqrt(), exponent: (self.exponent - odd) / 2 }
    }

    /// As a `f64`; infinite above its range.
    #[must_use]
    pub fn value(self) -> f64 {
        // In two steps, neither of which leaves the range before the last.
        let half = (self.exponent / 2).clamp(-1000, 1000);
        let rest = (self.exponent - half).clamp(-1000, 1000);
        self.mantissa * power(half) * power(rest)
    }
}

/// 2^`exponent` for an exponent of at most 1000 either way.
fn power(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn compare(a: &[u32], b: &[u32]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn add(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut digits = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    for i in 0..a.len().max(b.len()) {
        let digit = |of: &[u32]| u64::from(of.get(i).copied().unwrap_or(0));
        let sum = digit(a) + digit(b) + carry;
        digits.push(low(sum));
        carry = sum >> 32;
    }
    digits.push(low(carry));
    digits
}

/// `a - b`, of which `b` is not the greater.
fn subtract(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut borrow = false;
    let mut digits = Vec::with_capacity(a.len());
    for (i, a) in a.iter().enumerate() {
        let (difference, first) = a.overflowing_sub(b.get(i).copied().unwrap_or(0));
        let (difference, second) = difference.overflowing_sub(u32::from(borrow));
        borrow = first || second;
        digits.push(difference);
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn value(number: &Number) -> f64 {
        number.scaled().value()
    }

    #[test]
    fn arithmetic_is_that_of_integers() {
        let values = [0, 1, -1, 7, -3_000_000_000, 1 << 40, -(1 << 52), 123_456_789_012];
        for a in values {
            for b in values {
                let (x, y) = (Number::of(a), Number::of(b));
                let product = i128::from(a) * i128::from(b);
                assert_eq!(value(&x.plus(&y)), (a + b) as f64, "{a} + {b}");
                assert_eq!(value(&x.minus(&y)), (a - b) as f64, "{a} - {b}");
                assert_eq!(value(&x.times(&y)), product as f64, "{a} * {b}");
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        for (high, low, expected) in
            [(1i64 << 53, 1, 9_007_199_254_740_992.0), (1 << 53, 3, 9_007_199_254_740_996.0)]
        {
            assert_eq!(value(&Number::of(high).plus(&Number::of(low))), expected, "{high} + {low}");
        }
        assert_eq!(value(&Number::of(i64::MAX)), i64::MAX as f64, "many bits");
    }

    #[test]
    fn roots_and_quotients_keep_their_exponents() {
        let four = Number::of(1 << 62).times(&Number::of(1 << 62)).times(&Number::of(4));
        assert_eq!(four.scaled().root().value(), 2f64.powi(63), "a root");
        assert_eq!(four.scaled().over(Number::of(2).scaled()).value(), 2f64.powi(125), "a half");
        assert_eq!(Number::of(2).scaled().root().value(), 2f64.sqrt(), "an odd exponent");
    }
}
