//! The frame around every object of our own formats.
//!
//! ```text
//! offset 0   6 bytes   "LEVADA"
//!        6   1         class of the object
//!        7   1         0
//!        8   2         version of the class, little endian
//!       10   6         0
//!       16   n         payload
//!     16+n   4         crc32c of all bytes before, little endian
//! ```
//! The checksum comes first when opening: a version is believed, and a newer one refused by name, only if
//! the bytes are the ones that were written.

use bytes::Bytes;

use crate::error::{Error, Result};

/// Bytes before the payload.
pub(crate) const HEADER: usize = 16;
const TRAILER: usize = 4;
const MAGIC: &[u8; 6] = b"LEVADA";

/// What an object is; written into it, so that swapped objects are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Format = 1,
    Commit = 2,
    Boundary = 3,
    Hint = 4,
    Manifest = 5,
    Input = 6,
    Run = 7,
}

impl Class {
    /// The newest version that this release writes and reads.
    pub(crate) fn version(self) -> u16 {
        match self {
            Self::Format
            | Self::Commit
            | Self::Boundary
            | Self::Hint
            | Self::Manifest
            | Self::Input
            | Self::Run => 1,
        }
    }
}

/// The object that holds `payload`.
pub(crate) fn seal(class: Class, payload: &[&[u8]]) -> Vec<u8> {
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    let mut object = Vec::with_capacity(HEADER + length + TRAILER);
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&[class as u8, 0]);
    object.extend_from_slice(&class.version().to_le_bytes());
    object.extend_from_slice(&[0; 6]);
    for part in payload {
        object.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(&object);
    object.extend_from_slice(&crc.to_le_bytes());
    object
}

/// The payload of the object called `name`.
pub(crate) fn unseal(name: &str, class: Class, object: &Bytes) -> Result<Bytes> {
    let Some(body) = object.len().checked_sub(TRAILER).filter(|body| *body >= HEADER) else {
        return Err(Error::corrupt(name, format!("it has only {} bytes", object.len())));
    };
    if object[..MAGIC.len()] != *MAGIC {
        return Err(Error::corrupt(name, "it does not start with the magic bytes"));
    }
    let (stored, computed) = (u32_at(object, body), crc32c::crc32c(&object[..body]));
    if stored != computed {
        let detail = format!("its checksum is {computed:08x} but {stored:08x} was stored");
        return Err(Error::corrupt(name, detail));
    }
    if object[6] != class as u8 {
        return Err(Error::corrupt(name, format!("it holds an object of class {}", object[6])));
    }
    let version = u16::from_le_bytes([object[8], object[9]]);
    if version > class.version() {
        let supported = class.version();
        return Err(Error::NewerFormat { object: name.to_owned(), found: version, supported });
    }
    if version == 0 {
        return Err(Error::corrupt(name, "its format version is 0"));
    }
    Ok(object.slice(HEADER..body))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let object = seal(Class::Hint, &[b"pay", b"load"]);
        assert_eq!(unseal("x", Class::Hint, &object.clone().into()).unwrap(), "payload");
        for bit in 0..object.len() * 8 {
            let mut damaged = object.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let result = unseal("x", Class::Hint, &damaged.into());
            assert!(matches!(result, Err(Error::Corrupt { .. })), "bit {bit}");
        }
        for length in 0..object.len() {
            let result = unseal("x", Class::Hint, &object[..length].to_vec().into());
            assert!(matches!(result, Err(Error::Corrupt { .. })), "length {length}");
        }
    }

    #[test]
    fn a_swapped_object_and_a_newer_version_are_told_apart() {
        let mut object = seal(Class::Hint, &[b"x"]);
        let swapped = unseal("x", Class::Run, &object.clone().into());
        assert!(matches!(swapped, Err(Error::Corrupt { .. })));
        let body = object.len() - TRAILER;
        object[8..10].copy_from_slice(&9u16.to_le_bytes());
        let crc = crc32c::crc32c(&object[..body]);
        object[body..].copy_from_slice(&crc.to_le_bytes());
        let newer = unseal("x", Class::Hint, &object.into());
        assert!(matches!(newer, Err(Error::NewerFormat { found: 9, supported: 1, .. })));
    }
}
