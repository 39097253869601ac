//! Bytes of a commit.
//!
//! ```text
//! payload:   0    1  kind (1 epoch, 2 claim, 3 checkpoint)
//!            1   16  database id
//!           17    8  epoch, little endian
//!           25    8  generation
//!           33   16  uuid of the attempt
//!           49   32  SHA-256 of the slot before
//!           81    4  length b of the body
//!           85    b  body, protobuf
//!         85+b    -  sections: Arrow IPC streams, one after the other
//! ```
//! A section holds consecutive batches of one schema. Weights other than 1 are the last column, `__w`;
//! the schema's metadata says under `levada.weights` which form was used. Sections of more than
//! [`INLINE_BYTES_MAX`] together lie in one `input/` object, whose length and checksum the body holds.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::record::{Body, CheckpointRef, Commit, Input, InputData, Kind};
use crate::delta::{DeltaBatch, Weights};
use crate::envelope::{self, Class};
use crate::epoch::{Epoch, Generation};
use crate::error::{Error, Result};
use crate::wire;

/// Larger inputs leave the commit for an object of their own.
pub const INLINE_BYTES_MAX: usize = 1 << 20;

const HEAD: usize = 85;
const WEIGHTS: &str = "levada.weights";

#[derive(Clone, PartialEq, prost::Message)]
struct WireBody {
    #[prost(sfixed64, tag = "1")]
    now_us: i64,
    #[prost(fixed64, tag = "2")]
    seed: u64,
    #[prost(bytes = "vec", tag = "3")]
    catalog: Vec<u8>,
    #[prost(uint32, tag = "4")]
    next_object_id: u32,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<WireInput>,
    #[prost(message, repeated, tag = "6")]
    offsets: Vec<wire::Offset>,
    #[prost(message, optional, tag = "7")]
    digest: Option<WireDigest>,
    #[prost(message, optional, tag = "8")]
    checkpoint: Option<WireCheckpoint>,
    #[prost(message, optional, tag = "9")]
    stored: Option<WireStored>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireInput {
    #[prost(uint32, tag = "1")]
    relation: u32,
    /// Lengths of the sections; they follow each other over all inputs.
    #[prost(uint64, repeated, tag = "2")]
    sections: Vec<u64>,
    #[prost(bool, tag = "3")]
    in_files: bool,
    #[prost(message, repeated, tag = "4")]
    files: Vec<wire::File>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WireDigest {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(fixed64, tag = "2")]
    hash: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireCheckpoint {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(string, tag = "2")]
    manifest: String,
}

/// The `input/` object that holds the sections.
#[derive(Clone, PartialEq, prost::Message)]
struct WireStored {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(uint64, tag = "2")]
    bytes: u64,
    #[prost(fixed32, tag = "3")]
    crc32c: u32,
}

/// A commit as bytes, and the input object that has to be durable before it.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) slot: Bytes,
    pub(crate) input: Option<(String, Bytes)>,
}

/// The fixed part of a commit: enough to settle who owns a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) epoch: Epoch,
    pub(crate) generation: Generation,
    pub(crate) uuid: [u8; 16],
    pub(crate) previous: [u8; 32],
}

/// A decoded commit whose sections may still lie in an `input/` object.
#[derive(Debug)]
pub(crate) struct Decoded {
    head: Head,
    body: WireBody,
    sections: Bytes,
}

/// Writes `commit`; `input_name` mints the name of the input object if one is needed.
pub(crate) fn encode(
    commit: &Commit,
    database: [u8; 16],
    input_name: impl FnOnce() -> String,
) -> Result<Encoded> {
    let mut sections = Vec::new();
    let inputs: Result<Vec<_>> =
        commit.body.inputs.iter().map(|input| encode_input(input, &mut sections)).collect();
    let input = (sections.len() > INLINE_BYTES_MAX).then(|| {
        let object = envelope::seal(Class::Input, &[&database, &sections]);
        sections = Vec::new();
        (input_name(), Bytes::from(object))
    });
    let Body { now_us, seed, catalog, next_object_id, offsets, digest, .. } = &commit.body;
    let body = WireBody {
        now_us: *now_us,
        seed: *seed,
        catalog: catalog.clone(),
        next_object_id: *next_object_id,
        inputs: inputs?,
        offsets: offsets.iter().map(wire::Offset::of).collect(),
        digest: digest.map(|(epoch, hash)| WireDigest { epoch: epoch.0, hash }),
        checkpoint: commit
            .checkpoint
            .as_ref()
            .map(|c| WireCheckpoint { at: c.at.0, manifest: c.manifest.clone() }),
        stored: input.as_ref().map(|(path, object)| WireStored {
            path: path.clone(),
            bytes: object.len() as u64,
            crc32c: crc32c::crc32c(object),
        }),
    };
    let body = body.encode_to_vec();
    let kind: u8 = match commit.kind {
        Kind::Epoch => 1,
        Kind::Claim => 2,
        Kind::Checkpoint => 3,
    };
    let length = u32::try_from(body.len())
        .map_err(|_error| Error::corrupt("commit", "its body is larger than 4 GiB"))?;
    let slot = envelope::seal(
        Class::Commit,
        &[
            &[kind],
            &database,
            &commit.epoch.0.to_le_bytes(),
            &commit.generation.0.to_le_bytes(),
            &commit.uuid,
            &commit.previous,
            &length.to_le_bytes(),
            &body,
            &sections,
        ],
    );
    Ok(Encoded { slot: slot.into(), input })
}

/// Reads the slot called `name`, which must be the commit of `epoch` in `database`.
pub(crate) fn decode(
    name: &str,
    slot: &Bytes,
    database: [u8; 16],
    epoch: Epoch,
) -> Result<Decoded> {
    let payload = envelope::unseal(name, Class::Commit, slot)?;
    let bad = |detail: &str| Error::corrupt(name, detail);
    if payload.len() < HEAD {
        return Err(bad("it is too short for a commit"));
    }
    if array(&payload, 1) != database {
        return Err(bad("it belongs to another database"));
    }
    let head = Head {
        kind: match payload[0] {
            1 => Kind::Epoch,
            2 => Kind::Claim,
            3 => Kind::Checkpoint,
            _ => return Err(bad("its kind is not known")),
        },
        epoch: Epoch(u64::from_le_bytes(array(&payload, 17))),
        generation: Generation(u64::from_le_bytes(array(&payload, 25))),
        uuid: array(&payload, 33),
        previous: array(&payload, 49),
    };
    if head.epoch != epoch {
        return Err(Error::corrupt(name, format!("it holds epoch {}", head.epoch)));
    }
    let length = u32::from_le_bytes(array(&payload, 81)) as usize;
    let end = HEAD.checked_add(length).filter(|end| *end <= payload.len());
    let end = end.ok_or_else(|| bad("its body is longer than the object"))?;
    let body = WireBody::decode(&payload[HEAD..end])
        .map_err(|error| Error::corrupt(name, format!("its body cannot be read: {error}")))?;
    if body.checkpoint.is_some() != (head.kind == Kind::Checkpoint) {
        return Err(bad("its kind and its content differ"));
    }
    Ok(Decoded { head, body, sections: payload.slice(end..) })
}

/// SHA-256 of a slot, for the `previous` of the next one.
pub(crate) fn hash(slot: &[u8]) -> [u8; 32] {
    Sha256::digest(slot).into()
}

impl Decoded {
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn checkpoint(&self) -> Option<CheckpointRef> {
        let wire = self.body.checkpoint.as_ref()?;
        Some(CheckpointRef { at: Epoch(wire.at), manifest: wire.manifest.clone() })
    }

    /// The name of the `input/` object that [`Decoded::finish`] needs.
    pub(crate) fn stored_input(&self) -> Option<&str> {
        self.body.stored.as_ref().map(|stored| stored.path.as_str())
    }

    /// Names of all objects that the commit refers to.
    pub(crate) fn objects(&self) -> Vec<String> {
        let files = self.body.inputs.iter().flat_map(|input| &input.files);
        let manifest = self.body.checkpoint.iter().map(|checkpoint| checkpoint.manifest.clone());
        let input = self.stored_input().map(str::to_owned);
        files.map(|file| file.path.clone()).chain(manifest).chain(input).collect()
    }

    /// The commit; `input` is the object that [`Decoded::stored_input`] names.
    pub(crate) fn finish(
        self,
        name: &str,
        database: [u8; 16],
        input: Option<&Bytes>,
    ) -> Result<Commit> {
        let checkpoint = self.checkpoint();
        let (mut sections, object) = match (&self.body.stored, input) {
            (None, _) => (self.sections, name),
            (Some(stored), Some(bytes)) => {
                (open_input(stored, bytes, database)?, stored.path.as_str())
            }
            (Some(stored), None) => return Err(Error::missing(stored.path.as_str())),
        };
        let body = self.body.clone();
        let mut inputs = Vec::with_capacity(body.inputs.len());
        for input in body.inputs {
            inputs.push(decode_input(input, name, object, &mut sections)?);
        }
        if !sections.is_empty() {
            return Err(Error::corrupt(object, "it holds more rows than its commit says"));
        }
        let body = Body {
            now_us: body.now_us,
            seed: body.seed,
            catalog: body.catalog,
            next_object_id: body.next_object_id,
            inputs,
            offsets: body.offsets.into_iter().map(wire::Offset::into_offset).collect(),
            digest: body.digest.map(|digest| (Epoch(digest.epoch), digest.hash)),
        };
        let Head { kind, epoch, generation, uuid, previous } = self.head;
        Ok(Commit { epoch, generation, kind, uuid, previous, body, checkpoint })
    }
}

fn open_input(stored: &WireStored, object: &Bytes, database: [u8; 16]) -> Result<Bytes> {
    let name = stored.path.as_str();
    if object.len() as u64 != stored.bytes || crc32c::crc32c(object) != stored.crc32c {
        return Err(Error::corrupt(name, "it is not the object that its commit refers to"));
    }
    let payload = envelope::unseal(name, Class::Input, object)?;
    if payload.len() < database.len() || payload[..database.len()] != database {
        return Err(Error::corrupt(name, "it belongs to another database"));
    }
    Ok(payload.slice(database.len()..))
}

fn encode_input(input: &Input, sections: &mut Vec<u8>) -> Result<WireInput> {
    let mut wire = WireInput { relation: input.relation, ..WireInput::default() };
    match &input.data {
        InputData::Files(files) => {
            wire.in_files = true;
            wire.files = files.iter().map(wire::File::of).collect();
        }
        InputData::Inline(batches) => {
            let alike = |a: &DeltaBatch, b: &DeltaBatch| {
                form(&a.weights) == form(&b.weights)
                    && a.columns.schema_ref() == b.columns.schema_ref()
            };
            for run in batches.chunk_by(alike) {
                let before = sections.len();
                encode_section(run, sections)?;
                wire.sections.push((sections.len() - before) as u64);
            }
        }
    }
    Ok(wire)
}

fn decode_input(input: WireInput, name: &str, object: &str, sections: &mut Bytes) -> Result<Input> {
    if input.in_files {
        let files = input.files.into_iter().map(|file| file.into_file(name));
        let data = InputData::Files(files.collect::<Result<_>>()?);
        return Ok(Input { relation: input.relation, data });
    }
    let mut batches = Vec::new();
    for length in input.sections {
        let length = usize::try_from(length).ok().filter(|length| *length <= sections.len());
        let length = length.ok_or_else(|| Error::corrupt(object, "it ends inside a section"))?;
        decode_section(object, sections.split_to(length), &mut batches)?;
    }
    Ok(Input { relation: input.relation, data: InputData::Inline(batches) })
}

/// How the weights of a section are stored.
fn form(weights: &Weights) -> &'static str {
    match weights {
        Weights::One => "1",
        Weights::MinusOne => "-1",
        Weights::Each(_) => "each",
    }
}

/// Writes batches of one schema and one form of weights.
fn encode_section(batches: &[DeltaBatch], sections: &mut Vec<u8>) -> Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let schema = first.columns.schema();
    let mut fields = schema.fields().to_vec();
    if matches!(first.weights, Weights::Each(_)) {
        fields.push(Arc::new(Field::new("__w", DataType::Int64, false)));
    }
    let mut metadata = schema.metadata().clone();
    metadata.insert(WEIGHTS.to_owned(), form(&first.weights).to_owned());
    let stored: SchemaRef = Arc::new(Schema::new_with_metadata(fields, metadata));
    let mut writer = StreamWriter::try_new(&mut *sections, &stored)?;
    for batch in batches {
        let mut columns = batch.columns.columns().to_vec();
        if let Weights::Each(weights) = &batch.weights {
            columns.push(Arc::new(Int64Array::new(weights.clone(), None)));
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        writer.write(&RecordBatch::try_new_with_options(Arc::clone(&stored), columns, &rows)?)?;
    }
    writer.finish()?;
    Ok(())
}

fn decode_section(object: &str, section: Bytes, batches: &mut Vec<DeltaBatch>) -> Result<()> {
    let bad = |detail: String| Error::corrupt(object, detail);
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(section);
    while !buffer.is_empty() {
        let batch = decoder
            .decode(&mut buffer)
            .map_err(|error| bad(format!("its rows cannot be read: {error}")))?;
        if let Some(batch) = batch {
            batches
                .push(split_weights(&batch).ok_or_else(|| bad("its weights are missing".into()))?);
        }
    }
    decoder.finish().map_err(|error| bad(format!("its rows end too early: {error}")))
}

fn split_weights(batch: &RecordBatch) -> Option<DeltaBatch> {
    let mut metadata = batch.schema_ref().metadata().clone();
    let form = metadata.remove(WEIGHTS)?;
    let mut fields = batch.schema_ref().fields().to_vec();
    let mut columns = batch.columns().to_vec();
    let weights = match form.as_str() {
        "1" => Weights::One,
        "-1" => Weights::MinusOne,
        "each" => {
            fields.pop()?;
            let column = columns.pop()?;
            let weights = column.as_primitive_opt::<Int64Type>().filter(|w| w.null_count() == 0)?;
            Weights::Each(weights.values().clone())
        }
        _ => return None,
    };
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = RecordBatch::try_new_with_options(schema, columns, &rows).ok()?;
    Some(DeltaBatch { columns, weights })
}

/// `N` bytes of `bytes` from `at`; the caller has checked that they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
