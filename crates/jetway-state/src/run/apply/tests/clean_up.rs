//! Cancelling with clean-up.

use super::*;
use crate::run::{
    CancelReason, ChildIntent, NextTry, TicketFor, Wait, cancel_with_clean_up, clean_up::end_clean_up,
    count_attempt, end_effects, pending_ticket, retry_items, terminate,
};
use std::time::Duration;

const COMMIT: CommitId = CommitId { writer: 9, number: 1 };
const LIMIT: Duration = Duration::from_secs(300);
/// The end of a clean-up that begins at the time of the steps.
const UNTIL: Timestamp = Timestamp(300_002);

/// `a -> b -> c`; the clean-up of `a` and `b` is `u`, and then `v`.
fn chain() -> Run {
    let mut run = start(&[("a", "b"), ("b", "c"), ("u", "v")], &[]);
    run.graph.edges.extend([clean_up("a", "u"), clean_up("b", "u")]);
    run.snapshot.has_clean_up = true;
    run
}

fn clean_up(from: &str, to: &str) -> GraphEdge {
    GraphEdge { from: from.to_owned(), to: Some(to.to_owned()), kind: EdgeKind::Cancel }
}

fn taken_back(targets: &[(&str, &str)]) -> EncodedOutcome {
    EncodedOutcome::CleanUp((!targets.is_empty()).then(|| to(targets)))
}

fn again(due: Timestamp, message: &str) -> EncodedOutcome {
    EncodedOutcome::Retry(NextTry::At { due, began: Timestamp(2) }, error(message))
}

impl Run {
    /// Cancels the run, and publishes the tickets that the effects ask for. Returns the effects.
    fn cancel(&mut self) -> Vec<Effect> {
        let cancelled = cancel_with_clean_up(self.snapshot.clone(), COMMIT, Timestamp(2), LIMIT).unwrap();
        self.snapshot = cancelled.snapshot;
        for item in cancelled.effects.iter().filter_map(|effect| match effect {
            Effect::WakeItems(items) => Some(items),
            _ => None,
        }) {
            let wanted = item.iter().filter_map(|item| pending_ticket(&self.snapshot, item, Timestamp(2)));
            self.tickets.extend(wanted.filter_map(|want| Some((want.node?, want.item))));
        }
        cancelled.effects
    }

    fn reason(&self) -> Option<CancelReason> {
        self.snapshot.cancel.as_ref().map(|cancel| cancel.reason)
    }
}

#[test]
fn a_cancelled_item_gives_its_input_to_its_clean_up() {
    let mut run = chain();
    run.step("a", next(&[("b", "b0")]));
    let steps = run.snapshot.steps;
    let effects = run.cancel();
    assert_eq!(effects, [Effect::ArmAlarm { since: Timestamp(2) }, Effect::TellHosts]);
    assert_eq!(run.snapshot.status, Status::Cancelling);
    let item = run.step("b", taken_back(&[("u", "b0")]));
    assert_eq!((run.snapshot.steps, run.snapshot.pending()), (steps, 1), "no node ran");
    let undo = run.tickets[0].1.clone();
    assert!(run.snapshot.is_clean_up(&undo) && !run.snapshot.is_clean_up(&item));
    run.step("u", next(&[("v", "v0")]));
    assert!(run.snapshot.is_clean_up(&run.tickets[0].1));
    assert_eq!(run.snapshot.cancel.as_ref().unwrap().clean_up.len(), 1, "what is done is forgotten");
    run.step("v", EncodedOutcome::Hold);
    assert_eq!((run.snapshot.status, run.reason()), (Status::Cancelled, Some(CancelReason::Requested)));
    assert_eq!((run.done, run.snapshot.error.is_none()), (1, true));
}

#[test]
fn w46_a_step_that_returns_after_the_cancel_counts() {
    for last in [next(&[("b", "b0")]), EncodedOutcome::Next(output("1"))] {
        let mut run = chain();
        run.cancel();
        let completes = matches!(&last, EncodedOutcome::Next(emission) if emission.output.is_some());
        run.step("a", last);
        assert_eq!(run.snapshot.steps, 1);
        if !completes {
            assert!(run.snapshot.is_cancelled(&run.tickets[0].1), "no new step starts");
            run.step("b", taken_back(&[]));
        }
        assert_eq!((run.snapshot.status, run.done), (Status::Cancelled, 1));
    }
}

#[test]
fn w46_what_would_wait_after_the_cancel_does_not() {
    let mut run = chain();
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.cancel();
    let later = crate::run::Later::After(Duration::from_secs(60));
    run.step("a", EncodedOutcome::NextLater(later, to(&[("b", "b0"), ("b", "b1")])));
    assert_eq!((run.tickets.len(), run.snapshot.next_due(Timestamp(2))), (2, Some(UNTIL)));
    let mut run = chain();
    run.cancel();
    run.step("a", EncodedOutcome::NextLater(later, output("1")));
    assert_eq!((run.snapshot.status, run.snapshot.outputs.len()), (Status::Cancelled, 1));
}

#[test]
fn a_step_that_fails_after_the_cancel_gives_way() {
    let handled = EncodedOutcome::Handled(error("no"), to(&[("c", "c0")]));
    let again = again(Timestamp(9), "no");
    let child = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("child").unwrap());
    for produced in [
        EncodedOutcome::Failed(error("no")),
        handled,
        again,
        EncodedOutcome::Await(child.into()),
        EncodedOutcome::Admit,
    ] {
        let mut run = chain();
        run.cancel();
        assert!(!run.apply(run.attempt(&ItemId::start(), "a", produced)));
        run.step("a", taken_back(&[("u", "a0")]));
        run.step("u", EncodedOutcome::Hold);
        assert_eq!((run.snapshot.status, run.done), (Status::Cancelled, 1));
    }
    // Nothing else is taken back.
    let mut running = chain();
    assert!(!running.apply(running.attempt(&ItemId::start(), "a", taken_back(&[]))));
}

#[test]
fn a_clean_up_that_fails_does_not_stop_the_others() {
    let mut run = chain();
    run.step("a", next(&[("b", "b0"), ("b", "b1")]));
    run.cancel();
    run.step("b", taken_back(&[("u", "b0")]));
    run.step("b", taken_back(&[("u", "b1")]));
    run.step("u", EncodedOutcome::Failed(error("the first")));
    assert_eq!((run.snapshot.status, run.tickets.len()), (Status::Cancelling, 1));
    run.step("u", EncodedOutcome::Failed(error("the second")));
    assert_eq!(run.snapshot.status, Status::Cancelled);
    assert_eq!(run.snapshot.error.unwrap().message, "the first");
}

#[test]
fn w37_what_waits_is_ready_for_its_clean_up_at_once() {
    let far = Timestamp(600_000);
    let mut sleeping = chain();
    sleeping.snapshot.waits.insert(ItemId::start(), Wait::Timer { due: far });
    let mut backing_off = chain();
    backing_off.step("a", again(far, "no"));
    for mut run in [sleeping, backing_off] {
        run.tickets.clear();
        assert_eq!(run.snapshot.alarm(Timestamp(2)).unwrap().due, far);
        let effects = run.cancel();
        let woken = vec![ItemId::start()];
        let armed = Effect::ArmAlarm { since: Timestamp(2) };
        assert_eq!(effects, [armed, Effect::DisarmAlarm(far), Effect::TellHosts, Effect::WakeItems(woken)]);
        let alarm = run.snapshot.alarm(Timestamp(2)).unwrap();
        assert_eq!((alarm.due, alarm.ticket.item), (UNTIL, ItemId::start()));
        assert_eq!(count_attempt(run.snapshot.clone(), &ItemId::start(), COMMIT), None);
        run.step("a", taken_back(&[]));
        assert_eq!((run.snapshot.status, run.done), (Status::Cancelled, 1));
    }
}

#[test]
fn w37_branches_that_wait_for_a_slot_are_ready() {
    let mut run = chain();
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.step("a", all("b", &["0", "1", "2"]));
    assert_eq!(run.tickets.len(), 1);
    let Effect::WakeItems(woken) = &run.cancel()[2] else { panic!("nothing is woken") };
    assert_eq!(woken.len(), 2);
    assert_eq!(pending_tickets(&run.snapshot, Timestamp(2)).len(), 3);
    for _ in 0..3 {
        run.step("b", taken_back(&[("u", "x")]));
    }
    assert_eq!((run.tickets.len(), run.snapshot.pending()), (3, 3));
}

#[test]
fn a_run_that_was_paused_has_its_tickets_again() {
    let mut run = chain();
    run.snapshot.status = Status::Paused;
    let effects = run.cancel();
    assert_eq!(effects.last(), Some(&Effect::PublishMissing));
    assert_eq!(run.snapshot.status, Status::Cancelling);
}

#[test]
fn w47_a_clean_up_sleeps_and_retries_like_other_steps() {
    let mut run = chain();
    run.cancel();
    run.step("a", taken_back(&[("u", "a0")]));
    let undo = run.tickets[0].1.clone();
    let retried = run.attempt(&undo, "u", again(Timestamp(50), "busy"));
    let applied = apply(run.snapshot.clone(), retried, COMMIT, &run.graph).unwrap();
    assert_eq!(applied.effects, [Effect::ArmAlarm { since: Timestamp(2) }]);
    assert!(!applied.snapshot.is_due(&undo, Timestamp(49)) && applied.snapshot.is_due(&undo, Timestamp(50)));
    run.snapshot = applied.snapshot;
    assert!(cancel_with_clean_up(run.snapshot.clone(), COMMIT, Timestamp(3), LIMIT).is_none());
    let later = crate::run::Later::After(Duration::from_secs(2));
    run.step("u", EncodedOutcome::NextLater(later, to(&[("v", "v0")])));
    assert_eq!((run.tickets.len(), run.snapshot.next_due(Timestamp(2))), (0, Some(Timestamp(2002))));
    let waiting = run.snapshot.waits.keys().next().unwrap().clone();
    assert!(run.apply(run.attempt(&waiting, "v", EncodedOutcome::Hold)));
    assert_eq!((run.snapshot.status, run.done), (Status::Cancelled, 1));
}

#[test]
fn w47_a_person_retries_a_step_of_a_clean_up() {
    let mut run = chain();
    run.cancel();
    run.step("a", taken_back(&[("u", "a0")]));
    let undo =
        run.step("u", EncodedOutcome::Retry(NextTry::WhenAsked { began: Timestamp(2) }, error("busy")));
    assert!(run.snapshot.waits_for_person(&undo) && run.tickets.is_empty());
    let asked = retry_items(run.snapshot.clone(), None, COMMIT, Timestamp(3)).unwrap().applied;
    assert_eq!(asked.tickets.iter().map(|ticket| &ticket.item).collect::<Vec<_>>(), [&undo]);
}

#[test]
fn w47_past_its_limit_a_clean_up_says_what_is_left() {
    let mut run = chain();
    run.step("a", next(&[("b", "b0"), ("b", "b1")]));
    run.cancel();
    run.step("b", taken_back(&[("u", "b0")]));
    assert!(end_clean_up(run.snapshot.clone(), COMMIT, Timestamp(UNTIL.0 - 1)).is_none());
    let ended = end_clean_up(run.snapshot.clone(), COMMIT, UNTIL).unwrap();
    let cancel = ended.snapshot.cancel.clone().unwrap();
    assert_eq!((cancel.reason, cancel.at), (CancelReason::CleanUpTimeout, Timestamp(2)));
    assert_eq!((cancel.not_run, cancel.until), (vec!["b".to_owned(), "u".to_owned()], Some(UNTIL)));
    assert_eq!((ended.snapshot.status, ended.snapshot.pending()), (Status::Cancelled, 0));
    assert!(ended.effects.contains(&Effect::PublishResult));
}

#[test]
fn w47_a_run_that_is_terminated_ends_at_once() {
    let mut run = chain();
    let at_once = terminate(run.snapshot.clone(), COMMIT, Timestamp(2)).unwrap();
    run.cancel();
    run.step("a", taken_back(&[("u", "a0")]));
    let cut_short = terminate(run.snapshot, COMMIT, Timestamp(2)).unwrap();
    for applied in [at_once, cut_short] {
        let cancel = applied.snapshot.cancel.unwrap();
        assert_eq!((cancel.reason, cancel.clean_up.len()), (CancelReason::Terminated, 0));
        assert_eq!((applied.snapshot.status, applied.snapshot.items.len()), (Status::Cancelled, 0));
    }
}

#[test]
fn the_alarm_of_the_limit_is_armed_once_and_disarmed() {
    let mut run = chain();
    run.cancel();
    let steps = [("a", taken_back(&[("u", "a0")])), ("u", next(&[("v", "v0")])), ("v", EncodedOutcome::Hold)];
    let mut effects = Vec::new();
    for (node, produced) in steps {
        let (_, item) = run.tickets.remove(0);
        let applied =
            apply(run.snapshot.clone(), run.attempt(&item, node, produced), COMMIT, &run.graph).unwrap();
        effects.push(applied.effects);
        run.snapshot = applied.snapshot;
        run.tickets = applied.tickets.into_iter().map(|TicketFor { item, node }| (node, item)).collect();
    }
    // Before the result, so that whoever repeats the effects of the end, since there is no result, disarms the alarm as well.
    let of_the_end = vec![Effect::DisarmAllAlarms, Effect::PublishResult];
    assert_eq!(effects, [vec![], vec![], of_the_end.clone()]);
    assert_eq!(end_effects(&run.snapshot), of_the_end);
}

#[test]
fn a_join_of_clean_up_runs_and_a_cancelled_one_does_not() {
    // `a` scatters to `b`, which `j` gathers. The clean-up of `b` goes on to `k`, which gathers too.
    let graph = || {
        let mut run = start(&[("a", "b"), ("b", "j"), ("u", "k")], &["j", "k"]);
        run.graph.edges.push(clean_up("b", "u"));
        run.snapshot.has_clean_up = true;
        run.step("a", all("b", &["0", "1"]));
        run
    };
    let mut run = graph();
    run.cancel();
    for _ in 0..2 {
        run.step("b", taken_back(&[("u", "x")]));
        run.step("u", next(&[("k", "k0")]));
    }
    assert_eq!(run.tickets.len(), 1);
    let join = run.tickets[0].1.clone();
    assert!(run.snapshot.is_clean_up(&join) && run.gathered(&join).len() == 2);
    run.step("k", EncodedOutcome::Hold);
    assert_eq!((run.snapshot.status, run.done), (Status::Cancelled, 1));
    // A value had arrived before the cancel: the join is cancelled, with what it has.
    let mut run = graph();
    run.step("b", next(&[("j", "j0")]));
    run.cancel();
    run.step("b", taken_back(&[]));
    let join = run.tickets[0].1.clone();
    assert!(run.snapshot.is_cancelled(&join) && run.gathered(&join).len() == 1);
    run.step("j", taken_back(&[]));
    assert_eq!(run.snapshot.status, Status::Cancelled);
    // None had: there is nothing to join.
    let mut run = graph();
    run.cancel();
    run.step("b", taken_back(&[]));
    run.step("b", taken_back(&[]));
    assert_eq!((run.snapshot.status, run.tickets.len()), (Status::Cancelled, 0));
}

#[test]
fn targets_of_a_clean_up_do_not_join_for_its_node() {
    let mut run = start(&[("a", "j"), ("u", "v")], &["j"]);
    run.graph.edges.push(clean_up("a", "u"));
    run.snapshot.has_clean_up = true;
    run.cancel();
    run.step("a", taken_back(&[("u", "0"), ("u", "1")]));
    run.step("u", EncodedOutcome::Hold);
    run.step("u", EncodedOutcome::Hold);
    assert_eq!((run.snapshot.status, run.tickets.len(), run.done), (Status::Cancelled, 0, 1));
}

#[test]
fn w48_a_cancelled_item_cancels_the_child_that_it_waits_for() {
    let child = RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("child").unwrap());
    let seen = crate::Seen::new(7, crate::StoreId(1));
    let mut run = chain();
    run.step("a", next(&[("b", "b0"), ("b", "b1")]));
    let waiting = run.step("b", EncodedOutcome::Await(child.clone().into()));
    assert!(run.apply(run.attempt(&waiting, "b", EncodedOutcome::Started(seen))));
    let effects = run.cancel();
    assert!(effects.contains(&Effect::WakeItems(vec![waiting.clone()])), "{effects:?}");
    assert_eq!(run.snapshot.started_child(&waiting), None, "it does not wait any more");
    let taken = run.attempt(&waiting, "b", taken_back(&[]));
    let applied = apply(run.snapshot.clone(), taken.clone(), COMMIT, &run.graph).unwrap();
    let intent = ChildIntent::Cancel { run: child, item: waiting.clone(), seen, of: None };
    assert_eq!(applied.effects, [Effect::Child(intent.clone()), Effect::CloseIntents]);
    assert_eq!(applied.snapshot.intents, std::slice::from_ref(&intent), "also if its host is lost now");
    // The last item of the run: its end cancels the child.
    let other = run.tickets.iter().find(|(_, item)| *item != waiting).unwrap().1.clone();
    assert!(run.apply(run.attempt(&other, "b", taken_back(&[]))));
    let applied = apply(run.snapshot.clone(), taken, COMMIT, &run.graph).unwrap();
    assert_eq!(applied.snapshot.status, Status::Cancelled);
    assert_eq!(applied.effects[..2], [Effect::Child(intent), Effect::CloseIntents]);
}

/// What a node answers: to one or two successors, to many, nothing, or an output.
fn any_answer(node: &str, choice: u8, budget: u32) -> EncodedOutcome {
    let target = match node {
        "a" | "b" => "b",
        _ => "u",
    };
    match choice % 6 {
        _ if budget == 0 => EncodedOutcome::Hold,
        0 => next(&[(target, "x")]),
        1 => next(&[(target, "x"), ("j", "y")]),
        2 => all(target, &["x", "y", "z"]),
        3 => EncodedOutcome::Next(output("1")),
        4 => next(&[("j", "y")]),
        _ => EncodedOutcome::Hold,
    }
}

proptest! {
    /// Whenever the run is cancelled, and in whatever order its items are worked off: each pending item has a ticket, every
    /// cancelled item is cleaned up once, no other node runs, and the run ends as cancelled.
    #[test]
    fn every_cancelled_run_is_cleaned_up(
        choices in prop::collection::vec((any::<u8>(), any::<u16>()), 1..60),
        cancel_after in 0_usize..30,
    ) {
        let mut run = start(&[("a", "b"), ("b", "b"), ("b", "j"), ("j", "b"), ("u", "u"), ("u", "j")], &["j"]);
        run.graph.edges.extend([clean_up("b", "u"), clean_up("j", "u")]);
        run.snapshot.has_clean_up = true;
        let mut round = 0_usize;
        while !run.snapshot.status.is_terminal() {
            if round == cancel_after {
                run.cancel();
            }
            let wanted = pending_tickets(&run.snapshot, Timestamp(2)).len();
            prop_assert_eq!((wanted, run.snapshot.pending()), (run.tickets.len(), run.tickets.len()));
            prop_assert!(round < 5000, "the run does not end");
            let (choice, pick) = choices[round % choices.len()];
            let budget = 40_u32.saturating_sub(u32::try_from(round).unwrap());
            let (node, item) = run.tickets.remove(usize::from(pick) % run.tickets.len());
            let produced = match run.snapshot.is_cancelled(&item) {
                true if run.graph.is_cleaned_up(&node) => taken_back(&[("u", "z")]),
                true => taken_back(&[]),
                false => any_answer(&node, choice, budget),
            };
            let applied = run.apply(run.attempt(&item, &node, produced));
            prop_assert!(applied, "a pending item was discarded");
            round += 1;
        }
        prop_assert_eq!(run.done, 1);
        if round > cancel_after {
            prop_assert_eq!(run.snapshot.status, Status::Cancelled);
            prop_assert!(run.snapshot.cancel.unwrap().clean_up.is_empty());
        }
    }
}
