//! The ends of branches, and gathering nodes.

use super::Step;
use crate::{
    ItemId,
    run::{
        attempt::Successor,
        effect::Effect,
        fan_out::{Arrival, Arrivals, Branch, FanOut},
        snapshot::Input,
    },
};

impl Step<'_> {
    /// The branch of the finished item ends without a value.
    pub(super) fn end_branch(&mut self) {
        if let Some(branch) = self.finished.branch.clone() {
            self.ended(&branch.fan_out);
        }
    }

    /// A value arrives for a gathering node: it waits for the other branches of its fan-out. Outside a fan-out there is
    /// nothing to wait for.
    pub(super) fn arrive(&mut self, branch: Option<Branch>, successor: Successor) {
        let arrival = Arrival {
            position: branch.as_ref().map_or(0, |branch| branch.position),
            from: self.finished.id.clone(),
            span: self.finished.span,
            payload: successor.payload,
        };
        let Some(branch) = branch else {
            let mut arrivals = Arrivals::default();
            arrivals.push(arrival);
            let id = ItemId::gathered(&self.finished.id, &successor.node);
            self.mark(&id);
            return self.add_item(id, successor.node, Input::Gathered(arrivals), None, self.due);
        };
        self.mark(&ItemId::gathered(&branch.fan_out, &successor.node));
        if let Some(fan_out) = self.snapshot.fan_outs.get_mut(&branch.fan_out) {
            fan_out.arrivals.entry(successor.node).or_default().push(arrival);
            fan_out.gather_due = fan_out.gather_due.max(self.due);
        }
        self.ended(&branch.fan_out);
    }

    /// A branch of a fan-out has ended. The last one closes the fan-out, which may end a branch of an outer fan-out.
    ///
    /// A loop and no recursion: fan-outs can be nested as deeply as the record has room.
    fn ended(&mut self, fan_out: &ItemId) {
        let mut ended = Some(fan_out.clone());
        while let Some(id) = ended.take() {
            let Some(fan_out) = self.snapshot.fan_outs.get_mut(&id) else {
                return;
            };
            fan_out.open = fan_out.open.saturating_sub(1);
            if fan_out.open == 0 {
                ended = self.close_one(&id);
            }
        }
    }

    /// The last open branch of a fan-out has ended: its gathering nodes become ready, in the outer branch.
    ///
    /// If no value arrived, the gathering node behind the opener runs without values: a join runs once for each fan-out, also
    /// for an empty one. It does not if an inner fan-out has made it ready already, or if it belongs to the outer fan-out.
    pub(super) fn close(&mut self, id: &ItemId) {
        if let Some(outer) = self.close_one(id) {
            self.ended(&outer);
        }
    }

    /// Closes one fan-out. Returns the outer fan-out, a branch of which has ended with it.
    fn close_one(&mut self, id: &ItemId) -> Option<ItemId> {
        let closed = self.snapshot.fan_outs.remove(id)?;
        let FanOut { opener, outer, branches, mut arrivals, mut fired, gather_due, .. } = closed;
        let is_clean_up = self.snapshot.is_clean_up(id);
        let is_cancelled = self.snapshot.is_cancelled(id);
        self.snapshot.unmark_clean_up(id);
        let due = gather_due.filter(|due| *due > self.finished.timestamp);
        if !branches.chunks.is_empty() {
            self.effects.push(Effect::DropChunks(branches.chunks.iter().map(|chunk| chunk.chunk).collect()));
        }
        // Of a cancelled fan-out, no branch was left to arrive.
        if arrivals.is_empty()
            && !is_cancelled
            && let Some(gather) = self.graph.gather_behind(&opener)
            && !fired.contains(gather)
            && !self.belongs_to_outer(gather, outer.as_ref())
        {
            if is_clean_up {
                self.snapshot.mark_clean_up(&ItemId::gathered(id, gather));
            }
            arrivals.insert(gather.to_owned(), Arrivals::default());
        }
        let branches = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
        fired.extend(arrivals.keys().cloned());
        for (node, values) in arrivals {
            self.add_item(ItemId::gathered(id, &node), node, Input::Gathered(values), outer.clone(), due);
        }
        let outer = outer?;
        if let Some(around) = self.snapshot.fan_outs.get_mut(&outer.fan_out) {
            around.fired.extend(fired);
            around.open = around.open.saturating_add(branches);
        }
        Some(outer.fan_out)
    }

    /// Whether a gathering node closes the outer fan-out and has no other behind it. A branch with an empty inner fan-out has
    /// then ended, and the node waits for the other branches.
    fn belongs_to_outer(&self, gather: &str, outer: Option<&Branch>) -> bool {
        let around = outer.and_then(|outer| self.snapshot.fan_outs.get(&outer.fan_out));
        around.is_some_and(|around| self.graph.gather_behind(&around.opener) == Some(gather))
            && self.graph.gather_behind(gather).is_none()
    }
}
