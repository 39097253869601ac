//! Names of the objects of one database root.
//!
//! ```text
//! format                  magic, format version, database id
//! log/<n>.commit          epoch n (20 digits); created once: the only serialisation point
//! log/boundary/<k>        slots below the epoch it holds are dead
//! ckpt/<n>                hint: log/<n> is a checkpoint
//! manifest/<u>            every live file of a checkpoint
//! input/<u>.arrow         logged input too large for its commit
//! state/<u>.runs          operator state
//! data/<o>/<u>.parquet    rows of relation o
//! publish/<n>.json        what outside readers find
//! ```
//! `<u>` is a ULID, minted in commit order. Everything is immutable; a name is never used twice.

use crate::epoch::Epoch;
use crate::rng::is_ulid;

/// The object that makes a root a database.
pub const FORMAT: &str = "format";
/// All commits.
pub const LOG: &str = "log/";
/// All boundaries.
pub const BOUNDARY: &str = "log/boundary/";
/// All checkpoint hints.
pub const HINT: &str = "ckpt/";
/// All publications.
pub const PUBLISH: &str = "publish/";
/// The folders whose objects live as long as something refers to them.
pub const COLLECTED: [&str; 4] = ["data/", "input/", "manifest/", "state/"];

/// The commit of `epoch`.
#[must_use]
pub fn slot(epoch: Epoch) -> String {
    format!("log/{:020}.commit", epoch.0)
}

/// The epoch of a commit's name.
#[must_use]
pub fn slot_epoch(path: &str) -> Option<Epoch> {
    let digits = path.strip_prefix(LOG)?.strip_suffix(".commit")?;
    number(digits).map(Epoch)
}

/// The `k`-th boundary.
#[must_use]
pub fn boundary(k: u64) -> String {
    format!("log/boundary/{k:020}")
}

/// The number of a boundary's name.
#[must_use]
pub fn boundary_number(path: &str) -> Option<u64> {
    number(path.strip_prefix(BOUNDARY)?)
}

/// The hint that slot `epoch` is a checkpoint.
#[must_use]
pub fn hint(epoch: Epoch) -> String {
    format!("ckpt/{:020}", epoch.0)
}

/// The epoch of a hint's name.
#[must_use]
pub fn hint_epoch(path: &str) -> Option<Epoch> {
    number(path.strip_prefix(HINT)?).map(Epoch)
}

/// A manifest.
#[must_use]
pub fn manifest(ulid: &str) -> String {
    format!("manifest/{ulid}")
}

/// Logged input of one commit.
#[must_use]
pub fn input(ulid: &str) -> String {
    format!("input/{ulid}.arrow")
}

/// Runs of operator state.
#[must_use]
pub fn state(ulid: &str) -> String {
    format!("state/{ulid}.runs")
}

/// Rows of relation `relation`.
#[must_use]
pub fn data(relation: u32, ulid: &str) -> String {
    format!("data/{relation}/{ulid}.parquet")
}

/// The publication of `epoch`.
#[must_use]
pub fn publish(epoch: Epoch) -> String {
    format!("publish/{:020}.json", epoch.0)
}

/// The epoch of a publication's name.
#[must_use]
pub fn publish_epoch(path: &str) -> Option<Epoch> {
    number(path.strip_prefix(PUBLISH)?.strip_suffix(".json")?).map(Epoch)
}

/// The ULID in a name of a [`COLLECTED`] folder.
#[must_use]
pub fn ulid_of(path: &str) -> Option<&str> {
    let file = path.rsplit_once('/')?.1;
    let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
    is_ulid(stem).then_some(stem)
}

fn number(digits: &str) -> Option<u64> {
    let exact = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_number_and_parse_back() {
        assert!(slot(Epoch(9)) < slot(Epoch(10)));
        assert!(slot(Epoch(u64::MAX)) < boundary(1), "slots list before boundaries");
        assert_eq!(slot_epoch(&slot(Epoch(42))), Some(Epoch(42)));
        assert_eq!(slot_epoch(&boundary(3)), None);
        assert_eq!(boundary_number(&boundary(3)), Some(3));
        assert_eq!(hint_epoch(&hint(Epoch(7))), Some(Epoch(7)));
        assert_eq!(publish_epoch(&publish(Epoch(7))), Some(Epoch(7)));
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        for path in [data(7, ulid), state(ulid), input(ulid), manifest(ulid)] {
            assert_eq!(ulid_of(&path), Some(ulid), "{path}");
            assert!(COLLECTED.iter().any(|folder| path.starts_with(folder)), "{path}");
        }
    }
}
