//! The `format` object: what makes a root a database, and which one.

use bytes::Bytes;

use crate::blob::Blob;
use crate::envelope::{self, Class};
use crate::error::{Error, Result};
use crate::layout;
use crate::rng::Rng;

/// Tries at creating the object when the store gives no clear answer.
const ATTEMPTS: usize = 4;

/// The id of the database in `blob`, and whether this call created it.
///
/// # Errors
/// [`Error::NotADatabase`] when the root holds other objects, [`Error::NewerFormat`] when a newer release
/// wrote it, [`Error::Corrupt`] when its `format` is damaged.
pub(crate) async fn open(blob: &dyn Blob, rng: &Rng) -> Result<([u8; 16], bool)> {
    if let Some(object) = blob.get(layout::FORMAT).await? {
        return Ok((decode(&object)?, false));
    }
    // A probe that was cut off leaves its object; everything else is somebody's data.
    if blob.list("", None).await?.iter().any(|(name, _)| !name.starts_with("probe/")) {
        return Err(Error::NotADatabase { location: blob.location("") });
    }
    let database = rng.uuid();
    let object = Bytes::from(envelope::seal(Class::Format, &[&database]));
    for _ in 0..ATTEMPTS {
        blob.put_if_absent(layout::FORMAT, object.clone()).await?;
        // Whatever the answer was, the object says who created the database.
        if let Some(object) = blob.get(layout::FORMAT).await? {
            let stored = decode(&object)?;
            return Ok((stored, stored == database));
        }
    }
    Err(Error::missing(layout::FORMAT))
}

fn decode(object: &Bytes) -> Result<[u8; 16]> {
    let payload = envelope::unseal(layout::FORMAT, Class::Format, object)?;
    let database = payload.as_ref().try_into();
    database.map_err(|_error| Error::corrupt(layout::FORMAT, "its database id has a wrong length"))
}
