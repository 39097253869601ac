//! Whose files a folder holds: those of one sink.
//!
//! ```text
//! folder/_levada/sink.json    {"version": 1, "id": "01KB...", "name": "delays.lake"}
//! ```
//! | the folder | a sink |
//! |---|---|
//! | is empty, or does not exist | claims it by creating the card |
//! | has its own card | goes on |
//! | has the card of the sink that it displaces | removes that one's files and card, and claims it |
//! | has another card, or files without a card | refuses |
//!
//! Epochs count within one database: without the card, the parts of an older database of the same folder
//! would look like epochs that are delivered. A sink has one id for life, so it is displaced at most once.
//! Hidden files and other folders are nobody's business.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file::publish::Folder;
use crate::sink::Writer;

/// The folder beside the parts that a sink keeps for itself.
pub(crate) const PRIVATE: &str = "_levada";
/// The file that says whose folder it is.
const CARD: &str = "sink.json";
/// The version of cards that this release writes and reads.
const CARD_VERSION: u32 = 1;

/// A folder, and the sink that wants to write to it.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    folder: Folder,
    private: Folder,
    writer: Writer,
}

/// What `_levada/sink.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Card {
    version: u32,
    id: String,
    name: String,
}

/// Whose a folder is.
enum Standing {
    Nobodys,
    Own,
    /// Another sink's, or with files that no card explains.
    Others(Option<Card>),
}

impl Owner {
    /// The claim of `writer` to `folder`. Does no I/O.
    pub(crate) fn new(folder: Folder, writer: Writer) -> Self {
        Self { private: folder.child(PRIVATE), folder, writer }
    }

    /// Whether the writer may begin here; returns the id of the sink that it displaces, empty for one
    /// without a card. Displaced are the sinks in `gone`, and with `overwrite` any whose files these are.
    pub(crate) fn check(&self, gone: &[String], overwrite: bool) -> Result<Option<String>> {
        match self.standing()? {
            Standing::Nobodys | Standing::Own => Ok(None),
            Standing::Others(Some(card)) if overwrite || gone.contains(&card.id) => {
                Ok(Some(card.id))
            }
            Standing::Others(None) if overwrite && self.only_parts()? => Ok(Some(String::new())),
            Standing::Others(card) => Err(self.refusal(card)),
        }
    }

    /// Makes the folder the writer's own.
    pub(crate) fn claim(&self) -> Result<()> {
        match self.standing()? {
            Standing::Own => return Ok(()),
            Standing::Nobodys => {}
            Standing::Others(card) if self.displaces(card.as_ref())? => self.clear()?,
            Standing::Others(card) => return Err(self.refusal(card)),
        }
        self.folder.create()?;
        self.private.create()?;
        self.folder.sync()?;
        let Writer { id, name, .. } = self.writer.clone();
        let card = Card { version: CARD_VERSION, id, name };
        let text = serde_json::to_vec_pretty(&card).expect("a card holds only text");
        self.private.put(CARD, &text)?;
        // Of two that claim at once, the card names one.
        self.hold()
    }

    /// Fails unless the folder is the writer's own.
    pub(crate) fn hold(&self) -> Result<()> {
        match self.card()? {
            Some(card) if card.id == self.writer.id => Ok(()),
            card => Err(self.refusal(card)),
        }
    }

    fn displaces(&self, card: Option<&Card>) -> Result<bool> {
        Ok(match (&self.writer.displaces, card) {
            (Some(id), Some(card)) => *id == card.id,
            (Some(id), None) => id.is_empty() && self.only_parts()?,
            (None, _) => false,
        })
    }

    fn standing(&self) -> Result<Standing> {
        match self.card()? {
            Some(card) if card.id == self.writer.id => return Ok(Standing::Own),
            Some(card) => return Ok(Standing::Others(Some(card))),
            None => {}
        }
        let manifests = self.private.names()?;
        let nothing = self.visible()?.is_empty() && manifests.iter().all(|n| n.starts_with('.'));
        Ok(if nothing { Standing::Nobodys } else { Standing::Others(None) })
    }

    /// Names of the files of the folder but for hidden ones.
    fn visible(&self) -> Result<Vec<String>> {
        let mut names = self.folder.names()?;
        names.retain(|name| !name.starts_with('.') && !self.folder.is_folder(name));
        Ok(names)
    }

    fn only_parts(&self) -> Result<bool> {
        Ok(self.visible()?.iter().all(|name| epoch_of_part(name).is_some()))
    }

    fn card(&self) -> Result<Option<Card>> {
        if !self.private.has(CARD) {
            return Ok(None);
        }
        let corrupt = |message: String| Error::Corrupt {
            place: self.private.display(CARD),
            message: message.into(),
        };
        let card: Card = serde_json::from_slice(&self.private.read(CARD)?)
            .map_err(|e| corrupt(e.to_string()))?;
        if card.version != CARD_VERSION {
            return Err(corrupt(format!("version {} of the card is unknown", card.version)));
        }
        Ok(Some(card))
    }

    /// Removes what the sink before this one wrote; its card last.
    fn clear(&self) -> Result<()> {
        for name in self.folder.names()? {
            let hidden = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
            if epoch_of_part(hidden.unwrap_or(&name)).is_some() {
                self.folder.remove(&name)?;
            }
        }
        self.folder.sync()?;
        for name in self.private.names()?.iter().filter(|name| *name != CARD) {
            self.private.remove(name)?;
        }
        self.private.remove(CARD)
    }

    fn refusal(&self, card: Option<Card>) -> Error {
        let folder = self.folder.path().display().to_string();
        Error::FolderInUse { folder, by: card.map(|card| card.name.into()) }
    }
}

/// The path with the links in the part of it that exists followed, so that one folder has one path.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).expect("an ancestor is a prefix");
            return rest.components().fold(real, |mut path, part| {
                match part {
                    Component::ParentDir => {
                        path.pop();
                    }
                    Component::Normal(name) => path.push(name),
                    _ => {}
                }
                path
            });
        }
    }
    path.to_owned()
}

/// The epoch in the name of a part.
pub(crate) fn epoch_of_part(name: &str) -> Option<u64> {
    let (epoch, rest) = name.strip_prefix("part-")?.split_once('-')?;
    let (n, _) = rest.split_once('.')?;
    n.parse::<u64>().ok()?;
    (epoch.len() == 20).then(|| epoch.parse().ok()).flatten()
}
