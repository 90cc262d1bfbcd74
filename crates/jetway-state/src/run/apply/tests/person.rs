//! Items that wait for a person, and the times from which limits count.

use super::{
    timers::{again, commit, later},
    *,
};
use crate::run::{
    NextTry, NotRetried, RetriedItems, StatusView, Wait, control, count_attempt, pending_ticket, retry_items,
};
use std::time::Duration;

fn when_asked(began: u64) -> EncodedOutcome {
    EncodedOutcome::Retry(NextTry::WhenAsked { began: Timestamp(began) }, error("no money"))
}

fn ask(run: &Run, item: Option<&ItemId>, at: u64) -> Result<RetriedItems, NotRetried> {
    retry_items(run.snapshot.clone(), item, CommitId::default(), Timestamp(at))
}

#[test]
fn an_item_waits_for_a_person_and_its_siblings_go_on() {
    let mut run = start(&[("a", "b")], &[]);
    run.step("a", all("b", &["0", "1"]));
    let [first, second] = [0, 1].map(|position| ItemId::branch(&ItemId::start(), position));
    commit(&mut run, &first, again(20, 5), 10);
    commit(&mut run, &first, when_asked(20), 30);
    assert_eq!(run.snapshot.waits[&first], Wait::Person { since: Timestamp(30), signals: None });
    assert_eq!((run.snapshot.status, run.snapshot.next_due(Timestamp(30))), (Status::Running, None));
    assert_eq!(pending_ticket(&run.snapshot, &first, ANY_TIME), None);
    let tickets = |run: &Run| pending_tickets(&run.snapshot, ANY_TIME).len();
    assert_eq!((tickets(&run), run.snapshot.waits_for_persons_alone()), (1, false));
    commit(&mut run, &second, EncodedOutcome::Next(output("1")), 40);
    assert_eq!((tickets(&run), run.snapshot.waits_for_persons_alone()), (0, true));
    let status = StatusView::new(&run.snapshot, Timestamp(0)).unwrap();
    let waiting_for = status.waiting_for.unwrap_or_default();
    assert!(waiting_for.contains("no money") && waiting_for.contains("jetway retry w r"), "{waiting_for}");
    assert_eq!((status.pending[0].for_person, status.waiting_for_person.len()), (1, 1));
    assert_eq!(status.waiting_for_person[0].item, first);
}

#[test]
fn a_person_asks_for_another_attempt() {
    let mut run = start(&[("a", "b")], &[]);
    let item = ItemId::start();
    commit(&mut run, &item, again(20, 2), 10);
    let (lost, _) = count_attempt(run.snapshot, &item, CommitId::default()).unwrap();
    run.snapshot = lost;
    commit(&mut run, &item, when_asked(25), 30);
    assert_eq!(run.snapshot.attempt_at(&item), 4);
    let other = ItemId::new("other").unwrap();
    assert_eq!(ask(&run, Some(&other), 40), Err(NotRetried::NothingWaits(Some(other))));
    let RetriedItems { applied, items } = ask(&run, Some(&item), 40).unwrap();
    assert_eq!((items, applied.tickets.len()), (vec![item.clone()], 1));
    run.snapshot = applied.snapshot;
    // Everything counts from anew.
    assert_eq!((run.snapshot.attempt_at(&item), run.snapshot.losses_at(&item)), (1, 0));
    assert_eq!(run.snapshot.first_attempt_at(&item), None);
    assert_eq!(run.snapshot.ready_since(&item), Timestamp(40));
    assert_eq!(ask(&run, None, 50), Err(NotRetried::NothingWaits(None)));
    commit(&mut run, &item, again(70, 50), 60);
    assert_eq!(run.snapshot.first_attempt_at(&item), Some(Timestamp(50)));
    commit(&mut run, &item, EncodedOutcome::Next(output("1")), 80);
    assert_eq!(ask(&run, None, 90), Err(NotRetried::Ended(Status::Completed)));
}

#[test]
fn an_item_of_a_bounded_node_gets_a_slot_again() {
    let mut run = start(&[("a", "b")], &[]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.step("a", all("b", &["0", "1"]));
    let [first, second] = [0, 1].map(|position| ItemId::branch(&ItemId::start(), position));
    assert_eq!(run.step("b", when_asked(1)), first);
    assert_eq!(run.ticket("b"), second, "its slot is free");
    run.snapshot = ask(&run, None, 20).unwrap().applied.snapshot;
    assert_eq!(pending_ticket(&run.snapshot, &first, Timestamp(20)), None, "it waits for a slot");
    run.step("b", EncodedOutcome::Next(output("1")));
    assert_eq!(run.ticket("b"), first);
}

#[test]
fn a_paused_run_and_a_cancelled_one_wait_for_nobody() {
    let mut run = start(&[("a", "b")], &[]);
    commit(&mut run, &ItemId::start(), when_asked(5), 10);
    let paused = control::pause(run.snapshot.clone(), CommitId::default(), Timestamp(11)).unwrap().snapshot;
    let asked = retry_items(paused, None, CommitId::default(), Timestamp(12)).unwrap().applied;
    assert!(asked.tickets.is_empty());
    let resumed = control::resume(asked.snapshot, CommitId::default(), Timestamp(13)).unwrap();
    assert_eq!(resumed.tickets.len(), 1);
    let cancelled = control::cancel(run.snapshot, CommitId::default(), Timestamp(14)).unwrap();
    assert_eq!((cancelled.snapshot.status, cancelled.snapshot.pending()), (Status::Cancelled, 0));
}

#[test]
fn times_count_from_when_the_item_was_ready() {
    let mut run = start(&[("a", "b")], &[]);
    commit(&mut run, &ItemId::start(), later(Duration::from_millis(100), to(&[("b", "1")])), 5);
    let item = run.snapshot.items.keys().next().unwrap().clone();
    assert_eq!(run.snapshot.ready_since(&item), Timestamp(105), "its wait does not count");
    for (due, at) in [(500, 200), (900, 600)] {
        commit(&mut run, &item, again(due, at - 50), at);
        assert_eq!(run.snapshot.ready_since(&item), Timestamp(105), "waiting for an attempt does");
        assert_eq!(run.snapshot.first_attempt_at(&item), Some(Timestamp(150)));
    }
}
