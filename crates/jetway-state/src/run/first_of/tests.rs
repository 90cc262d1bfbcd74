//! A child run, signals and a deadline: one of them comes first, whatever the order is in which hosts learn of them.

use super::FirstOf;
use crate::{
    CommitId, Graph, Incarnation, ItemId, RunId, RunKey, Seen, StoreId, Timestamp, WorkflowName,
    run::{
        Applied, ArrivedSignal, AttemptReport, Begin, ChildIntent, ChildWanted, Delivered, Effect,
        EncodedEmission, EncodedOutcome, Later, OnParentCancel, RunInput, SawSignals, SignalPlace,
        SignalWanted, Snapshot, Status, Successor, Trace, Verdict, apply, begin, control, deliver,
        pending_tickets,
    },
    view::StatusView,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;

const COMMIT: CommitId = CommitId { writer: 1, number: 2 };
const SEEN: Seen = Seen { revision: 5, store: StoreId(1) };
const STORE: StoreId = StoreId(7);

fn item() -> ItemId {
    ItemId::start()
}

fn key(run_id: &str) -> RunKey {
    RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(run_id).unwrap())
}

fn begun() -> Snapshot {
    let input = RunInput { node: "a".to_owned(), payload: Bytes::new(), context: Bytes::new() };
    let (incarnation, at, trace) = (Incarnation::default(), Timestamp(1), Trace::default());
    begin(Begin { key: key("r"), incarnation, commit: CommitId::default(), at, due: None, trace, input }).0
}

fn applied(snapshot: &Snapshot, produced: EncodedOutcome, at: u64) -> Option<Applied> {
    let report = AttemptReport {
        incarnation: snapshot.incarnation,
        item: item(),
        node: "a".to_owned(),
        ticket_item: item(),
        number: 1,
        timestamp: Timestamp(at),
        span: None,
        produced,
        context: None,
    };
    apply(snapshot.clone(), report, COMMIT, &Graph::opaque("w"))
}

/// The step goes on, so that its run has not ended.
fn goes_on() -> EncodedOutcome {
    let successors = vec![Successor { node: "b".to_owned(), payload: Bytes::new() }];
    EncodedOutcome::Next(EncodedEmission { successors, ..EncodedEmission::default() })
}

fn request(on_cancel: OnParentCancel, within: Option<u64>) -> EncodedOutcome {
    let until = within.map(|millis| Later::After(Duration::from_millis(millis)));
    let signals = SignalWanted { names: vec!["x".to_owned(), "y".to_owned()], all: false, until };
    EncodedOutcome::Await(ChildWanted { on_cancel, or: Some(signals), ..key("c").into() })
}

/// A run whose child is started, at 2.
fn waiting(on_cancel: OnParentCancel, within: Option<u64>) -> Snapshot {
    let recorded = applied(&begun(), request(on_cancel, within), 2).unwrap().snapshot;
    applied(&recorded, EncodedOutcome::Started(SEEN), 2).unwrap().snapshot
}

fn send(snapshot: &mut Snapshot, sequence: u64, name: &str, at: u64) -> (Verdict, Vec<Effect>) {
    let payload = Ok(Bytes::from_static(b"1"));
    let signal = ArrivedSignal {
        sequence,
        place: SignalPlace::First,
        name: name.to_owned(),
        id: None,
        incarnation: None,
        at: Timestamp(at),
        payload,
    };
    let Delivered { applied, verdicts } = deliver(snapshot.clone(), STORE, &[signal], COMMIT, Timestamp(at));
    let mut effects = Vec::new();
    if let Some(applied) = applied {
        (*snapshot, effects) = (applied.snapshot, applied.effects);
    }
    (verdicts[0], effects)
}

fn cancel_of_child() -> ChildIntent {
    ChildIntent::Cancel { run: key("c"), item: item(), seen: SEEN, of: None }
}

#[test]
fn the_child_comes_first() {
    let waits = waiting(OnParentCancel::Cancel, Some(1000));
    assert_eq!(waits.first_of(&item(), false, Timestamp(3)), None);
    assert_eq!(waits.first_of(&item(), true, Timestamp(3)), Some(FirstOf::Child));
    assert_eq!(waits.wait_that_is_over(&item(), Timestamp(3)), None, "no answer but the result of the child");
    let mut ended = applied(&waits, goes_on(), 3).unwrap().snapshot;
    assert_eq!((ended.intents.len(), ended.waits.len(), ended.children.len()), (0, 0, 0));
    assert_eq!(send(&mut ended, 1, "x", 4), (Verdict::Kept, vec![]));
}

#[test]
fn a_signal_comes_first() {
    for (policy, intents) in [
        (OnParentCancel::Cancel, vec![cancel_of_child()]),
        (OnParentCancel::Abandon, vec![]),
        (OnParentCancel::Wait, vec![]),
    ] {
        let mut waits = waiting(policy, None);
        assert_eq!(send(&mut waits, 1, "z", 3).0, Verdict::Kept, "it waits for other names");
        assert_eq!(send(&mut waits, 2, "y", 3), (Verdict::Taken, vec![Effect::WakeItems(vec![item()])]));
        assert_eq!(send(&mut waits, 3, "x", 4).0, Verdict::Kept, "one is enough");
        // Whether the child has ended in the same moment does not count any more.
        for ended in [false, true] {
            assert_eq!(waits.first_of(&item(), ended, Timestamp(4)), Some(FirstOf::Signal));
        }
        let settled = applied(&waits, goes_on(), 5).unwrap().snapshot;
        assert_eq!((settled.intents, settled.children.len()), (intents, 0), "{policy:?}");
        let left: Vec<_> = settled.mailbox.letters.iter().map(|letter| letter.sequence).collect();
        assert_eq!(left, [1, 3]);
    }
}

#[test]
fn the_deadline_comes_first_and_is_never_moved() {
    let waits = waiting(OnParentCancel::Cancel, Some(1000));
    let due = Timestamp(1002);
    assert_eq!(waits.alarm(Timestamp(2)).map(|alarm| (alarm.due, alarm.ticket.item)), Some((due, item())));
    assert_eq!(waits.first_of(&item(), false, Timestamp(1001)), None);
    assert_eq!(waits.first_of(&item(), false, due), Some(FirstOf::Deadline));
    assert_eq!(waits.first_of(&item(), true, due), Some(FirstOf::Child));
    // A host is lost before the child is known to be started, and the next attempt asks for it again.
    let recorded = applied(&begun(), request(OnParentCancel::Cancel, Some(1000)), 2).unwrap().snapshot;
    let again = applied(&recorded, request(OnParentCancel::Cancel, Some(1000)), 900).unwrap().snapshot;
    assert_eq!(again.wait_beside_child(&item()).and_then(|wait| wait.due), Some(due));
    let settled = applied(&again, goes_on(), 1002).unwrap().snapshot;
    let prevented = ChildIntent::Prevent { run: key("c"), item: item(), spare: false, of: None };
    assert_eq!(settled.intents, [prevented]);
    assert_eq!(applied(&waits, goes_on(), 1002).unwrap().snapshot.intents, [cancel_of_child()]);
    let mut late = waits;
    assert_eq!(send(&mut late, 1, "x", 1002).0, Verdict::Kept);
}

#[test]
fn a_signal_that_is_there_already_starts_no_child() {
    let mut begun = begun();
    assert_eq!(send(&mut begun, 1, "x", 2).0, Verdict::Kept);
    let Applied { snapshot, tickets, effects } =
        applied(&begun, request(OnParentCancel::Cancel, Some(1000)), 3).unwrap();
    assert_eq!((snapshot.children.len(), snapshot.mailbox.letters.len()), (0, 0));
    assert!(snapshot.wait_that_is_over(&item(), Timestamp(3)).is_some_and(super::SignalWait::is_answered));
    // Its ticket is that of the attempt. If its host is lost, it is delivered again.
    assert_eq!((tickets, effects), (vec![], vec![]));
    assert_eq!(pending_tickets(&snapshot, Timestamp(3)).len(), 1);
    let settled = applied(&snapshot, goes_on(), 4).unwrap().snapshot;
    assert!(settled.intents.is_empty() && settled.waits.is_empty());
}

#[test]
fn a_cancel_comes_first() {
    let mut waits = waiting(OnParentCancel::Cancel, Some(1000));
    assert_eq!(send(&mut waits, 1, "x", 3).0, Verdict::Taken);
    let ended = control::cancel(waits, COMMIT, Timestamp(4)).unwrap().snapshot;
    assert_eq!((ended.status, &ended.intents[..]), (Status::Cancelled, &[cancel_of_child()][..]));
    assert_eq!(ended.mailbox.letters.len(), 1, "no step has taken it");
}

#[test]
fn a_status_says_all_that_an_item_waits_for() {
    let mut waits = waiting(OnParentCancel::Cancel, Some(1000));
    let status = StatusView::new(&waits, Timestamp(0)).unwrap();
    let sentence = "child run w/c, or signal \"x\" or \"y\", until 1970-01-01T00:00:01.002Z";
    assert_eq!(status.waiting_for.as_deref(), Some(sentence));
    let wait = &status.waits[0];
    assert_eq!(
        (wait.kind, wait.detail.as_deref()),
        (crate::view::WaitKind::Child, Some(sentence.trim_start_matches("child run ")))
    );
    assert_eq!(wait.until.as_deref(), Some("1970-01-01T00:00:01.002Z"));
    send(&mut waits, 1, "x", 3);
    let status = StatusView::new(&waits, Timestamp(0)).unwrap();
    assert_eq!(status.waits[0].kind, crate::view::WaitKind::Worker, "it is ready");
}

/// Hosts of one run, whose item waits.
struct Hosts {
    snapshot: Snapshot,
    now: u64,
    due: Option<u64>,
    child_has_ended: bool,
    sent: u64,
    in_flight: Vec<(Option<FirstOf>, Option<SawSignals>)>,
    /// What the committed step was made of.
    settled: Vec<FirstOf>,
    taken: Vec<u64>,
}

impl Hosts {
    fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// A host gets a ticket, and looks at the record and at the child.
    fn begin(&mut self) {
        if let Some(first) = self.snapshot.first_of(&item(), self.child_has_ended, self.at()) {
            self.in_flight.push((Some(first), self.snapshot.saw(&item())));
        }
    }

    /// An attempt ends. It is made again if the record says something else by now than it saw.
    fn end(&mut self, nth: usize) {
        if self.in_flight.is_empty() {
            return;
        }
        let (first, saw) = self.in_flight.swap_remove(nth % self.in_flight.len());
        let is_pending = self.snapshot.is_pending(&item());
        if is_pending && self.snapshot.saw(&item()) != saw {
            return self.begin();
        }
        let taken = self.snapshot.signal_wait(&item()).map(|wait| wait.taken.clone()).unwrap_or_default();
        if let Some(applied) = applied(&self.snapshot, goes_on(), self.now) {
            self.snapshot = applied.snapshot;
            self.settled.extend(first);
            self.taken.extend(taken.iter().map(|letter| letter.sequence));
        }
    }

    fn check(&self, policy: OnParentCancel) -> Result<(), TestCaseError> {
        prop_assert!(self.settled.len() <= 1, "two edges: {:?}", self.settled);
        let given = self.snapshot.signal_wait(&item()).into_iter().flat_map(|wait| &wait.taken);
        let kept = self.snapshot.mailbox.letters.iter().chain(given).map(|letter| letter.sequence);
        let mut all: Vec<u64> = kept.chain(self.taken.iter().copied()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (1..=self.sent).collect::<Vec<_>>(), "a signal is lost or doubled");
        let Some(first) = self.settled.first() else { return Ok(()) };
        prop_assert_eq!(*first == FirstOf::Signal, self.taken.len() == 1);
        let is_cancelled = self.snapshot.intents == [cancel_of_child()];
        let may_be_late = self.due.is_some_and(|due| self.now >= due);
        match (first, policy) {
            (FirstOf::Child, _) => prop_assert!(self.snapshot.intents.is_empty() || may_be_late),
            (_, OnParentCancel::Cancel) => prop_assert!(is_cancelled, "the child goes on alone"),
            _ => prop_assert!(self.snapshot.intents.is_empty()),
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn one_edge_settles_a_wait_and_no_signal_is_lost(
        steps in prop::collection::vec((0..6_u8, 0..30_u64, any::<usize>()), 1..40),
        within in prop::option::of(0..60_u64),
        policy in 0..3_usize,
    ) {
        let policy = [OnParentCancel::Cancel, OnParentCancel::Abandon, OnParentCancel::Wait][policy];
        let within = within.map(|within| within + 1);
        let snapshot = waiting(policy, within);
        let mut hosts = Hosts {
            snapshot,
            now: 2,
            due: within.map(|within| within + 2),
            child_has_ended: false,
            sent: 0,
            in_flight: Vec::new(),
            settled: Vec::new(),
            taken: Vec::new(),
        };
        for (action, passes, nth) in steps {
            match action {
                0 => {
                    hosts.sent += 1;
                    let (sent, at) = (hosts.sent, hosts.now.saturating_sub(passes / 8));
                    send(&mut hosts.snapshot, sent, "x", at);
                }
                1 => hosts.child_has_ended |= passes < 10,
                2 => hosts.now += passes,
                3 => hosts.begin(),
                _ => hosts.end(nth),
            }
            hosts.check(policy)?;
        }
        // In the end something comes.
        hosts.child_has_ended = true;
        hosts.begin();
        while !hosts.in_flight.is_empty() {
            hosts.end(0);
        }
        hosts.check(policy)?;
        prop_assert_eq!(hosts.settled.len(), 1);
    }
}
