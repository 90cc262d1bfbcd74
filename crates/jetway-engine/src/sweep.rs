//! Finding work that lost its ticket.

use super::Engine;
use crate::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
};
use jetway_state::broken_rule::{BrokenRule, is_broken};
use jetway_state::{
    RunKey, Timestamp,
    run::{Effect, Status, TicketFor, end_effects},
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
    doubt: Option<Doubt>,
    /// When to look also at the runs that go on; `None` before the first sweep.
    full_scan_at: Option<Timestamp>,
}

impl Sweeper {
    /// Tickets may have been lost that were published or settled from `since` to `now`: has the next sweep look at all runs, also
    /// at those that were written just now.
    pub fn suspect_loss(&mut self, since: Timestamp, now: Timestamp) {
        let since = self.doubt.map_or(since, |known| known.since.min(since));
        self.doubt = Some(Doubt { since, until: now });
        for waiting in self.waiting.values_mut() {
            *waiting = Waiting { revision: None, due: Timestamp(0), ..*waiting };
        }
    }

    /// Whether it is time to look also at the runs that go on: a branch of one may have lost its ticket while the others are
    /// written all the time.
    fn full_scan_due(&mut self, now: Timestamp) -> bool {
        let is_time = self.full_scan_at.is_some_and(|due| due <= now);
        if is_time || self.full_scan_at.is_none() {
            let pause = LONGEST_PAUSE.mul_f64(rand::random_range(0.8..1.0));
            self.full_scan_at = Some(Timestamp(now.0 + millis(pause)));
        }
        is_time
    }

    /// The runs whose time has come, those first that have waited longest.
    fn due(&self, now: Timestamp) -> Vec<(RunKey, Waiting)> {
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.due <= now);
        let mut due: Vec<_> = due.map(|(run, waiting)| (run.clone(), *waiting)).collect();
        due.sort_by_key(|(_, waiting)| waiting.due);
        due.truncate(RUNS_A_SWEEP);
        due
    }
}

/// When tickets may have been lost.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Doubt {
    since: Timestamp,
    until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// What its end asks for may not have been done, if it has ended before this moment.
    ended: Option<Timestamp>,
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
    pub republished: u64,
}

/// What was done for a run.
struct Republished {
    /// So many items have their ticket again.
    items: u64,
    /// As of this revision, where it was looked at.
    revision: Option<u64>,
}

/// A waiting run is looked at again after twice as long each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Where tickets may have been lost, runs that ended within this time are told once more: it covers a lease, after which the
/// ticket of a host that was lost before it told would have come back.
const ENDED_LATELY: Duration = Duration::from_secs(60);

/// How many republished items of a run the log names, at most.
const MOST_NAMED: usize = 50;

/// How often one sweep asks for more of what is old, at most: a host that is new has a day's finished runs before it, and
/// does not read them all at once.
const LOOKS_A_SWEEP: usize = 10;

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
        if is_broken(BrokenRule::NoSweep) {
            return Ok(Swept::default());
        }
        let now = self.clock.now();
        self.drop_dead_tickets(sweeper).await?;
        let pause = self.config.stale_after;
        if let Some(Doubt { since, until }) = sweeper.doubt {
            for run in self.backend.ended_since(since.min(now).before(ENDED_LATELY)).await? {
                let ended = Some(until);
                sweeper.waiting.insert(run, Waiting { ended, revision: None, due: now, pause });
            }
        }
        let to_the_end = sweeper.full_scan_due(now) || sweeper.doubt.is_some();
        if to_the_end {
            while self.look_through(sweeper, now, now, false).await? {}
            // And what is written just now: a run with many branches is written all the time.
            self.look_through(sweeper, now, Timestamp(now.0 + millis(pause)), false).await?;
        } else {
            let old = Timestamp(now.0.saturating_sub(millis(pause)));
            let mut looks = 0;
            while looks < LOOKS_A_SWEEP && self.look_through(sweeper, now, old, true).await? {
                looks += 1;
            }
        }
        // Not before all has been looked through.
        sweeper.doubt = None;
        self.look_at_due(sweeper, now).await
    }

    /// Has the next runs that were last written before a moment wait to be looked at; those that go on meanwhile need no look
    /// where they are `old`. Whether there may be more of them.
    async fn look_through(
        &self,
        sweeper: &mut Sweeper,
        now: Timestamp,
        before: Timestamp,
        old: bool,
    ) -> Result<bool, BackendError> {
        let (stale, looked_at) = self.backend.stale(sweeper.looked_at, before).await?;
        for run in stale {
            let (revision, ended) = (old.then_some(run.revision), run.cancelled.then_some(now));
            let waiting = Waiting { ended, revision, due: now, pause: self.config.stale_after };
            sweeper.waiting.insert(run.run, waiting);
        }
        let more = looked_at != sweeper.looked_at;
        sweeper.looked_at = looked_at;
        Ok(more)
    }

    /// Looks at the runs whose time has come, those first that have waited longest. One that cannot be looked at waits
    /// for longer, so that it does not keep the others waiting for ever.
    async fn look_at_due(&self, sweeper: &mut Sweeper, now: Timestamp) -> Result<Swept, BackendError> {
        let (mut swept, mut no_room_for_results) = (Swept::default(), false);
        for (run, waiting) in sweeper.due(now) {
            let pause = (waiting.pause * 2).min(LONGEST_PAUSE);
            let later = Waiting { due: Timestamp(now.0 + millis(pause)), pause, ..waiting };
            if waiting.ended.is_some() && no_room_for_results {
                sweeper.waiting.insert(run, later);
                continue;
            }
            swept.looked_at += 1;
            let looked = match waiting.ended {
                Some(before) => self.reapply_end(&run, before).await.map(|()| None),
                None => self.republish(&run, waiting.revision).await,
            };
            match looked {
                Ok(Some(Republished { items, revision })) => {
                    swept.republished += items;
                    sweeper.waiting.insert(run, Waiting { revision, ..later });
                }
                Ok(None) => drop(sweeper.waiting.remove(&run)),
                Err(error) => {
                    tracing::warn!(%run, %error, "the sweep passes over a run");
                    sweeper.waiting.insert(run, Waiting { revision: None, ..later });
                    match error.kind() {
                        BackendErrorKind::Corrupt | BackendErrorKind::Newer => {}
                        BackendErrorKind::NoRoom if waiting.ended.is_some() => no_room_for_results = true,
                        _ => return Err(error),
                    }
                }
            }
        }
        Ok(swept)
    }

    /// Carries out what the end of a run asks for, again.
    async fn reapply_end(&self, run: &RunKey, before: Timestamp) -> Result<(), BackendError> {
        let Some((cached, build)) = self.load_any(run).await? else { return Ok(()) };
        let snapshot = &cached.snapshot;
        // Whoever ended it later than that is at it, or holds a ticket that comes back.
        if !snapshot.status.is_terminal() || snapshot.finished_at.is_none_or(|at| at > before) {
            return Ok(());
        }
        let mut effects = end_effects(snapshot);
        // Those who listen have heard a result that is stored.
        if self.backend.done(run, snapshot.started_at, Duration::ZERO).await?.is_some() {
            effects.retain(|effect| *effect != Effect::PublishResult);
        }
        self.carry_out(build, run, &cached, Vec::new(), effects).await
    }

    /// What stands behind a dead ticket has to be looked for among all runs.
    async fn drop_dead_tickets(&self, sweeper: &mut Sweeper) -> Result<(), BackendError> {
        for workflow in self.registry.iter() {
            let dead = self.backend.drop_stale_tickets(workflow.name()).await?;
            if dead > 0 {
                tracing::warn!(workflow = %workflow.name(), dead, "tickets would never have been handed out");
                let now = self.clock.now();
                sweeper.suspect_loss(now, now);
            }
        }
        Ok(())
    }

    /// Gives the items of a run their tickets again; `None` where the run ended, or went on since `revision`.
    async fn republish(
        &self,
        run: &RunKey,
        revision: Option<u64>,
    ) -> Result<Option<Republished>, BackendError> {
        let Some(workflow) = self.registry.get(run.workflow.as_str()) else {
            return Ok(Some(Republished { items: 0, revision }));
        };
        let Some(cached) = self.load(run).await? else {
            return Ok(None);
        };
        if cached.snapshot.status.is_terminal()
            || revision.is_some_and(|revision| revision != cached.revision)
        {
            return Ok(None);
        }
        if cached.snapshot.status != Status::Running {
            return Ok(Some(Republished { items: 0, revision: Some(cached.revision) }));
        }
        let Some((cached, tickets)) = self.missing_tickets(run, cached).await? else {
            return Ok(None);
        };
        let items = tickets.len() as u64;
        if items > 0 {
            let lost = names(&tickets);
            match revision {
                Some(_) => tracing::warn!(%run, items, lost, "pending items had lost their tickets"),
                // The run goes on: somebody may be about to give them tickets.
                None => tracing::info!(%run, items, lost, "pending items may have lost their tickets"),
            }
            fail_point(FailPoint::SweepFound);
            let build = workflow.fingerprint();
            // Somebody may be in the middle of one of these without a ticket, so this is the second attempt at it.
            self.publish_tickets(FailPoint::SweepPublished, build, run, &cached, tickets, 2).await?;
            fail_point(FailPoint::SweepMended);
        }
        Ok(Some(Republished { items, revision: Some(cached.revision) }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{RunId, WorkflowName};

    #[test]
    fn runs_that_go_on_are_looked_at_every_ten_minutes() {
        let mut sweeper = Sweeper::default();
        let minute = millis(LONGEST_PAUSE) / 10;
        let glances: Vec<_> =
            (0..100).filter(|minutes| sweeper.full_scan_due(Timestamp((minutes + 1) * minute))).collect();
        assert!((9..=12).contains(&glances.len()), "{glances:?}");
        assert!(glances[0] >= 8, "not at once: {glances:?}");
        assert!(glances.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{glances:?}");
    }

    #[test]
    fn no_run_keeps_another_one_waiting_for_ever() {
        let run = |workflow: &str, number: usize| {
            RunKey::new(WorkflowName::new(workflow).unwrap(), RunId::new(&format!("r{number}")).unwrap())
        };
        let waiting =
            |due| Waiting { ended: None, revision: None, due: Timestamp(due), pause: Duration::ZERO };
        let mut sweeper = Sweeper::default();
        for number in 0..RUNS_A_SWEEP * 2 {
            sweeper.waiting.insert(run("a", number), waiting(20));
        }
        sweeper.waiting.insert(run("z", 0), waiting(10));
        sweeper.waiting.insert(run("z", 1), waiting(31));
        let due = sweeper.due(Timestamp(30));
        assert_eq!((due.len(), &due[0].0), (RUNS_A_SWEEP, &run("z", 0)));
        assert!(!due.iter().any(|(found, _)| *found == run("z", 1)));
        sweeper.suspect_loss(Timestamp(7), Timestamp(30));
        sweeper.suspect_loss(Timestamp(9), Timestamp(30));
        assert_eq!(sweeper.doubt.map(|doubt| doubt.since), Some(Timestamp(7)));
        assert!(sweeper.due(Timestamp(0)).len() == RUNS_A_SWEEP);
    }
}
