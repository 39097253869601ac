//! Taking a database over, and fencing whoever had it.
//!
//! ```text
//! read the log to its head h, generation g
//!   -> put log/h+1 = Claim{g+1}
//!        won                          this process writes as generation g+1
//!        lost to a generation <= g    the old writer committed once more: read again
//!        lost to a generation > g     somebody else took over: stop
//! ```
//! After the claim the old writer finds its next slot taken and stops within one attempt. There is no
//! lease and no clock in it. A process that was fenced never claims again by itself.

use crate::commit::{self, Context, Settle, Verdict};
use crate::epoch::Generation;
use crate::error::{Error, Result};
use crate::log::format;
use crate::log::record::{Body, Commit, Kind};
use crate::log::tail::{self, Tail};

/// Failures of the store that a claim waits out; nothing was promised yet, so opening may fail.
const PATIENCE: u32 = 6;

/// What follows from the end of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The database is ours.
    Own,
    /// Read the log again and claim the slot after its new head.
    Again,
    /// Another process took over.
    Stop(Generation),
}

/// A claimed log: what it held before, and the claim.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) tail: Tail,
    pub(crate) claim: Commit,
    pub(crate) hash: [u8; 32],
    pub(crate) boundary: u64,
}

/// Decides after an attempt to claim as `mine`.
pub(crate) fn next(mine: Generation, verdict: Verdict) -> Next {
    match verdict {
        Verdict::Won => Next::Own,
        Verdict::Lost(by) if by >= mine => Next::Stop(by),
        Verdict::Lost(_) | Verdict::Refused | Verdict::Doubtful => Next::Again,
    }
}

/// Claims the log; `context` names the database.
///
/// # Errors
/// [`Error::Fenced`] when another process claims at the same time and wins, else those of reading the
/// log and of the store.
pub(crate) async fn claim(context: &Context) -> Result<Claimed> {
    loop {
        let tail = tail::read(context.blob.as_ref(), context.database).await?;
        context.rng.observe(&tail.floor);
        let claim = Commit {
            epoch: tail.head.next(),
            generation: Generation(tail.generation.0 + 1),
            kind: Kind::Claim,
            uuid: context.rng.uuid(),
            previous: tail.head_hash,
            body: Body { now_us: context.clock.now_us(), ..Body::default() },
            checkpoint: None,
        };
        let slot = format::encode(&claim, context.database, String::new)?.slot;
        let mut settle = Settle::new(claim.epoch, claim.uuid, tail.boundary, Some(PATIENCE));
        let verdict = commit::drive(context, &mut settle, &slot).await?;
        match next(claim.generation, verdict) {
            Next::Own => {
                let (hash, boundary) = (format::hash(&slot), settle.boundary());
                return Ok(Claimed { tail, claim, hash, boundary });
            }
            Next::Again => {}
            Next::Stop(by) => return Err(Error::Fenced { by }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_older_generation_is_claimed_over() {
        let mine = Generation(5);
        assert_eq!(next(mine, Verdict::Won), Next::Own);
        assert_eq!(next(mine, Verdict::Lost(Generation(4))), Next::Again);
        assert_eq!(next(mine, Verdict::Lost(mine)), Next::Stop(mine));
        assert_eq!(next(mine, Verdict::Lost(Generation(9))), Next::Stop(Generation(9)));
    }
}
