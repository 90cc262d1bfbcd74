//! The values that a step emits.

use super::Step;
use crate::{
    Error, ItemId, Timestamp,
    run::{
        attempt::{EncodedEmission, Successor},
        children::{ChildIntent, intend},
        effect::TicketFor,
        fan_out::{Arrival, Branch, BranchInput, FanOut, MAX_BRANCHES, PendingBranches},
        output::EncodedOutput,
        snapshot::{Input, Item, Output, Payload, RunError},
        wait::{Later, Wait},
    },
};
use std::collections::{BTreeMap, BTreeSet};

impl Step<'_> {
    /// One value: a single successor continues the branch, several open a fan-out.
    pub(super) fn next(&mut self, emitted: EncodedEmission) {
        crate::hop!("Step::next");
        self.keep_output(emitted.output);
        let starts = emitted.starts.into_iter().map(|start| ChildIntent::Start(Box::new(start)));
        intend(self.snapshot, starts, self.effects);
        let mut successors = emitted.successors;
        match successors.len() {
            0 => self.end_branch(),
            1 => {
                if let Some(successor) = successors.pop() {
                    self.continue_branch(successor);
                }
            }
            _ => self.fan_out(successors),
        }
    }

    /// One value that is passed on later: what it creates waits. A time that has passed is no wait.
    pub(super) fn next_later(&mut self, later: Later, mut emitted: EncodedEmission) {
        let due = later.due(self.finished.timestamp);
        // What a cancelled step leads to is not run, so it does not wait.
        if due <= self.finished.timestamp || self.leads_to_cancelled() {
            return self.next(emitted);
        }
        self.due = Some(due);
        match emitted.output.take() {
            Some(output) if emitted.successors.is_empty() => {
                let id = ItemId::successor(self.finished.id.as_str(), 0);
                let (node, branch) = (self.finished.node.clone(), self.finished.branch.clone());
                self.mark(&id);
                self.add_item(id, node, Input::Output(output), branch, self.due);
            }
            output => self.next(EncodedEmission { output, ..emitted }),
        }
    }

    /// Many values: a fan-out over all values and all their edges, also for one value, or none.
    pub(super) fn next_all(&mut self, emitted: Vec<EncodedEmission>) {
        let mut successors = Vec::with_capacity(emitted.len());
        for value in emitted {
            self.keep_output(value.output);
            successors.extend(value.successors);
        }
        self.fan_out(successors);
    }

    fn keep_output(&mut self, output: Option<EncodedOutput>) {
        if let Some(value) = output {
            let (item, node) = (self.finished.id.clone(), self.finished.node.clone());
            self.snapshot.outputs.push(Output { item, node, value });
        }
    }

    fn continue_branch(&mut self, successor: Successor) {
        let branch = self.finished.branch.clone();
        if self.graph.gathers(&successor.node) {
            return self.arrive(branch, successor);
        }
        let id = ItemId::successor(self.finished.id.as_str(), 0);
        let input = Input::One(Payload::Inline(successor.payload));
        self.mark(&id);
        self.add_item(id, successor.node, input, branch, self.due);
    }

    fn fan_out(&mut self, successors: Vec<Successor>) {
        if successors.len() > MAX_BRANCHES {
            return self.fail(self.too_many(successors.len()));
        }
        let id = ItemId::fan_out(&self.finished.id);
        self.mark(&id);
        let needs_no_slot = self.leads_to_cancelled();
        let count = u32::try_from(successors.len()).unwrap_or(u32::MAX);
        let mut fan_out = FanOut {
            opener: self.finished.node.clone(),
            outer: self.finished.branch.clone(),
            open: count,
            branches: PendingBranches { count, ..PendingBranches::default() },
            arrivals: BTreeMap::new(),
            fired: BTreeSet::new(),
            due: self.due,
            gather_due: None,
            ticket_item: self.finished.ticket_item.clone(),
            from_span: self.finished.span,
            pending_since: self.finished.timestamp,
        };
        for (position, successor) in (0..count).zip(successors) {
            let Successor { node, payload } = successor;
            if self.graph.gathers(&node) {
                fan_out.branches.done.insert(position);
                fan_out.open -= 1;
                let arrival =
                    Arrival { position, from: self.finished.id.clone(), span: self.finished.span, payload };
                self.mark(&ItemId::gathered(&id, &node));
                fan_out.arrivals.entry(node).or_default().push(arrival);
                fan_out.gather_due = self.due;
            } else {
                if self.graph.is_bounded(&node) && !needs_no_slot {
                    fan_out.branches.bounded.entry(node.clone()).or_default().waiting.insert(position);
                } else if self.due.is_none() {
                    let ticket = TicketFor { item: ItemId::branch(&id, position), node: node.clone() };
                    self.tickets.push(ticket);
                }
                fan_out.branches.inline.insert(position, BranchInput { node, payload });
            }
        }
        let closed = fan_out.open == 0;
        self.snapshot.fan_outs.insert(id.clone(), fan_out);
        if closed {
            self.close(&id);
        }
    }

    fn too_many(&self, branches: usize) -> RunError {
        let limit = Error::Limit(format!("a fan-out has {branches} branches; the limit is {MAX_BRANCHES}"));
        RunError {
            item: Some(self.finished.id.clone()),
            node: Some(self.finished.node.clone()),
            attempt: 1,
            kind: limit.kind().to_owned(),
            message: limit.to_string(),
        }
    }

    /// Adds a pending item. It has a ticket, unless it waits for a time or for a slot at its node. A cancelled item does not wait.
    pub(super) fn add_item(
        &mut self,
        id: ItemId,
        node: String,
        input: Input,
        branch: Option<Branch>,
        due: Option<Timestamp>,
    ) {
        let is_cancelled = self.snapshot.is_cancelled(&id);
        let waits_for_slot =
            self.graph.is_bounded(&node) && !matches!(input, Input::Output(_)) && !is_cancelled;
        if let Some(due) = due.filter(|_| !is_cancelled) {
            self.snapshot.waits.insert(id.clone(), Wait::Timer { due });
        } else if !waits_for_slot {
            self.tickets.push(TicketFor { item: id.clone(), node: node.clone() });
        }
        let item = Item {
            node,
            input,
            branch,
            ticket_item: self.finished.ticket_item.clone(),
            waits_for_slot,
            from_span: self.finished.span,
            pending_since: self.finished.timestamp,
        };
        self.snapshot.items.insert(id, item);
    }
}
