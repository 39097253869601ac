//! The mark below which log slots are dead.
//!
//! `log/boundary/<k>`, k = 1, 2, 3…, says that slots below an epoch are not needed. It is written before
//! the slots are deleted and never deleted itself, so that a writer which stalled until its successor
//! deleted "its" slot, and could then create it anew, finds the next boundary and stops.
//!
//! The mark also carries the **floor**: unreferenced objects with a ULID below it may be deleted. Whoever
//! claims the log later mints above it.

use bytes::Bytes;
use prost::Message;

use crate::blob::{Blob, Put};
use crate::envelope::{self, Class};
use crate::epoch::{Epoch, Generation};
use crate::error::{Error, Result};
use crate::layout;

/// What one boundary object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: Epoch,
    pub(crate) generation: Generation,
    pub(crate) floor: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireMark {
    #[prost(bytes = "vec", tag = "1")]
    database: Vec<u8>,
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint64, tag = "4")]
    generation: u64,
    #[prost(string, tag = "5")]
    floor: String,
}

/// Writes boundary `number`; the answer may be that it exists or that the outcome is not known.
pub(crate) async fn write(
    blob: &dyn Blob,
    database: [u8; 16],
    number: u64,
    mark: &Mark,
) -> Result<Put> {
    let message = WireMark {
        database: database.to_vec(),
        number,
        epoch: mark.epoch.0,
        generation: mark.generation.0,
        floor: mark.floor.clone(),
    };
    let object = envelope::seal(Class::Boundary, &[&message.encode_to_vec()]);
    blob.put_if_absent(&layout::boundary(number), object.into()).await
}

/// Reads boundary `number`, if it exists.
pub(crate) async fn read(blob: &dyn Blob, database: [u8; 16], number: u64) -> Result<Option<Mark>> {
    let name = layout::boundary(number);
    blob.get(&name).await?.map(|object| decode(&name, &object, database, number)).transpose()
}

/// The number of the newest boundary, 0 for none, and what it says.
pub(crate) async fn newest(blob: &dyn Blob, database: [u8; 16]) -> Result<(u64, Option<Mark>)> {
    let listed = blob.list(layout::BOUNDARY, None).await?;
    let number = listed.iter().filter_map(|(name, _)| layout::boundary_number(name)).max();
    let Some(number) = number else { return Ok((0, None)) };
    let mark = read(blob, database, number).await?;
    Ok((number, Some(mark.ok_or_else(|| Error::missing(layout::boundary(number)))?)))
}

fn decode(name: &str, object: &Bytes, database: [u8; 16], number: u64) -> Result<Mark> {
    let payload = envelope::unseal(name, Class::Boundary, object)?;
    let message = WireMark::decode(payload)
        .map_err(|error| Error::corrupt(name, format!("it cannot be read: {error}")))?;
    if message.database != database || message.number != number {
        return Err(Error::corrupt(name, "it belongs to another database or place"));
    }
    Ok(Mark {
        epoch: Epoch(message.epoch),
        generation: Generation(message.generation),
        floor: message.floor,
    })
}
