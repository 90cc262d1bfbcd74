//! Finding work that lost its ticket.

use super::Engine;
use crate::{
    RunKey, Timestamp,
    backend::BackendError,
    fail_point::{FailPoint, Mutant, mutant, reach},
    run::{Status, TicketFor},
};
use std::{collections::BTreeMap, time::Duration};

/// What a sweeper remembers between its sweeps.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// Everything that was written up to this revision has been looked at.
    looked_at: u64,
    /// Runs that are waiting for something, and when to look again.
    waiting: BTreeMap<RunKey, Waiting>,
    /// Tickets may have been lost, those of runs that go on as well.
    doubt: bool,
}

impl Sweeper {
    /// Tickets may have been lost: has the next sweep look at all runs, also at those that were written just now.
    pub fn doubt(&mut self) {
        self.doubt = true;
        for waiting in self.waiting.values_mut() {
            *waiting = Waiting { revision: None, due: Timestamp(0), ..*waiting };
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// With another revision it goes on, and needs no look; `None` where it needs one all the same.
    revision: Option<u64>,
    due: Timestamp,
    pause: Duration,
}

/// What a sweep found. In a healthy system nothing is ever mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Runs that were looked at.
    pub looked_at: u64,
    /// Items that had lost their ticket and have one again.
    pub mended: u64,
}

/// What was done for a run.
struct Mended {
    /// So many items have their ticket again.
    items: u64,
    /// As of this revision, where it was looked at.
    revision: Option<u64>,
}

/// A waiting run is looked at again after twice as long each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How many mended items of a run the log names, at most.
const MOST_NAMED: usize = 50;

/// How many runs one sweep looks at, at most: the rest is for the next one.
const RUNS_A_SWEEP: usize = 1000;

impl Engine {
    /// Looks at the runs that were not written for a while: a pending item that has no ticket, nor one under which it
    /// was committed, gets one again. What the end of a cancelled run asks for is carried out again, once: who cancelled
    /// it held no ticket that would come back. Costs nothing for runs that go on.
    ///
    /// # Errors
    /// What the backend failed with; the next sweep goes on where this one stopped.
    pub async fn sweep(&self, sweeper: &mut Sweeper) -> Result<Swept, BackendError> {
        if mutant(Mutant::NoSweep) {
            return Ok(Swept::default());
        }
        let now = Timestamp::now();
        // In doubt to the very end, since a run with many branches is written all the time.
        let before = match sweeper.doubt {
            true => Timestamp(now.0 + millis(self.config.stale_after)),
            false => Timestamp(now.0.saturating_sub(millis(self.config.stale_after))),
        };
        let (stale, looked_at) = self.backend.stale(sweeper.looked_at, before).await?;
        let mut swept = Swept::default();
        let doubt = std::mem::take(&mut sweeper.doubt);
        for run in stale {
            if run.cancelled {
                swept.looked_at += 1;
                self.end_cancelled(&run.run).await?;
                continue;
            }
            let pause = self.config.stale_after;
            let revision = (!doubt).then_some(run.revision);
            sweeper.waiting.insert(run.run, Waiting { revision, due: now, pause });
        }
        sweeper.looked_at = looked_at;
        let due: Vec<_> = sweeper
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.due <= now)
            .map(|(run, waiting)| (run.clone(), *waiting))
            .take(RUNS_A_SWEEP)
            .collect();
        for (run, waiting) in due {
            swept.looked_at += 1;
            match self.mend(&run, waiting.revision).await? {
                Some(Mended { items, revision }) => {
                    swept.mended += items;
                    let pause = (waiting.pause * 2).min(LONGEST_PAUSE);
                    let due = Timestamp(now.0 + millis(pause));
                    sweeper.waiting.insert(run, Waiting { revision, due, pause });
                }
                None => drop(sweeper.waiting.remove(&run)),
            }
        }
        Ok(swept)
    }

    async fn end_cancelled(&self, run: &RunKey) -> Result<(), BackendError> {
        match self.load_any(run).await? {
            Some((hand, build)) if hand.snapshot.status == Status::Cancelled => {
                self.end_again(build, run, &hand).await
            }
            _ => Ok(()),
        }
    }

    /// Gives the items of a run their tickets again; `None` where the run ended, or went on since `revision`.
    async fn mend(&self, run: &RunKey, revision: Option<u64>) -> Result<Option<Mended>, BackendError> {
        let Some(workflow) = self.registry.get(run.workflow.as_str()) else {
            return Ok(Some(Mended { items: 0, revision }));
        };
        let Some(hand) = self.load(run).await? else {
            return Ok(None);
        };
        if hand.snapshot.status.is_terminal() || revision.is_some_and(|revision| revision != hand.revision) {
            return Ok(None);
        }
        let revision = Some(hand.revision);
        if hand.snapshot.status != Status::Running {
            return Ok(Some(Mended { items: 0, revision }));
        }
        let stranded = self.stranded(run, &hand.snapshot, None).await?;
        let tickets = self.named(run, &hand.snapshot, stranded).await?;
        let items = tickets.len() as u64;
        if items > 0 {
            tracing::warn!(%run, items, lost = names(&tickets), "pending items had lost their tickets");
            reach(FailPoint::SweepFound);
            let build = workflow.fingerprint();
            // Somebody may be in the middle of one of these without a ticket, so this is the second attempt at it.
            self.publish_reaching(FailPoint::SweepPublished, build, run, &hand, tickets, 2).await?;
            reach(FailPoint::SweepMended);
        }
        Ok(Some(Mended { items, revision }))
    }
}

/// The first of the items, as `node/item`.
fn names(tickets: &[TicketFor]) -> String {
    let names = tickets.iter().take(MOST_NAMED).map(|ticket| format!("{}/{}", ticket.node, ticket.item));
    names.collect::<Vec<_>>().join(",")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
