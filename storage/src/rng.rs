//! Chance as an injected value: one of the three seams to the world (clock, rng, task).
//!
//! One [`Rng`] per database hands out seeds, UUIDs and object names. Object names are **ULIDs**: 48 bits
//! of milliseconds, then 80 random bits, in 26 characters of Crockford's base 32. Each ULID of one `Rng`
//! is greater than the one before, also when the clock stands still or jumps back, so the order of names
//! is the order of minting and a name tells what is older than what.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Length of a ULID in characters.
pub const ULID_LEN: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A shared source of randomness; clones draw from the same sequence.
#[derive(Clone)]
pub struct Rng {
    state: Arc<Mutex<State>>,
}

struct State {
    random: StdRng,
    last: u128,
}

impl Rng {
    /// The sequence that `seed` determines.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    /// A sequence seeded by the operating system.
    #[must_use]
    pub fn from_os() -> Self {
        Self::of(StdRng::from_os_rng())
    }

    fn of(random: StdRng) -> Self {
        Self { state: Arc::new(Mutex::new(State { random, last: 0 })) }
    }

    /// 64 random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        self.with(|state| state.random.next_u64())
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        let mut uuid = [0; 16];
        self.with(|state| state.random.fill_bytes(&mut uuid));
        uuid[6] = (uuid[6] & 0x0f) | 0x40;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        uuid
    }

    /// The next ULID at wall time `now_us`; greater than every one minted or observed before.
    #[must_use]
    pub fn ulid(&self, now_us: i64) -> String {
        let ms = u128::try_from(now_us / 1_000).unwrap_or(0) & ((1 << 48) - 1);
        let ulid = self.with(|state| {
            let chance = (u128::from(state.random.next_u32()) << 48)
                | u128::from(state.random.next_u64() >> 16);
            // Half of the random space stays above each name, so that counting up does not run over.
            let fresh = (ms << 80) | (chance >> 1);
            state.last = fresh.max(state.last + 1);
            state.last
        });
        encode(ulid)
    }

    /// Makes later ULIDs greater than `ulid`, a name that another process minted.
    pub fn observe(&self, ulid: &str) {
        if let Some(seen) = decode(ulid) {
            self.with(|state| state.last = state.last.max(seen));
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}

/// Whether `text` has the form of a ULID.
#[must_use]
pub fn is_ulid(text: &str) -> bool {
    decode(text).is_some()
}

fn encode(ulid: u128) -> String {
    (0..ULID_LEN)
        .rev()
        .map(|i| char::from(ALPHABET[usize::from(((ulid >> (5 * i)) & 31).to_le_bytes()[0])]))
        .collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != ULID_LEN || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |ulid, byte| {
        let digit = ALPHABET.iter().position(|a| *a == byte)?;
        Some((ulid << 5) | digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulids_grow_even_when_the_clock_does_not() {
        let rng = Rng::seeded(1);
        let mut last = rng.ulid(1_700_000_000_000_000);
        for step in 0..1_000 {
            let next = rng.ulid(1_700_000_000_000_000 - step * 5_000);
            assert!(next > last, "{next} follows {last}");
            assert!(is_ulid(&next));
            last = next;
        }
    }

    #[test]
    fn an_observed_ulid_is_passed() {
        let (ahead, behind) = (Rng::seeded(1), Rng::seeded(2));
        let seen = ahead.ulid(9_000_000_000);
        behind.observe(&seen);
        assert!(behind.ulid(1_000_000) > seen);
    }

    #[test]
    fn equal_seeds_give_equal_sequences() {
        let (a, b) = (Rng::seeded(9), Rng::seeded(9));
        assert_eq!((a.next_u64(), a.uuid(), a.ulid(5)), (b.next_u64(), b.uuid(), b.ulid(5)));
        assert_ne!(a.uuid(), Rng::seeded(10).uuid());
        assert_eq!(a.uuid()[6] >> 4, 4);
    }

    #[test]
    fn only_ulids_are_taken_for_ulids() {
        assert_eq!(decode("00000000000000000000000010"), Some(32));
        for bad in [
            "",
            "0000000000000000000000001",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000u",
        ] {
            assert!(!is_ulid(bad), "{bad}");
        }
    }
}
