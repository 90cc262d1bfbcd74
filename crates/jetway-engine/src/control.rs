//! Commands to runs: cancel, terminate, pause, resume; and keeping a child run from being started.
//!
//! A command commits its decision and returns what is to be done then. It publishes nothing itself.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the commit | the run has its new status; effects and tickets are missing | the same command again; the sweep for a run that is cancelled, being cancelled, or over its deadline |
//! | the effects | complete | - |

mod retry_items;

pub(crate) use retry_items::Retried;

use crate::{
    backend::{BackendError, BackendErrorKind},
    fail_point::{FailPoint, fail_point},
    snapshots::{CachedSnapshot, Committed, RunVersion, Snapshots},
    tickets::{SECOND_ATTEMPT, Tickets},
};
use jetway_core::{
    clock::Clock,
    step::{Swap, Swapped, swap_until},
};
use jetway_state::{
    Fingerprint, Incarnation, ItemId, RunKey, Seen, Timestamp,
    run::{
        Applied, Effect, Snapshot, Status,
        control::{Control, ControlResult},
        end_effects, end_overdue, pending_tickets, tombstone,
    },
};
use std::{fmt, sync::Arc, time::Duration};

/// Changes runs by commands.
pub(crate) struct Controller {
    snapshots: Arc<Snapshots>,
    tickets: Arc<Tickets>,
    clock: Arc<dyn Clock>,
    clean_up_limit: Duration,
}

/// A command that was decided, and what is to be done then.
pub(crate) struct Decided {
    pub(crate) result: ControlResult,
    pub(crate) committed: Committed,
    /// The attempt number of the tickets.
    pub(crate) attempt: u32,
}

impl Controller {
    pub(crate) fn new(
        snapshots: Arc<Snapshots>,
        tickets: Arc<Tickets>,
        clock: Arc<dyn Clock>,
        clean_up_limit: Duration,
    ) -> Self {
        Self { snapshots, tickets, clock, clean_up_limit }
    }

    /// Ends a run whose deadline has passed at `now`, or whose clean-up has taken too long. `None` if that is not so.
    pub(crate) async fn end_overdue(
        &self,
        run: &RunKey,
        seen: Seen,
        now: Timestamp,
    ) -> Result<Option<Committed>, BackendError> {
        let rule = Rule::EndOverdue(now);
        let decided = swap_until(Command { controller: self, run, seen, rule, child_of: None }).await?;
        Ok(decided.filter(|decided| decided.result.changed).map(|decided| {
            fail_point(FailPoint::DeadlineCommitted);
            Committed { ended: decided.result.status.is_terminal(), ..decided.committed }
        }))
    }

    /// Commits a command to a run of any workflow, whose record was seen. `None` if there is no such run.
    ///
    /// A run that has the wanted status already may lack effects or tickets, because the host that changed it crashed. They
    /// are returned again.
    pub(crate) async fn command(
        &self,
        run: &RunKey,
        seen: Seen,
        control: Control,
    ) -> Result<Option<Decided>, BackendError> {
        self.command_if(run, seen, control, None).await
    }

    /// The same for a run that has to be the child run of this item.
    async fn command_if(
        &self,
        run: &RunKey,
        seen: Seen,
        control: Control,
        child_of: Option<Awaiting<'_>>,
    ) -> Result<Option<Decided>, BackendError> {
        let rule = Rule::Control(control);
        let Some(mut decided) = swap_until(Command { controller: self, run, seen, rule, child_of }).await?
        else {
            return Ok(None);
        };
        if decided.result.changed {
            fail_point(committed_point(control));
            decided.committed.ended = decided.result.status.is_terminal();
            if decided.result.status == Status::Running {
                // Includes the branches whose node is in a chunk, which the rule cannot name.
                let snapshot = &decided.committed.cached.snapshot;
                let wanted = pending_tickets(snapshot, snapshot.updated_at);
                decided.committed.tickets = self.tickets.resolve(decided.committed.version(), wanted).await?;
            }
        } else {
            self.add_missing(&mut decided, control).await?;
        }
        Ok(Some(decided))
    }

    /// Adds the effects and tickets that an earlier command of the same kind may not have had.
    async fn add_missing(&self, decided: &mut Decided, control: Control) -> Result<(), BackendError> {
        let Committed { run, cached, effects, tickets, .. } = &mut decided.committed;
        match (control, cached.snapshot.status) {
            (Control::Cancel | Control::Terminate, Status::Cancelled) => {
                *effects = end_effects(&cached.snapshot);
            }
            (Control::Cancel, Status::Cancelling) | (Control::Resume, Status::Running) => {
                if control == Control::Cancel {
                    effects.push(Effect::TellHosts);
                    effects.extend(cached.snapshot.intent_effects());
                }
                if let Some((latest, missing)) =
                    self.tickets.missing(run, cached.clone(), self.clock.now()).await?
                {
                    (*cached, *tickets, decided.attempt) = (latest, missing, SECOND_ATTEMPT);
                    effects.push(Effect::ArmAlarm { since: cached.snapshot.updated_at });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Cancels the child run of an item, whose record was seen. `None` if there is no such run any more: the run id may be that of
    /// another run by now.
    pub(crate) async fn cancel_child(
        &self,
        awaiting: Awaiting<'_>,
        child: &RunKey,
        seen: Seen,
    ) -> Result<Option<Committed>, BackendError> {
        let decided = self.command_if(child, seen, Control::Cancel, Some(awaiting)).await?;
        Ok(decided.map(|decided| decided.committed))
    }

    /// Cancels a child run that may not have been started: writes a record in its place that has ended. Whoever is about
    /// to start the child finds this record. `spare`: a child that is started goes on.
    pub(crate) async fn prevent(
        &self,
        parent: RunVersion<'_>,
        awaiting: Awaiting<'_>,
        child: RunKey,
        spare: bool,
    ) -> Result<Option<Committed>, BackendError> {
        let trace = parent.cached.snapshot.trace.clone();
        let incarnation = Incarnation::from_random(rand::random());
        let (commit, at) = (self.snapshots.next_commit(), self.clock.now());
        let ended = tombstone(child.clone(), incarnation, trace, commit, at);
        match self.snapshots.write(parent.build, &ended, Vec::new(), Seen::default()).await {
            Ok(revision) => {
                let effects = end_effects(&ended);
                let cached = self.snapshots.found(ended, revision, parent.build);
                let (build, tickets) = (parent.build, Vec::new());
                Ok(Some(Committed { run: child, build, cached, tickets, effects, ended: false }))
            }
            Err(error) if error.is_conflict() => {
                let found = self.snapshots.read(&child, Seen::default()).await?;
                // Something is there: whoever does not find it is behind.
                let (found, _) = found.ok_or_else(|| not_found_yet(&child))?;
                // The run may belong to somebody else who chose the same id.
                let is_own =
                    found.snapshot.parent.as_ref().is_some_and(|of_child| of_child.run == *parent.run);
                match is_own && !spare {
                    true => self.cancel_child(awaiting, &child, found.seen()).await,
                    false => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// One command to one run, until its write succeeds.
struct Command<'a> {
    controller: &'a Controller,
    run: &'a RunKey,
    seen: Seen,
    rule: Rule,
    /// The run has to be the child run of this item.
    child_of: Option<Awaiting<'a>>,
}

/// An item that waits, or has waited, for a child run.
#[derive(Clone, Copy)]
pub(crate) struct Awaiting<'a> {
    run: &'a RunKey,
    incarnation: Incarnation,
    item: &'a ItemId,
}

impl<'a> Awaiting<'a> {
    /// An item of a run, or of the incarnation `of` from which the run has continued as new.
    pub(crate) fn new(parent: RunVersion<'a>, item: &'a ItemId, of: Option<Incarnation>) -> Self {
        Self { run: parent.run, incarnation: of.unwrap_or(parent.cached.snapshot.incarnation), item }
    }
}

/// What decides about a run.
#[derive(Clone, Copy)]
enum Rule {
    Control(Control),
    /// Its deadline, or the limit of its clean-up, has passed by this time.
    EndOverdue(Timestamp),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(control) => control.fmt(f),
            Self::EndOverdue(_) => f.write_str("end"),
        }
    }
}

impl Swap for Command<'_> {
    type State = Option<(CachedSnapshot, Fingerprint)>;
    type Output = Option<Decided>;
    type Error = BackendError;

    async fn load(&mut self) -> Result<Self::State, BackendError> {
        self.controller.snapshots.read(self.run, self.seen).await
    }

    async fn swap(&mut self, state: Self::State) -> Result<Swapped<Option<Decided>>, BackendError> {
        let Some((cached, build)) = state else {
            return Ok(Swapped::Done(None));
        };
        if let Some(Awaiting { run, incarnation, item }) = self.child_of
            && !cached.snapshot.is_child_of(run, incarnation, item)
        {
            return Ok(Swapped::Done(None));
        }
        let Self { controller: Controller { snapshots, clock, clean_up_limit, .. }, run, rule, .. } = self;
        let (snapshot, commit) = (Snapshot::clone(&cached.snapshot), snapshots.next_commit());
        let applied = match rule {
            Rule::Control(control) => control.decide(snapshot, commit, clock.now(), *clean_up_limit),
            Rule::EndOverdue(now) => end_overdue(snapshot, commit, *now, *clean_up_limit),
        };
        let Some(applied) = applied else {
            return Ok(Swapped::Done(Some(Decided::new(run, build, cached, false))));
        };
        let Applied { snapshot, effects, .. } = applied;
        match snapshots.write(build, &snapshot, Vec::new(), cached.seen()).await {
            Ok(revision) => {
                let cached = snapshots.found(snapshot, revision, build);
                snapshots.slot(run).keep(&cached);
                let mut decided = Decided::new(run, build, cached, true);
                decided.committed.effects = effects;
                Ok(Swapped::Done(Some(decided)))
            }
            Err(error) if error.is_conflict() => Ok(Swapped::Conflict),
            Err(error) => Err(error),
        }
    }

    fn contended(&self, conflicts: usize) -> BackendError {
        let Self { run, rule, .. } = self;
        BackendError::new(
            BackendErrorKind::Unavailable,
            format!("cannot {rule} run {run}: {conflicts} writes of others came first; try again"),
        )
    }
}

impl Decided {
    fn new(run: &RunKey, build: Fingerprint, cached: CachedSnapshot, changed: bool) -> Self {
        let result = ControlResult { status: cached.snapshot.status, changed };
        let run = run.clone();
        let committed =
            Committed { run, build, cached, tickets: Vec::new(), effects: Vec::new(), ended: false };
        Self { result, committed, attempt: 1 }
    }
}

/// A record exists, since a write that expected none was refused, and a read does not find it.
pub(crate) fn not_found_yet(run: &RunKey) -> BackendError {
    let message = format!(
        "the server has a record of run {run}, and does not find it: it may be behind, or have deleted it"
    );
    BackendError::new(BackendErrorKind::Behind, message)
}

fn committed_point(control: Control) -> FailPoint {
    match control {
        Control::Cancel => FailPoint::CancelCommitted,
        Control::Terminate => FailPoint::TerminateCommitted,
        Control::Pause => FailPoint::PauseCommitted,
        Control::Resume => FailPoint::ResumeCommitted,
    }
}
