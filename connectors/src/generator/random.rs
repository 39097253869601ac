//! Random numbers that depend on nothing but seed and event number.
//!
//! Each event has a stream of its own: `SplitMix64` started at a hash of seed and number. So any range of
//! events can be made alone.

/// The random stream of one event.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    state: u64,
}

impl Stream {
    /// The stream of event `number`.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        Self { state: mix(seed ^ mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15))) }
    }

    /// The next 64 random bits.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number of `[0, bound)`; `bound` is at least 1.
    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half is below the bound")
    }

    /// A number of `[0, 1)`.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
        let bits = (self.next() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// Appends `length` lower-case letters.
    #[inline]
    pub(crate) fn letters(&mut self, length: usize, out: &mut Vec<u8>) {
        let mut left = length;
        while left > 0 {
            let letters = self.next().to_le_bytes().map(|b| b'a' + letter(b));
            let n = left.min(letters.len());
            out.extend_from_slice(&letters[..n]);
            left -= n;
        }
    }
}

/// One of 26 from a random byte.
#[inline]
fn letter(byte: u8) -> u8 {
    (u16::from(byte) * 26).to_be_bytes()[0]
}

/// The finaliser of `SplitMix64`.
#[inline]
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn numbers_stay_in_bounds_and_differ_by_event() {
        let mut seen = std::collections::BTreeSet::new();
        for event in 0..1_000 {
            let mut stream = Stream::of(7, event);
            assert!(stream.below(10) < 10, "bound");
            assert!((0.0..1.0).contains(&stream.unit()), "unit");
            seen.insert(stream.next());
        }
        assert_eq!(seen.len(), 1_000);
    }

    #[test]
    fn letters_are_letters() {
        let mut out = Vec::new();
        Stream::of(1, 2).letters(1_000, &mut out);
        assert!(out.iter().all(u8::is_ascii_lowercase), "only a to z");
        assert!(out.contains(&b'a') && out.contains(&b'z'), "all of them");
    }
}
