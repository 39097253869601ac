//! The random stream of `NumPy`'s `default_rng`: the same seed gives the same events as in Python.
//!
//! | part | is |
//! |---|---|
//! | seeding | `SeedSequence`: words are hashed into a pool of four, then drawn from it |
//! | numbers | PCG64: a 128-bit linear congruential generator, output XSL-RR |
//! | integers below a bound | Lemire's multiply and reject, on 8, 32 or 64 bits by the width of the range |
//!
//! 32-bit numbers are halves of a 64-bit one, low half first; the high half waits for the next 32-bit draw.

const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// A stream of random numbers.
#[derive(Debug)]
pub(crate) struct Stream {
    state: u128,
    increment: u128,
    /// The half that waits.
    half: Option<u32>,
}

impl Stream {
    /// The stream that `SeedSequence(entropy)` gives.
    pub(crate) fn new(entropy: &[u32]) -> Self {
        let words = seed_words(entropy);
        let pair = |i: usize| (u128::from(words[i]) << 64) | u128::from(words[i + 1]);
        let mut stream = Self { state: 0, increment: (pair(2) << 1) | 1, half: None };
        stream.advance();
        stream.state = stream.state.wrapping_add(pair(0));
        stream.advance();
        stream
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    #[expect(clippy::cast_possible_truncation, reason = "the generator folds its state")]
    fn next64(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    #[expect(clippy::cast_possible_truncation, reason = "halves of a number")]
    fn next32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let both = self.next64();
        self.half = Some((both >> 32) as u32);
        both as u32
    }

    /// A number of `[0, 1)`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An integer of `[low, high)`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let last = low.abs_diff(high) - 1;
        let drawn = match u32::try_from(last) {
            Ok(0) => 0,
            Ok(u32::MAX) => u64::from(self.next32()),
            Ok(last) => u64::from(self.below32(last)),
            Err(_) => self.below64(last),
        };
        low.wrapping_add_unsigned(drawn)
    }

    /// `rows` integers of `[low, high)`.
    pub(crate) fn many(&mut self, low: i64, high: i64, rows: usize) -> Vec<i64> {
        (0..rows).map(|_| self.between(low, high)).collect()
    }

    /// `rows` numbers of `[0, 1)`.
    pub(crate) fn units(&mut self, rows: usize) -> Vec<f64> {
        (0..rows).map(|_| self.unit()).collect()
    }

    /// `count` bytes of `[0, bound)`, four of them from each 32-bit number.
    #[expect(clippy::cast_possible_truncation, reason = "bytes of a number")]
    pub(crate) fn bytes(&mut self, bound: u8, count: usize) -> Vec<u8> {
        let (mut buffer, mut left) = (0_u32, 0);
        let mut next = |stream: &mut Self| {
            if left == 0 {
                buffer = stream.next32();
                left = 4;
            } else {
                buffer >>= 8;
            }
            left -= 1;
            u16::from(buffer as u8) * u16::from(bound)
        };
        let threshold = u16::from(u8::MAX - (bound - 1)) % u16::from(bound);
        let draw = |_| {
            let mut product = next(self);
            while product & 0xff < threshold {
                product = next(self);
            }
            (product >> 8) as u8
        };
        (0..count).map(draw).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half decides, the high half is drawn"
    )]
    fn below32(&mut self, last: u32) -> u32 {
        let bound = last + 1;
        let threshold = (u32::MAX - last) % bound;
        let mut product = u64::from(self.next32()) * u64::from(bound);
        while (product as u32) < threshold {
            product = u64::from(self.next32()) * u64::from(bound);
        }
        (product >> 32) as u32
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half decides, the high half is drawn"
    )]
    fn below64(&mut self, last: u64) -> u64 {
        let bound = last + 1;
        let threshold = (u64::MAX - last) % bound;
        let mut product = u128::from(self.next64()) * u128::from(bound);
        while (product as u64) < threshold {
            product = u128::from(self.next64()) * u128::from(bound);
        }
        (product >> 64) as u64
    }
}

/// Four 64-bit words of a `SeedSequence`.
fn seed_words(entropy: &[u32]) -> [u64; 4] {
    let pool = seed_pool(entropy);
    let mut constant = 0x8b51_f9dd_u32;
    let mut draw = |i: usize| {
        let mut word = pool[i % pool.len()] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        word = word.wrapping_mul(constant);
        u64::from(word ^ (word >> 16))
    };
    let mut words = [0; 4];
    for (i, word) in words.iter_mut().enumerate() {
        let low = draw(2 * i);
        *word = low | (draw(2 * i + 1) << 32);
    }
    words
}

fn seed_pool(entropy: &[u32]) -> [u32; 4] {
    let mut constant = 0x43b0_d7e5_u32;
    let mut hashed = |value: u32| {
        let mut value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mix = |x: u32, y: u32| {
        let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        mixed ^ (mixed >> 16)
    };
    let mut pool = [0; 4];
    for (i, word) in pool.iter_mut().enumerate() {
        *word = hashed(entropy.get(i).copied().unwrap_or(0));
    }
    for from in 0..pool.len() {
        for to in 0..pool.len() {
            if from != to {
                pool[to] = mix(pool[to], hashed(pool[from]));
            }
        }
    }
    for value in entropy.iter().skip(pool.len()) {
        for word in &mut pool {
            *word = mix(*word, hashed(*value));
        }
    }
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams_and_bounds_hold() {
        let (mut a, mut b) = (Stream::new(&[42, 0]), Stream::new(&[42, 0]));
        assert_eq!(a.many(0, 1000, 50), b.many(0, 1000, 50));
        assert!(a.many(-40, 40, 1000).iter().all(|n| (-40..40).contains(n)));
        assert!(a.bytes(26, 1000).iter().all(|byte| *byte < 26));
        assert!(a.units(1000).iter().all(|unit| (0.0..1.0).contains(unit)));
        let wide = 10_i64.pow(15)..10_i64.pow(16);
        assert!(a.many(wide.start, wide.end, 100).iter().all(|n| wide.contains(n)));
    }

    #[test]
    fn seeds_are_those_of_numpy() {
        // np.random.default_rng(0).random() and np.random.default_rng(42).random()
        assert_eq!(Stream::new(&[0]).unit(), 0.636_961_687_321_454_3);
        assert_eq!(Stream::new(&[42]).unit(), 0.773_956_048_555_963_3);
    }
}
