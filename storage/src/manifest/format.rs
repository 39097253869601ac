//! Bytes of a manifest: one protobuf message in the common envelope.
//!
//! The message holds the database id and the manifest's own name, so that a manifest which lies under a
//! wrong name is refused.

use bytes::Bytes;
use prost::Message;

use super::{Manifest, OperatorRuns, RelationFiles, SinkPosition};
use crate::envelope::{self, Class};
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::state::RunRef;
use crate::wire;

#[derive(Clone, PartialEq, prost::Message)]
struct WireManifest {
    #[prost(bytes = "vec", tag = "1")]
    database: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint64, tag = "3")]
    at: u64,
    #[prost(bytes = "vec", tag = "4")]
    catalog: Vec<u8>,
    #[prost(uint32, tag = "5")]
    next_object_id: u32,
    #[prost(message, repeated, tag = "6")]
    relations: Vec<WireRelation>,
    #[prost(message, repeated, tag = "7")]
    operators: Vec<WireOperator>,
    #[prost(message, repeated, tag = "8")]
    offsets: Vec<wire::Offset>,
    #[prost(message, repeated, tag = "9")]
    sinks: Vec<WireSink>,
    #[prost(message, repeated, tag = "10")]
    extra: Vec<WireExtra>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireRelation {
    #[prost(uint32, tag = "1")]
    relation: u32,
    #[prost(uint64, tag = "2")]
    rows: u64,
    #[prost(message, repeated, tag = "3")]
    files: Vec<wire::File>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireOperator {
    #[prost(string, tag = "1")]
    fingerprint: String,
    #[prost(message, repeated, tag = "2")]
    runs: Vec<WireRun>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireSink {
    #[prost(uint32, tag = "1")]
    sink: u32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(message, repeated, tag = "3")]
    spool: Vec<WireRun>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireExtra {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireRun {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(uint64, tag = "3")]
    bytes: u64,
    #[prost(fixed32, tag = "4")]
    crc32c: u32,
    #[prost(uint32, tag = "5")]
    part: u32,
    #[prost(bool, tag = "6")]
    replaces: bool,
    #[prost(uint64, tag = "7")]
    rows: u64,
    #[prost(uint32, tag = "8")]
    hash_version: u32,
}

/// The bytes of a manifest called `name`.
pub(crate) fn encode(manifest: &Manifest, database: [u8; 16], name: &str) -> Bytes {
    let Manifest { at, catalog, next_object_id, relations, operators, offsets, sinks, extra } =
        manifest;
    let message = WireManifest {
        database: database.to_vec(),
        name: name.to_owned(),
        at: at.0,
        catalog: catalog.clone(),
        next_object_id: *next_object_id,
        relations: relations
            .iter()
            .map(|relation| WireRelation {
                relation: relation.relation,
                rows: relation.rows,
                files: relation.files.iter().map(wire::File::of).collect(),
            })
            .collect(),
        operators: operators
            .iter()
            .map(|operator| WireOperator {
                fingerprint: operator.fingerprint.clone(),
                runs: operator.runs.iter().map(WireRun::of).collect(),
            })
            .collect(),
        offsets: offsets.iter().map(wire::Offset::of).collect(),
        sinks: sinks
            .iter()
            .map(|sink| WireSink {
                sink: sink.sink,
                epoch: sink.epoch.0,
                spool: sink.spool.iter().map(WireRun::of).collect(),
            })
            .collect(),
        extra: extra
            .iter()
            .map(|(name, value)| WireExtra { name: name.clone(), value: value.clone() })
            .collect(),
    };
    envelope::seal(Class::Manifest, &[&message.encode_to_vec()]).into()
}

/// Reads the manifest called `name` of `database`.
pub(crate) fn decode(name: &str, object: &Bytes, database: [u8; 16]) -> Result<Manifest> {
    let payload = envelope::unseal(name, Class::Manifest, object)?;
    let message = WireManifest::decode(payload)
        .map_err(|error| Error::corrupt(name, format!("it cannot be read: {error}")))?;
    if message.database != database {
        return Err(Error::corrupt(name, "it belongs to another database"));
    }
    if message.name != name {
        return Err(Error::corrupt(name, format!("it is the manifest \"{}\"", message.name)));
    }
    let relations = message.relations.into_iter().map(|relation| {
        let files = relation.files.into_iter().map(|file| file.into_file(name));
        Ok(RelationFiles {
            relation: relation.relation,
            rows: relation.rows,
            files: files.collect::<Result<_>>()?,
        })
    });
    Ok(Manifest {
        at: Epoch(message.at),
        catalog: message.catalog,
        next_object_id: message.next_object_id,
        relations: relations.collect::<Result<_>>()?,
        operators: message
            .operators
            .into_iter()
            .map(|operator| OperatorRuns {
                fingerprint: operator.fingerprint,
                runs: operator.runs.into_iter().map(WireRun::into_run).collect(),
            })
            .collect(),
        offsets: message.offsets.into_iter().map(wire::Offset::into_offset).collect(),
        sinks: message
            .sinks
            .into_iter()
            .map(|sink| SinkPosition {
                sink: sink.sink,
                epoch: Epoch(sink.epoch),
                spool: sink.spool.into_iter().map(WireRun::into_run).collect(),
            })
            .collect(),
        extra: message.extra.into_iter().map(|extra| (extra.name, extra.value)).collect(),
    })
}

impl WireRun {
    fn of(run: &RunRef) -> Self {
        let RunRef { path, offset, bytes, crc32c, part, replaces, rows, hash_version } =
            run.clone();
        Self { path, offset, bytes, crc32c, part, replaces, rows, hash_version }
    }

    fn into_run(self) -> RunRef {
        let Self { path, offset, bytes, crc32c, part, replaces, rows, hash_version } = self;
        RunRef { path, offset, bytes, crc32c, part, replaces, rows, hash_version }
    }
}
