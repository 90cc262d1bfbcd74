//! Continuing a run as new: for loops that never end, and would otherwise keep all that they have done.
//!
//! The run goes on under its id, as a run that begins: with a new *incarnation*, its first item, a fresh context and no history. All
//! incarnations that continue one another are a *chain*. The id of a chain is its first incarnation.
//!
//! | what | belongs to | because |
//! |---|---|---|
//! | tickets, alarms, attempts, idempotency keys | the incarnation | the same item ids occur in each |
//! | chunks beside the snapshot, heartbeats | the incarnation | they are those of items |
//! | the news that a run is cancelled | the incarnation | it is for attempts that are under way; the record decides |
//! | the link of a child run to the item that waits for it, and its run id | the incarnation of the parent | no item waits for a child while its run continues as new |
//! | the run that an item waits for as its child | the run id | the child may continue as new, and carries its link along |
//! | results, and waits for them | the chain | whoever started the run waits for its end |
//! | pages of outputs | the chain | the outputs are carried along |
//! | commands, and the cancelling of children | the run id | the newest incarnation is meant |
//! | signals that name an incarnation | that incarnation, or the chain | their sender knows the start |
//! | the digest of the start's input | the chain | a repeated start is still the same start |
//! | parent, deadline, mailbox, trace, outputs, what it means to do to child runs, number of steps, time of the start | carried along | they are those of the run |
//! | status | carried along | a paused run stays paused |
//!
//! A run continues as new only if nothing else of it is open: no other item, no child run, and no value that waits to be gathered.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the commit | the new incarnation has no ticket, and its deadline no alarm | redelivery of the ticket of the former incarnation; the sweep |
//! | the ticket | chunks and alarms of the former incarnation are left over | an alarm finds nothing to do; the collection of orphaned chunks |

use super::{
    attempt::{AttemptReport, EncodedOutcome},
    begin::{Begin, RunInput, begin},
    children::give_up_children,
    effect::{Applied, Effect},
    signal::end_wait,
    snapshot::{Snapshot, Status},
    wait::WaitsBefore,
};
use crate::{CommitId, Error, Incarnation, ItemId, broken_rule::leaves_signals_behind};
use std::collections::BTreeSet;

impl Snapshot {
    /// The id of the chain: the first incarnation.
    pub fn chain_id(&self) -> Incarnation {
        self.chain.unwrap_or(self.incarnation)
    }

    /// Whether this run is meant by somebody who names an incarnation: the present one, or the first one of the chain.
    pub fn is_called(&self, incarnation: Incarnation) -> bool {
        incarnation == self.incarnation || incarnation == self.chain_id()
    }

    /// Whether the run has continued as new from this incarnation.
    pub fn follows(&self, former: Incarnation) -> bool {
        match (self.chain, self.continued) {
            (Some(chain), 1) => former == chain,
            (Some(chain), later @ 2..) => former == Incarnation::continued(chain, later - 1),
            _ => false,
        }
    }

    /// What is open besides an item: other items, and values that wait for a gathering node. `None` if nothing is.
    fn open_besides(&self, item: &ItemId) -> Option<String> {
        let arrivals = self.fan_outs.values().flat_map(|fan_out| fan_out.arrivals.values());
        let arrived: usize = arrivals.map(|arrivals| arrivals.count as usize).sum();
        let open = match self.pending().saturating_sub(1) + arrived {
            0 => return None,
            1 => "another of its branches is open".to_owned(),
            open => format!("{open} of its other branches are open"),
        };
        let mut awaited = self.awaited_children().filter(|(other, _)| *other != item);
        let Some((first, child)) = awaited.next() else { return Some(open) };
        let waiting: BTreeSet<&ItemId> = awaited.map(|(other, _)| other).chain([first]).collect();
        Some(match waiting.len() {
            1 => format!("{open} (one waits for the child run {})", child.run),
            waiting => format!("{open} ({waiting} wait for child runs, such as {})", child.run),
        })
    }
}

/// Why an attempt that wants to continue its run as new may not. `None` if it may, and for every other attempt.
pub fn refuse_to_continue(snapshot: &Snapshot, attempt: &AttemptReport) -> Option<Error> {
    let wants = matches!(attempt.produced, EncodedOutcome::ContinueAsNew(_));
    if !wants || snapshot.incarnation != attempt.incarnation || !snapshot.is_pending(&attempt.item) {
        return None;
    }
    if snapshot.status == Status::Cancelling {
        return Some(Error::Terminal("a clean-up cannot continue its run as new".to_owned()));
    }
    snapshot.open_besides(&attempt.item).map(Error::BranchesOpen)
}

/// The run continues as new. `None` if the item is not pending.
pub(super) fn continue_as_new(
    mut snapshot: Snapshot,
    attempt: &AttemptReport,
    input: RunInput,
    commit: CommitId,
    waits: &WaitsBefore,
) -> Option<Applied> {
    if !snapshot.is_pending(&attempt.item) {
        return None;
    }
    let (former, chain, now) = (snapshot.incarnation, snapshot.chain_id(), attempt.timestamp);
    let mut effects = Vec::new();
    give_up_children(&mut snapshot, &attempt.item, true, now, &mut effects);
    let intents = std::mem::take(&mut snapshot.intents).into_iter();
    // Nobody else waits, so what the item was given and has not taken goes back into the mailbox.
    end_wait(&mut snapshot, &attempt.item, now);
    let continued = snapshot.continued.saturating_add(1);
    let incarnation = Incarnation::continued(chain, continued);
    let (key, trace) = (snapshot.key(), snapshot.trace);
    let (mut next, ticket) = begin(Begin { key, incarnation, commit, at: now, due: None, trace, input });
    for item in next.items.values_mut() {
        item.from_span = attempt.span.map(|span| span.id);
    }
    let mailbox = if leaves_signals_behind() { Default::default() } else { snapshot.mailbox };
    let next = Snapshot {
        chain: Some(chain),
        continued,
        status: snapshot.status,
        started_at: snapshot.started_at,
        steps: snapshot.steps.saturating_add(1),
        outputs: snapshot.outputs,
        mailbox,
        deadline: snapshot.deadline,
        paused_at: snapshot.paused_at,
        parent: snapshot.parent,
        input_digest: snapshot.input_digest,
        has_clean_up: snapshot.has_clean_up,
        intents: intents.map(|intent| intent.left_by(former)).collect(),
        ..next
    };
    effects.retain(|effect| !matches!(effect, Effect::Child(_) | Effect::CloseIntents));
    effects.extend(next.intent_effects());
    if next.alarm(now).is_some() {
        effects.push(Effect::ArmAlarm { since: now });
    }
    effects.extend(waits.are_far(now).then_some(Effect::DisarmAlarmsOf(former)));
    effects.extend(snapshot.chunked.then_some(Effect::DropChunksOf(former)));
    let tickets = ticket.filter(|_| next.status == Status::Running).into_iter().collect();
    Some(Applied { snapshot: next, tickets, effects })
}
