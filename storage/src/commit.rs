//! Settling who owns a slot: put, read, look at the boundary, and only then acknowledge.
//!
//! ```text
//!            Created                        no newer boundary
//!   put ----------------------> boundary ----------------------> Won
//!    |  Exists, Unknown            | ^  newer, at or below n        (acknowledge)
//!    v                             | |
//!   read -- own uuid --------------|-+
//!    |                             +-- newer, above n ----------> Lost
//!    +-- foreign uuid ------------------------------------------> Lost
//!    +-- nothing there: wait, put the same bytes again
//! ```
//! [`Settle`] decides and does no I/O; [`drive`] carries out its steps. Whatever the store answers, the
//! slot is put with one body only until it is settled: a lost answer may still turn into the object.
//! An error of the store is waited out, so a commit neither fails nor succeeds falsely while the store is
//! away; `patience` bounds the tries where nothing was promised yet, as in a claim.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::blob::{Blob, Put};
use crate::boundary::{self, Mark};
use crate::clock::Clock;
use crate::epoch::{Epoch, Generation};
use crate::error::{Error, Result};
use crate::layout;
use crate::log::format;
use crate::rng::Rng;

const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Put the slot if it is absent.
    Put,
    /// Read who owns the slot.
    Read,
    /// Read this boundary.
    Boundary(u64),
    /// Wait.
    Wait(Duration),
    /// Stop.
    Done(Verdict),
}

/// What the driver found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Put(Put),
    /// The put failed for certain: nothing was written and nothing will be.
    Refused,
    /// The owner of the slot, if there is one.
    Slot(Option<([u8; 16], Generation)>),
    Boundary(Option<Mark>),
    /// A read failed in a way that may pass.
    Failed,
    Waited,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The slot is ours, durable and alive.
    Won,
    /// Nothing was written.
    Refused,
    /// Somebody else has the slot, or a successor declared it dead.
    Lost(Generation),
    /// Patience ended before the outcome was known.
    Doubtful,
}

/// The state of settling one slot.
#[derive(Debug)]
pub(crate) struct Settle {
    epoch: Epoch,
    uuid: [u8; 16],
    /// The newest boundary that is known to exist.
    boundary: u64,
    /// Failures that may still happen; `None` for any number.
    patience: Option<u32>,
    failures: u32,
    /// Whether an earlier put may still turn into the object.
    doubt: bool,
    /// The step that is under way, or that a wait leads to.
    current: Step,
}

impl Settle {
    pub(crate) fn new(epoch: Epoch, uuid: [u8; 16], boundary: u64, patience: Option<u32>) -> Self {
        let (failures, doubt, current) = (0, false, Step::Put);
        Self { epoch, uuid, boundary, patience, failures, doubt, current }
    }

    /// The newest boundary that was seen.
    pub(crate) fn boundary(&self) -> u64 {
        self.boundary
    }

    /// The step that answers `event`.
    pub(crate) fn step(&mut self, event: &Event) -> Step {
        let step = self.decide(event);
        if !matches!(step, Step::Wait(_)) {
            self.current = step;
        }
        step
    }

    fn decide(&mut self, event: &Event) -> Step {
        match event {
            Event::Put(Put::Created) => Step::Boundary(self.boundary + 1),
            Event::Put(Put::Exists) => Step::Read,
            Event::Put(Put::Unknown) => {
                self.doubt = true;
                Step::Read
            }
            Event::Refused if self.doubt => self.wait(Step::Read),
            Event::Refused => Step::Done(Verdict::Refused),
            Event::Slot(Some((uuid, _))) if *uuid == self.uuid => Step::Boundary(self.boundary + 1),
            Event::Slot(Some((_, owner))) => Step::Done(Verdict::Lost(*owner)),
            Event::Slot(None) => self.wait(Step::Put),
            Event::Boundary(None) => Step::Done(Verdict::Won),
            Event::Boundary(Some(mark)) => {
                self.boundary += 1;
                if mark.epoch > self.epoch {
                    return Step::Done(Verdict::Lost(mark.generation));
                }
                Step::Boundary(self.boundary + 1)
            }
            Event::Failed => self.wait(self.current),
            Event::Waited => self.current,
        }
    }

    fn wait(&mut self, resume: Step) -> Step {
        if self.patience.is_some_and(|patience| self.failures >= patience) {
            return Step::Done(Verdict::Doubtful);
        }
        let wait = WAIT_MIN.saturating_mul(1 << self.failures.min(10)).min(WAIT_MAX);
        self.failures += 1;
        self.current = resume;
        Step::Wait(wait)
    }
}

/// What a driver needs of the world.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) blob: Arc<dyn Blob>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
    pub(crate) database: [u8; 16],
}

/// Puts `slot` as `epoch` until it is settled.
///
/// # Errors
/// The store's error when nothing was written or patience ended; [`Error::Corrupt`] when the slot or a
/// boundary that is there cannot be read.
pub(crate) async fn drive(context: &Context, settle: &mut Settle, slot: &Bytes) -> Result<Verdict> {
    let name = layout::slot(settle.epoch);
    let blob = context.blob.as_ref();
    let mut failure = None;
    let mut step = Step::Put;
    loop {
        let event = match step {
            Step::Put => match blob.put_if_absent(&name, slot.clone()).await {
                Ok(put) => Event::Put(put),
                Err(error) => {
                    failure = Some(error);
                    Event::Refused
                }
            },
            Step::Read => match read_owner(context, settle.epoch).await {
                Ok(owner) => Event::Slot(owner),
                Err(error) => transient(error, &mut failure)?,
            },
            Step::Boundary(number) => match boundary::read(blob, context.database, number).await {
                Ok(mark) => {
                    if let Some(mark) = &mark {
                        context.rng.observe(&mark.floor);
                    }
                    Event::Boundary(mark)
                }
                Err(error) => transient(error, &mut failure)?,
            },
            Step::Wait(wait) => {
                tracing::warn!(epoch = settle.epoch.0, ?wait, "commit waits for the store");
                context.clock.sleep(wait).await;
                Event::Waited
            }
            Step::Done(Verdict::Refused | Verdict::Doubtful) => {
                return Err(failure.unwrap_or(Error::Unsettled { epoch: settle.epoch }));
            }
            Step::Done(verdict) => return Ok(verdict),
        };
        step = settle.step(&event);
    }
}

/// Wrong bytes stay wrong; anything else may pass.
fn transient(error: Error, failure: &mut Option<Error>) -> Result<Event> {
    if matches!(error, Error::Corrupt { .. } | Error::NewerFormat { .. }) {
        return Err(error);
    }
    *failure = Some(error);
    Ok(Event::Failed)
}

/// The attempt and the generation that own the slot of `epoch`, if there is one.
pub(crate) async fn read_owner(
    context: &Context,
    epoch: Epoch,
) -> Result<Option<([u8; 16], Generation)>> {
    let name = layout::slot(epoch);
    let Some(bytes) = context.blob.get(&name).await? else { return Ok(None) };
    let head = format::decode(&name, &bytes, context.database, epoch)?.head();
    Ok(Some((head.uuid, head.generation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; 16] = [1; 16];
    const OTHER: [u8; 16] = [2; 16];

    fn settle(patience: Option<u32>) -> Settle {
        Settle::new(Epoch(9), OURS, 3, patience)
    }

    fn mark(epoch: u64) -> Event {
        let mark = Mark { epoch: Epoch(epoch), generation: Generation(8), floor: String::new() };
        Event::Boundary(Some(mark))
    }

    /// The steps that answer `events`.
    fn run(patience: Option<u32>, events: &[Event]) -> Vec<Step> {
        let mut settle = settle(patience);
        events.iter().map(|event| settle.step(event)).collect()
    }

    #[test]
    fn a_created_slot_is_ours_only_below_no_newer_boundary() {
        let won = Step::Done(Verdict::Won);
        let steps = run(None, &[Event::Put(Put::Created), mark(9), Event::Boundary(None)]);
        assert_eq!(steps, [Step::Boundary(4), Step::Boundary(5), won]);
        let lost = Step::Done(Verdict::Lost(Generation(8)));
        assert_eq!(run(None, &[Event::Put(Put::Created), mark(10)]), [Step::Boundary(4), lost]);
    }

    #[test]
    fn an_unclear_answer_is_settled_by_reading() {
        for put in [Put::Exists, Put::Unknown] {
            let own = Event::Slot(Some((OURS, Generation(5))));
            assert_eq!(run(None, &[Event::Put(put), own]), [Step::Read, Step::Boundary(4)]);
            let foreign = Event::Slot(Some((OTHER, Generation(6))));
            let lost = Step::Done(Verdict::Lost(Generation(6)));
            assert_eq!(run(None, &[Event::Put(put), foreign]), [Step::Read, lost]);
            let absent = [Event::Put(put), Event::Slot(None), Event::Waited];
            assert_eq!(run(None, &absent), [Step::Read, Step::Wait(WAIT_MIN), Step::Put]);
        }
    }

    #[test]
    fn a_certain_failure_ends_it_unless_an_earlier_put_may_still_land() {
        assert_eq!(run(None, &[Event::Refused]), [Step::Done(Verdict::Refused)]);
        let events = [
            Event::Put(Put::Unknown),
            Event::Slot(None),
            Event::Waited,
            Event::Refused,
            Event::Waited,
        ];
        assert_eq!(run(None, &events)[4], Step::Read);
    }

    #[test]
    fn a_failed_read_is_repeated_and_patience_ends() {
        let events = [Event::Put(Put::Created), Event::Failed, Event::Waited];
        assert_eq!(run(None, &events)[2], Step::Boundary(4));
        let steps =
            run(Some(1), &[Event::Put(Put::Exists), Event::Failed, Event::Waited, Event::Failed]);
        assert_eq!(steps[2..], [Step::Read, Step::Done(Verdict::Doubtful)]);
        let mut patient = settle(None);
        patient.step(&Event::Put(Put::Exists));
        let waits: Vec<_> = (0..20).map(|_| patient.step(&Event::Failed)).collect();
        assert_eq!(waits[19], Step::Wait(WAIT_MAX));
    }

    /// Every course of events to depth 7: a win always rests on our slot and a boundary that is absent.
    #[test]
    fn no_course_of_events_wins_without_our_slot_and_an_absent_boundary() {
        let answers = [
            Event::Put(Put::Created),
            Event::Put(Put::Exists),
            Event::Put(Put::Unknown),
            Event::Refused,
            Event::Slot(None),
            Event::Slot(Some((OURS, Generation(5)))),
            Event::Slot(Some((OTHER, Generation(6)))),
            mark(9),
            mark(10),
            Event::Boundary(None),
            Event::Failed,
            Event::Waited,
        ];
        let mut courses = vec![(Vec::<Event>::new(), Step::Put)];
        let mut ends = 0;
        for _ in 0..7 {
            let mut longer = Vec::new();
            for (events, step) in &courses {
                for answer in answers.iter().filter(|answer| answers_to(*step, answer)) {
                    let mut events = events.clone();
                    events.push(answer.clone());
                    let next = *run(None, &events).last().unwrap();
                    if let Step::Done(verdict) = next {
                        check_end(&events, verdict);
                        ends += 1;
                    } else {
                        longer.push((events, next));
                    }
                }
            }
            courses = longer;
        }
        assert!(ends > 100, "{ends} courses ended");
    }

    /// Whether `event` can be the outcome of `step`.
    fn answers_to(step: Step, event: &Event) -> bool {
        match step {
            Step::Put => matches!(event, Event::Put(_) | Event::Refused),
            Step::Read => matches!(event, Event::Slot(_) | Event::Failed),
            Step::Boundary(_) => matches!(event, Event::Boundary(_) | Event::Failed),
            Step::Wait(_) => *event == Event::Waited,
            Step::Done(_) => false,
        }
    }

    fn check_end(events: &[Event], verdict: Verdict) {
        let created = events.contains(&Event::Put(Put::Created));
        let own = events.contains(&Event::Slot(Some((OURS, Generation(5)))));
        let unknown = events.contains(&Event::Put(Put::Unknown));
        let last = events.last().unwrap();
        match verdict {
            Verdict::Won => {
                assert!((created || own) && *last == Event::Boundary(None), "{events:?}");
            }
            Verdict::Refused => assert!(!created && !own && !unknown, "{events:?}"),
            Verdict::Lost(_) => {
                let foreign = *last == Event::Slot(Some((OTHER, Generation(6))));
                assert!(foreign || *last == mark(10), "{events:?}");
            }
            Verdict::Doubtful => panic!("patience has no end: {events:?}"),
        }
    }
}
