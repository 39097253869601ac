//! How results go out: a sink follows the committed epochs of one relation.
//!
//! A sink is handed only what is durable. It writes an epoch's rows and the fact that it did so in one
//! act, and tells by [`Sink::resume`] the newest epoch that its target holds as a whole; the engine goes
//! on behind it. So a crash at any point loses nothing and repeats nothing: an epoch found complete is
//! not written again, an epoch found incomplete is cleaned away and written afresh.
//!
//! | relation | call per epoch | the target holds |
//! |---|---|---|
//! | insert-only | [`Sink::append`] with the new rows | every epoch's rows |
//! | any other | [`Sink::replace`] with all rows | the relation at the newest epoch |

use std::fmt::{self, Debug};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use async_trait::async_trait;
use futures::stream::BoxStream;
use levada_storage::epoch::Epoch;

use crate::error::Result;

/// What a target promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "these are the usual names")]
pub enum Delivery {
    /// Each epoch takes effect once.
    ExactlyOnce,
    /// Repeats have no effect, by key.
    EffectivelyOnce,
    /// An epoch may take effect more than once.
    AtLeastOnce,
}

/// Rows in batches, as many as there are; an error ends the stream and voids the epoch.
pub type Rows<'a> = BoxStream<'a, Result<RecordBatch, ArrowError>>;

/// The sink that writes, as its target remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// What no other sink of any database has ever had.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The id of the sink whose files it removes when it begins; empty for files that no sink claims.
    pub displaces: Option<String>,
}

/// One target of one relation.
#[async_trait]
pub trait Sink: Debug + Send {
    /// What the target promises.
    fn delivery(&self) -> Delivery;

    /// Whether the sink may be created: its target holds nothing, or only what it displaces. Returns the
    /// id for [`Writer::displaces`]; the sinks `gone` may be displaced, others if an option says so.
    ///
    /// # Errors
    /// When the target holds what is not the sink's, or cannot be read.
    async fn check(&self, gone: &[String]) -> Result<Option<String>>;

    /// Makes the target the sink's own, finishes or removes what a crash left, and tells
    /// the newest epoch that is complete.
    ///
    /// # Errors
    /// When the target is another's, or cannot be read or cleaned.
    async fn resume(&mut self) -> Result<Option<Epoch>>;

    /// Adds the rows of `epoch`; an epoch that is there is left as it is, one without rows leaves no trace.
    ///
    /// # Errors
    /// When the rows could not be made durable, or the stream fails; the epoch is then not there.
    async fn append(&mut self, epoch: Epoch, rows: Rows<'_>) -> Result<()>;

    /// Makes `rows` the whole contents of the target, as of `epoch`.
    ///
    /// # Errors
    /// When the rows could not be made durable, or the stream fails; the former contents stand.
    async fn replace(&mut self, epoch: Epoch, rows: Rows<'_>) -> Result<()>;
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly once",
            Self::EffectivelyOnce => "effectively once",
            Self::AtLeastOnce => "at least once",
        })
    }
}
