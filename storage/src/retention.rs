//! Removing what nothing refers to.
//!
//! ```text
//! alive = objects of the two newest checkpoints
//!       + what slots after the older of them refer to
//!       + files of the two newest publications
//! 1. log/boundary/<k+1> = {first slot that is needed, floor}
//! 2. the slot after the head is absent, else a successor is at work: stop
//! 3. delete slots below the boundary, their hints, and objects that are not alive with a ULID < floor
//! ```
//! The **floor** is a ULID: objects minted above it may be about to be committed. A successor that claims
//! after step 2 finds the boundary of step 1 and mints above its floor, so nothing of it is deleted,
//! whatever the clocks say.

use std::sync::Arc;

use crate::blob::{Blob, Put};
use crate::boundary::{self, Mark};
use crate::commit;
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::layout;
use crate::log::EpochLog;
use crate::publish;

/// Tries at making a boundary durable; the next sweep goes on.
const ATTEMPTS: usize = 4;

/// Objects that nothing refers to; deleting them can be put off or done elsewhere.
#[derive(Debug)]
pub struct Sweep {
    blob: Arc<dyn Blob>,
    paths: Vec<String>,
}

impl EpochLog {
    /// Finds what can be deleted after a checkpoint, and makes the boundary durable that allows it.
    ///
    /// `floor` is a ULID below every object that is written but not yet referred to:
    /// [`EpochLog::start`], or one minted at a moment when nothing was under way. Without two checkpoints
    /// nothing can be deleted.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a successor is at work, else those of the blob.
    pub async fn retention(&mut self, floor: &str) -> Result<Sweep> {
        self.ready()?;
        let blob = Arc::clone(&self.context.blob);
        let mut sweep = Sweep { blob: Arc::clone(&blob), paths: Vec::new() };
        let [former, newest] = self.checkpoints.make_contiguous() else { return Ok(sweep) };
        let alive_from = former.at.next();
        let mut alive: Vec<_> = former.objects.union(&newest.objects).cloned().collect();
        let oldest_hint = former.slot;
        self.objects = self.objects.split_off(&alive_from);
        alive.extend(self.objects.values().flatten().cloned());
        alive.extend(publish::objects(blob.as_ref()).await?);
        alive.sort_unstable();
        self.mark(alive_from, floor).await?;
        if let Some((_, by)) = commit::read_owner(&self.context, self.head().next()).await? {
            return Err(self.fence(by));
        }
        let logged = blob.list(layout::LOG, None).await?;
        let dead = |name: &str| layout::slot_epoch(name).is_some_and(|slot| slot < alive_from);
        sweep.paths.extend(logged.into_iter().map(|(name, _)| name).filter(|name| dead(name)));
        let hints = blob.list(layout::HINT, None).await?;
        let dead = |name: &str| layout::hint_epoch(name).is_some_and(|slot| slot < oldest_hint);
        sweep.paths.extend(hints.into_iter().map(|(name, _)| name).filter(|name| dead(name)));
        for folder in layout::COLLECTED {
            for (name, _) in blob.list(folder, None).await? {
                let old = layout::ulid_of(&name).is_some_and(|ulid| ulid < floor);
                if old && alive.binary_search(&name).is_err() {
                    sweep.paths.push(name);
                }
            }
        }
        Ok(sweep)
    }

    /// Makes the next boundary durable.
    async fn mark(&mut self, epoch: Epoch, floor: &str) -> Result<()> {
        let mark = Mark { epoch, generation: self.generation, floor: floor.to_owned() };
        let (blob, database) = (Arc::clone(&self.context.blob), self.context.database);
        for _ in 0..ATTEMPTS {
            let number = self.boundary + 1;
            if boundary::write(blob.as_ref(), database, number, &mark).await? == Put::Created {
                self.boundary = number;
                return Ok(());
            }
            match boundary::read(blob.as_ref(), database, number).await? {
                Some(found) if found.generation > self.generation => {
                    return Err(self.fence(found.generation));
                }
                Some(found) => {
                    self.boundary = number;
                    if found == mark {
                        return Ok(());
                    }
                    // An earlier attempt, ours or a predecessor's, has the number: take the next.
                }
                None => {}
            }
        }
        Err(Error::Unsettled { epoch })
    }
}

impl Sweep {
    /// Names of the objects that will be deleted.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Leaves those alone that somebody still reads; the next sweep finds them again.
    pub fn spare(&mut self, read: impl Fn(&str) -> bool) {
        self.paths.retain(|path| !read(path));
    }

    /// Deletes them; a call that was cut off is finished by the next sweep.
    ///
    /// # Errors
    /// Those of the blob.
    pub async fn run(&self) -> Result<()> {
        for path in &self.paths {
            self.blob.delete(path).await?;
        }
        Ok(())
    }
}
