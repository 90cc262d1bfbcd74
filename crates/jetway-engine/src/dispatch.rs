//! The dispatcher: publishes the tickets and carries out the effects of commits. Both can be done more than once.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | some tickets | the other items have none | redelivery of the ticket that was held; the sweep |
//! | the tickets | the children, the parent's ticket and the result are open | redelivery of the ticket that was held; the sweep, which finds that the run ended without a result |
//! | the start or cancellation of a child | the record has the intent still; the child's own effects, the parent's ticket and the result are open | as above: the child is joined, the cancelled child's effects are carried out again |
//! | the record without its intents | the parent's ticket and the result are open | as above |
//! | the parent's ticket | the untaken signals and the result are open | as above |
//! | the dead letters of untaken signals | the result is open | as above; a dead letter that is stored twice has one id |
//! | the result | chunks are left over | as above; the collection of orphaned chunks |

mod intents;
mod result;
mod untaken;

use crate::{
    backend::{Backend, BackendError},
    control::{Controller, Decided, Retried},
    fail_point::{FailPoint, fail_point},
    snapshots::{CachedSnapshot, Committed, RunVersion, Snapshots},
    starts::Starter,
    tickets::Tickets,
    trace::Tracer,
};
use jetway_core::clock::Clock;
use jetway_state::{
    ItemId, RunKey, Seen, Timestamp,
    run::{
        Effect, NotRetried, Snapshot, Status, TicketFor,
        control::{Control, ControlResult},
        end_effects,
    },
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// A run of which items are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetriedRun {
    /// The status of the run.
    pub status: Status,
    /// The items.
    pub items: Vec<ItemId>,
}

/// Publishes the tickets and carries out the effects of commits.
pub(crate) struct Dispatcher {
    backend: Arc<dyn Backend>,
    snapshots: Arc<Snapshots>,
    tickets: Arc<Tickets>,
    starter: Arc<Starter>,
    controller: Controller,
    tracer: Arc<dyn Tracer>,
}

/// The runs that the end of another one ends.
#[derive(Default)]
struct Cascade {
    /// What is still to be done.
    queue: VecDeque<Committed>,
    /// The runs that were cancelled.
    ended: Vec<CachedSnapshot>,
}

/// Logs the error of a run that failed: nobody else may tell the operator of this host.
fn log_failure(snapshot: &Snapshot) {
    if let (Status::Failed, Some(error)) = (snapshot.status, &snapshot.error) {
        tracing::warn!(
            workflow = %snapshot.workflow,
            run = %snapshot.key(),
            node = error.node.as_deref().unwrap_or("-"),
            attempt = i64::from(error.attempt),
            error = error.message,
            "run failed"
        );
    }
}

impl Cascade {
    fn push(&mut self, committed: Option<Committed>) {
        let Some(committed) = committed else { return };
        if committed.ended {
            self.ended.push(committed.cached.clone());
        }
        self.queue.push_back(committed);
    }
}

impl Dispatcher {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        snapshots: Arc<Snapshots>,
        tickets: Arc<Tickets>,
        starter: Arc<Starter>,
        clock: Arc<dyn Clock>,
        tracer: Arc<dyn Tracer>,
        clean_up_limit: Duration,
    ) -> Self {
        let controller = Controller::new(Arc::clone(&snapshots), Arc::clone(&tickets), clock, clean_up_limit);
        Self { backend, snapshots, tickets, starter, controller, tracer }
    }

    /// Commands a run, and carries out what the command asks for. `None` if there is no such run.
    pub(crate) async fn control(
        &self,
        run: &RunKey,
        control: Control,
    ) -> Result<Option<ControlResult>, BackendError> {
        let Some(decided) = self.controller.command(run, Seen::default(), control).await? else {
            return Ok(None);
        };
        self.carry_out_command(decided).await.map(Some)
    }

    /// Tries an item of a run again, or all that wait for a person, and publishes their tickets. `None` if there is no such run.
    pub(crate) async fn retry_items(
        &self,
        run: &RunKey,
        item: Option<&ItemId>,
    ) -> Result<Option<Result<RetriedRun, NotRetried>>, BackendError> {
        let Retried { decided, items } = match self.controller.retry_items(run, item).await? {
            None => return Ok(None),
            Some(Err(refused)) => return Ok(Some(Err(refused))),
            Some(Ok(retried)) => retried,
        };
        let status = self.carry_out_command(decided).await?.status;
        Ok(Some(Ok(RetriedRun { status, items })))
    }

    async fn carry_out_command(&self, decided: Decided) -> Result<ControlResult, BackendError> {
        let Decided { result, mut committed, attempt } = decided;
        let (tickets, effects) = committed.take_open();
        self.tickets.publish(FailPoint::TicketPublished, committed.version(), tickets, attempt).await?;
        if committed.ended {
            self.end_run(committed.version(), effects).await?;
        } else {
            self.carry_out(committed.version(), Vec::new(), effects).await?;
        }
        Ok(result)
    }

    /// Ends a run whose deadline has passed at `now`, or whose clean-up has taken too long, and carries out what that asks for.
    pub(crate) async fn end_overdue(
        &self,
        run: &RunKey,
        seen: Seen,
        now: Timestamp,
    ) -> Result<(), BackendError> {
        let Some(mut committed) = self.controller.end_overdue(run, seen, now).await? else {
            return Ok(());
        };
        let (_, effects) = committed.take_open();
        match committed.ended {
            true => self.end_run(committed.version(), effects).await,
            false => self.carry_out(committed.version(), Vec::new(), effects).await,
        }
    }

    /// Tells all hosts that a run is cancelled. Without that, they find it a little later.
    async fn tell_hosts(&self, RunVersion { run, cached, .. }: RunVersion<'_>) {
        if let Err(error) = self.backend.tell_cancelled(run, cached.snapshot.incarnation).await {
            tracing::debug!(%run, %error, "cannot tell the hosts that a run is cancelled");
        }
        fail_point(FailPoint::HostsTold);
    }

    /// Writes the span of a run that a commit has ended, and carries out the effects of its end.
    pub(crate) async fn end_run(
        &self,
        version: RunVersion<'_>,
        effects: Vec<Effect>,
    ) -> Result<(), BackendError> {
        let snapshot = &version.cached.snapshot;
        log_failure(snapshot);
        let has_children = !snapshot.intents.is_empty();
        if !has_children {
            self.tracer.run_ended(snapshot);
        }
        let mut cascade = Cascade::default();
        let done = self.carry_out_all(version, Vec::new(), effects, &mut cascade).await;
        let latest = self.write_spans(&cascade.ended);
        if has_children {
            // They end after it, and their spans are below its own.
            self.tracer.run_ended_with_children(snapshot, latest);
        }
        done
    }

    /// Writes the spans of cancelled runs. Returns the latest end.
    fn write_spans(&self, ended: &[CachedSnapshot]) -> u64 {
        let latest = ended.iter().map(|run| run.snapshot.span_end_micros()).max().unwrap_or(0);
        for CachedSnapshot { snapshot, .. } in ended {
            // The children of a child are among the others.
            match snapshot.intents.is_empty() {
                true => self.tracer.run_ended(snapshot),
                false => self.tracer.run_ended_with_children(snapshot, latest),
            }
        }
        latest
    }

    /// Publishes the tickets of a commit and carries out its effects. An effect on another run is a commit with effects of
    /// its own, which are queued behind the others.
    pub(crate) async fn carry_out(
        &self,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
    ) -> Result<(), BackendError> {
        let mut cascade = Cascade::default();
        let done = self.carry_out_all(version, tickets, effects, &mut cascade).await;
        self.write_spans(&cascade.ended);
        done
    }

    async fn carry_out_all(
        &self,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
        cascade: &mut Cascade,
    ) -> Result<(), BackendError> {
        jetway_state::hop!("Dispatcher::carry_out");
        self.carry_out_one(version, tickets, effects, cascade).await?;
        while let Some(mut next) = cascade.queue.pop_front() {
            let (tickets, effects) = next.take_open();
            self.carry_out_one(next.version(), tickets, effects, cascade).await?;
        }
        Ok(())
    }

    /// Carries out the effects of the end of a run again: the host that ended it may have crashed before it did.
    pub(crate) async fn reapply_end_effects(&self, version: RunVersion<'_>) -> Result<(), BackendError> {
        self.carry_out(version, Vec::new(), end_effects(&version.cached.snapshot)).await
    }

    async fn carry_out_one(
        &self,
        version: RunVersion<'_>,
        tickets: Vec<TicketFor>,
        effects: Vec<Effect>,
        cascade: &mut Cascade,
    ) -> Result<(), BackendError> {
        if !tickets.is_empty() {
            self.tickets.publish_committed(version, tickets).await?;
            fail_point(FailPoint::TicketsPublished);
        }
        let incarnation = version.cached.snapshot.incarnation;
        let mut done = Vec::new();
        for effect in effects {
            match effect {
                Effect::PublishResult => self.publish_result(version).await?,
                Effect::WakeParent(parent) => {
                    self.tickets.wake_parent(version.cached, parent).await?;
                    fail_point(FailPoint::ParentWoken);
                }
                Effect::Child(intent) => {
                    cascade.push(Box::pin(self.carry_out_intent(version, &intent)).await?);
                    done.push(intent);
                }
                Effect::CloseIntents => {
                    Box::pin(self.close_intents(version, &std::mem::take(&mut done))).await?;
                }
                Effect::PublishDue { since, except } => {
                    self.tickets.publish_due(version, since, &except).await?;
                }
                Effect::TellHosts => self.tell_hosts(version).await,
                Effect::PublishMissing => self.tickets.publish_missing(version).await?,
                Effect::WakeItems(items) => {
                    self.tickets.wake(version, &items).await?;
                    fail_point(FailPoint::ItemsWoken);
                }
                Effect::ReportUntaken => {
                    self.report_untaken(&version.cached.snapshot).await?;
                    fail_point(FailPoint::UntakenReported);
                }
                Effect::ArmAlarm { since } => {
                    self.tickets.arm(version, since).await?;
                    fail_point(FailPoint::AlarmArmed);
                }
                Effect::DisarmAlarm(due) => self.tickets.disarm(version, Some(due)).await,
                Effect::DisarmAllAlarms => self.tickets.disarm(version, None).await,
                Effect::DisarmAlarmsOf(former) => self.tickets.disarm_all_of(version.run, former).await,
                Effect::DropChunksOf(former) => {
                    self.backend.drop_all_chunks(version.run, former).await?;
                    fail_point(FailPoint::ChunksDropped);
                }
                Effect::DropChunks(chunks) => {
                    self.backend.drop_chunks(version.run, incarnation, &chunks).await?;
                    fail_point(FailPoint::ChunksDropped);
                }
                Effect::DropAllChunks => {
                    self.backend.drop_all_chunks(version.run, incarnation).await?;
                    fail_point(FailPoint::ChunksDropped);
                }
            }
        }
        Ok(())
    }
}
