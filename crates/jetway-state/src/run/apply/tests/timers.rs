//! Waiting for time.

use super::*;
use crate::{
    Fingerprint,
    run::{
        AlarmWanted, FoundUnreadable, Later, MAX_ALARM, MAX_WAIT, NextTry, TicketFor, UnreadableBy,
        UnreadablePart, Wait, control, count_attempt, mark_unreadable, pending_ticket, rings_at,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn later(duration: Duration, emission: EncodedEmission) -> EncodedOutcome {
    EncodedOutcome::NextLater(Later::After(duration), emission)
}

pub(super) fn again(due: u64, began: u64) -> EncodedOutcome {
    EncodedOutcome::Retry(NextTry::At { due: Timestamp(due), began: Timestamp(began) }, error("busy"))
}

fn armed_at(commit: u64) -> Effect {
    Effect::ArmAlarm { since: Timestamp(commit) }
}

/// The alarm of a run after its last commit.
fn alarm(run: &Run) -> Option<(Timestamp, ItemId)> {
    let AlarmWanted { due, ticket } = run.snapshot.alarm(run.snapshot.updated_at)?;
    Some((due, ticket.item))
}

pub(super) fn commit(run: &mut Run, item: &ItemId, produced: EncodedOutcome, at: u64) -> Vec<Effect> {
    let attempt = AttemptReport { timestamp: Timestamp(at), ..run.attempt(item, "b", produced) };
    let applied = apply(run.snapshot.clone(), attempt, CommitId::default(), &run.graph).unwrap();
    run.snapshot = applied.snapshot;
    run.tickets.extend(applied.tickets.into_iter().map(|ticket| (ticket.node, ticket.item)));
    applied.effects
}

#[test]
fn w23_a_step_waits_until_its_time() {
    let mut run = start(&[("a", "b")], &[]);
    let effects = commit(&mut run, &ItemId::start(), later(SECOND, to(&[("b", "1")])), 5);
    assert_eq!(effects, [armed_at(5)]);
    let (due, item) = alarm(&run).unwrap();
    assert_eq!((due, &run.snapshot.waits[&item]), (Timestamp(1005), &Wait::Timer { due: Timestamp(1005) }));
    assert!(run.snapshot.is_asleep(Timestamp(1004)) && !run.snapshot.is_asleep(due));
    assert_eq!(pending_ticket(&run.snapshot, &item, Timestamp(1004)), None);
    assert!(pending_ticket(&run.snapshot, &item, due).is_some());
    assert!(tickets_under(&run.snapshot, &ItemId::start(), Timestamp(1004)).is_empty());
    assert_eq!(commit(&mut run, &item, EncodedOutcome::Next(output("1")), 1005), [Effect::PublishResult]);
    assert!(run.snapshot.waits.is_empty());
}

#[test]
fn w23_times_are_checked_against_one_range() {
    let now = Timestamp(1_800_000_000_000);
    for wait in [Later::After(MAX_WAIT), Later::At(now.after(MAX_WAIT)), Later::At(Timestamp(0))] {
        assert_eq!(wait.check(now), Ok(()), "{wait:?}");
    }
    let longer = MAX_WAIT + Duration::from_millis(1);
    let too_long = [Later::After(longer), Later::After(Duration::MAX), Later::At(Timestamp(u64::MAX))];
    for wait in too_long {
        assert_eq!(wait.check(now), Err(Error::TimeOutOfRange), "{wait:?}");
    }
}

#[test]
fn w23_pieces_of_a_wait_are_the_same_whenever_they_are_armed() {
    let (due, piece) = (Timestamp(9_000_000_000_007), MAX_ALARM);
    for (left, first) in [
        (Duration::ZERO, due),
        (SECOND, due),
        (piece, due),
        (piece + SECOND, due.before(piece)),
        (piece * 2, due.before(piece)),
        (piece * 3 - SECOND, due.before(piece * 2)),
        (MAX_WAIT, due.before(MAX_WAIT - Duration::from_secs(15 * 24 * 3600))),
    ] {
        assert_eq!(rings_at(due, due.before(left)), first, "{left:?} before");
        assert!(left.is_zero() || first.since(due.before(left)) <= piece);
    }
    assert_eq!(rings_at(due, due.after(SECOND)), due, "it has passed");
    assert_eq!(rings_at(Timestamp(u64::MAX), Timestamp(u64::MAX - 1)), Timestamp(u64::MAX));
}

#[test]
fn w24_no_time_is_no_wait() {
    for wait in [Later::After(Duration::ZERO), Later::At(Timestamp(0)), Later::At(Timestamp(2))] {
        let mut run = start(&[("a", "b")], &[]);
        let effects =
            commit(&mut run, &ItemId::start(), EncodedOutcome::NextLater(wait, to(&[("b", "1")])), 2);
        assert_eq!((effects, run.ticket("b").as_str().len()), (vec![], 16), "{wait:?}");
    }
    assert_eq!(Later::After(Duration::from_nanos(1)).due(Timestamp(2)), Timestamp(3));
    assert_eq!(Later::After(Duration::from_micros(1001)).due(Timestamp(2)), Timestamp(4));
}

#[test]
fn an_output_waits_without_a_node() {
    let mut run = start(&[("a", "b")], &[]);
    commit(&mut run, &ItemId::start(), later(SECOND, output("7")), 5);
    assert_eq!((run.snapshot.status, run.snapshot.outputs.len()), (Status::Running, 0));
    let (_, item) = alarm(&run).unwrap();
    let Input::Output(waiting) = run.snapshot.items[&item].input.clone() else { panic!("no output") };
    let emission = EncodedEmission { output: Some(waiting), ..EncodedEmission::default() };
    commit(&mut run, &item, EncodedOutcome::Next(emission), 1005);
    assert_eq!((run.snapshot.status, run.snapshot.outputs.len()), (Status::Completed, 1));
}

#[test]
fn a_delayed_fan_out_waits_as_a_whole() {
    let mut run = start(&[("a", "b"), ("a", "c")], &[]);
    let effects = commit(&mut run, &ItemId::start(), later(SECOND, to(&[("b", "1"), ("c", "2")])), 5);
    assert_eq!((effects, run.snapshot.waits.len()), (vec![armed_at(5)], 0));
    let first = ItemId::branch(&ItemId::start(), 0);
    assert_eq!(alarm(&run), Some((Timestamp(1005), first.clone())));
    assert!(pending_tickets(&run.snapshot, Timestamp(1004)).is_empty());
    let due = run.snapshot.now_due(Timestamp(1005), &first);
    assert_eq!(due.tickets.iter().map(|ticket| ticket.item.as_str()).collect::<Vec<_>>(), ["start-1"]);
    assert_eq!(due.alarm, None);
}

#[test]
fn a_late_value_holds_its_gathering_node_up() {
    let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
    run.step("a", all("b", &["0", "1"]));
    run.step("b", later(SECOND, to(&[("g", "0")])));
    let last = run.step("b", next(&[("g", "1")]));
    let (due, item) = alarm(&run).unwrap();
    assert_eq!(due, Timestamp(1002), "{last}");
    assert_eq!(run.gathered(&item), ["0", "1"]);
}

#[test]
fn w27_a_resumed_run_arms_its_alarm_again() {
    let mut run = start(&[("a", "b")], &[]);
    commit(&mut run, &ItemId::start(), later(SECOND, to(&[("b", "1")])), 5);
    let paused = control::pause(run.snapshot.clone(), CommitId::default(), Timestamp(6)).unwrap().snapshot;
    let early = control::resume(paused.clone(), CommitId::default(), Timestamp(7)).unwrap();
    assert_eq!((early.tickets, early.effects), (vec![], vec![armed_at(7)]));
    let late = control::resume(paused, CommitId::default(), Timestamp(1005)).unwrap();
    assert_eq!((late.tickets.len(), late.effects), (1, vec![]));
}

#[test]
fn w37_the_alarm_of_a_cancelled_run_is_disarmed_if_it_is_far() {
    for (wait, disarmed) in [(Duration::from_secs(59), false), (Duration::from_secs(61), true)] {
        let mut run = start(&[("a", "b")], &[]);
        commit(&mut run, &ItemId::start(), later(wait, to(&[("b", "1")])), 5);
        let cancelled = control::cancel(run.snapshot.clone(), CommitId::default(), Timestamp(5)).unwrap();
        assert!(cancelled.snapshot.waits.is_empty());
        assert_eq!(cancelled.effects.contains(&Effect::DisarmAllAlarms), disarmed);
    }
}

#[test]
fn w37_far_alarms_are_disarmed_at_the_end() {
    let hour = Duration::from_secs(3600);
    let mut run = start(&[("a", "b"), ("b", "b")], &[]);
    run.step("a", all("b", &["0", "1"]));
    run.step("b", later(hour, to(&[("b", "0")])));
    let far = alarm(&run).unwrap();
    run.step("b", later(SECOND, to(&[("b", "1")])));
    assert!(alarm(&run).unwrap() < far);
    let cancelled = control::cancel(run.snapshot.clone(), CommitId::default(), Timestamp(9)).unwrap();
    assert!(cancelled.effects.contains(&Effect::DisarmAllAlarms), "{:?}", cancelled.effects);
}

/// Carries out what the rules decide, without a sweep: every item has to be run by tickets and alarms alone, and none of them early.
struct Driver {
    run: Run,
    now: u64,
    tickets: BTreeSet<(ItemId, bool)>,
    /// One for each time: the later one replaces the earlier one.
    alarms: BTreeMap<Timestamp, ItemId>,
    /// The tickets and effects of commits that are written together with the next one, and carried out on its record.
    group: (Vec<TicketFor>, Vec<Effect>),
}

impl Driver {
    fn arm(&mut self, since: Timestamp) {
        if let Some(AlarmWanted { due, ticket }) = self.run.snapshot.alarm(since) {
            self.alarms.insert(due, ticket.item);
        }
    }

    fn commit(&mut self, item: &ItemId, produced: EncodedOutcome) {
        let attempt =
            AttemptReport { timestamp: Timestamp(self.now), ..self.run.attempt(item, "b", produced) };
        let Some(applied) = apply(self.run.snapshot.clone(), attempt, CommitId::default(), &self.run.graph)
        else {
            return;
        };
        self.run.snapshot = applied.snapshot;
        self.group.0.extend(applied.tickets);
        self.group.1.extend(applied.effects);
    }

    /// Writes the commits since the last write.
    fn write(&mut self) {
        let (tickets, effects) = std::mem::take(&mut self.group);
        self.tickets.extend(tickets.into_iter().map(|ticket| (ticket.item, false)));
        for effect in effects {
            let snapshot = &self.run.snapshot;
            match effect {
                Effect::ArmAlarm { since } => self.arm(since),
                Effect::PublishDue { since, except } => {
                    let due = snapshot.due_between(since, snapshot.updated_at, &except);
                    self.tickets.extend(due.into_iter().map(|ticket| (ticket.item, false)));
                }
                Effect::DisarmAlarm(due) => drop(self.alarms.remove(&due)),
                Effect::DisarmAllAlarms => self.alarms.clear(),
                _ => {}
            }
        }
    }

    fn take(&mut self, item: &ItemId, rang: bool, produced: EncodedOutcome) {
        let now = Timestamp(self.now);
        if rang {
            let due = self.run.snapshot.now_due(now, item);
            self.tickets.extend(due.tickets.into_iter().map(|ticket| (ticket.item, false)));
            self.alarms.extend(due.alarm.map(|alarm| (alarm.due, alarm.ticket.item)));
        }
        let snapshot = &self.run.snapshot;
        if !snapshot.is_pending(item) {
            return;
        }
        if !snapshot.is_due(item, now) {
            return self.arm(now);
        }
        if snapshot.waits_for_slot(item) {
            return self.commit(item, EncodedOutcome::Admit);
        }
        self.commit(item, produced);
    }

    /// The hosts are gone for a while. One that comes back gets a ticket again before the alarms of that time, and counts the attempt or
    /// marks the item.
    fn lose_hosts(&mut self, choice: usize, passes: u64) {
        self.write();
        self.now += passes;
        let (now, snapshot) = (Timestamp(self.now), &self.run.snapshot);
        let mut items = self.tickets.iter().filter(|(item, _)| snapshot.is_due(item, now));
        let Some((item, _)) = items.nth(choice % self.tickets.len().max(1)) else { return };
        if let Some(written) = written_beside(snapshot, item, now, choice.is_multiple_of(2)) {
            self.run.snapshot = written;
        }
    }

    /// Delivers one ticket, or lets the next alarm ring. `false` if there is neither.
    fn go_on(&mut self, choice: usize, passes: u64, produced: EncodedOutcome) -> bool {
        self.now += passes;
        while let Some((due, _)) = self.alarms.first_key_value()
            && due.0 <= self.now
        {
            let (_, item) = self.alarms.pop_first().unwrap();
            self.tickets.insert((item, true));
        }
        if let Some((item, rang)) = self.tickets.iter().nth(choice % self.tickets.len().max(1)).cloned() {
            self.tickets.remove(&(item.clone(), rang));
            self.take(&item, rang, produced);
            return true;
        }
        if self.group != Default::default() {
            self.write();
            return true;
        }
        let Some((due, item)) = self.alarms.pop_first() else { return false };
        self.now = self.now.max(due.0);
        self.tickets.insert((item, true));
        true
    }
}

/// The record with a count of an attempt, or with a marker.
fn written_beside(snapshot: &Snapshot, item: &ItemId, at: Timestamp, counts: bool) -> Option<Snapshot> {
    let (snapshot, commit) = (snapshot.clone(), CommitId::default());
    if counts {
        return count_attempt(snapshot, item, commit).map(|(counted, _)| counted);
    }
    let (build, host, reason) = (Fingerprint(at.0), String::new(), String::new());
    let by = UnreadableBy { build, expected: None, host, since: at, reason };
    let (node, part, written_by) = ("b".to_owned(), UnreadablePart::Input, Fingerprint(0));
    let found = FoundUnreadable { item: item.clone(), node, part, written_by, by };
    mark_unreadable(snapshot, found, commit).map(|marked| marked.snapshot)
}

fn produced(choice: u8, wait: u64, now: u64) -> EncodedOutcome {
    let retry = again(now + wait, now);
    let wait = Duration::from_millis(wait);
    match choice {
        0 => next(&[("b", "x")]),
        1 => later(wait, to(&[("b", "x")])),
        2 => all("b", &["x", "y", "z"]),
        3 => later(wait, to(&[("b", "x"), ("b", "y")])),
        4 => later(wait, to(&[("g", "x")])),
        5 => next(&[("g", "x")]),
        6 => later(wait, output("1")),
        7 => later(wait, to(&[("b", "x"), ("g", "y")])),
        8 => retry,
        _ => EncodedOutcome::Hold,
    }
}

proptest! {
    #[test]
    fn alarms_and_tickets_alone_run_everything_and_nothing_early(
        steps in prop::collection::vec(
            (0..10_u8, 1..200_u64, 0..60_u64, any::<usize>(), any::<bool>(), prop::option::weighted(0.1, 1..400_u64)),
            1..60,
        ),
        at_most in prop::option::of(1..3_u32),
    ) {
        let mut run = start(&[("a", "b"), ("b", "b"), ("b", "g"), ("g", "b")], &["g"]);
        run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = at_most;
        let tickets = BTreeSet::from([(ItemId::start(), false)]);
        let mut driver = Driver { run, now: 2, tickets, alarms: BTreeMap::new(), group: Default::default() };
        for (choice, wait, passes, pick, alone, lost) in steps {
            if let Some(passes) = lost {
                driver.lose_hosts(pick, passes);
            }
            let before = driver.run.snapshot.clone();
            driver.go_on(pick, passes, produced(choice, wait, driver.now + passes));
            if alone {
                driver.write();
            }
            // What is gone from the record was due.
            let gone = before.waits.iter().filter(|(id, _)| !driver.run.snapshot.waits.contains_key(*id));
            if !driver.run.snapshot.status.is_terminal() {
                for (item, wait) in gone {
                    prop_assert!(wait.is_over(Timestamp(driver.now)), "{item} ran early");
                }
            }
        }
        for _ in 0..10_000 {
            if !driver.go_on(0, 0, EncodedOutcome::Hold) {
                break;
            }
        }
        let snapshot = &driver.run.snapshot;
        prop_assert!(snapshot.status.is_terminal(), "nothing moves: {snapshot:?}");
    }
}

/// The hosts die while Z runs and the alarm of X is armed. When a host comes back, the ticket of Z comes before the alarm of X.
#[test]
fn what_is_written_beside_commits_settles_no_wait() {
    for counts in [true, false] {
        let mut run = start(&[("a", "b"), ("b", "b")], &[]);
        run.step("a", all("b", &["x", "y", "w", "z"]));
        let [x, y, w, z] = [0, 1, 2, 3].map(|position| ItemId::branch(&ItemId::start(), position));
        for (item, due) in [(&x, 1000), (&y, 1001), (&w, 9000)] {
            commit(&mut run, item, again(due, 5), 5);
        }
        let before = run.snapshot.updated_at;
        run.snapshot = written_beside(&run.snapshot, &z, Timestamp(2000), counts).unwrap();
        assert_eq!(run.snapshot.updated_at, before);
        // Of the other: it must not go back either.
        run.snapshot = written_beside(&run.snapshot, &z, Timestamp(3), counts).unwrap();
        assert_eq!(run.snapshot.updated_at, before);
        let due = run.snapshot.now_due(Timestamp(2001), &x);
        assert_eq!(due.tickets.iter().map(|ticket| &ticket.item).collect::<Vec<_>>(), [&y]);
        assert_eq!(due.alarm.map(|alarm| alarm.ticket.item), Some(w.clone()));
        let effects = commit(&mut run, &z, EncodedOutcome::Hold, 2002);
        assert_eq!(effects, [armed_at(2002), Effect::PublishDue { since: before, except: x.clone() }]);
    }
}

/// Nobody has a slot there, so nobody will give it one.
#[test]
fn a_due_item_at_a_bounded_node_needs_a_ticket() {
    let mut run = start(&[("a", "b")], &[]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    commit(&mut run, &ItemId::start(), later(SECOND, to(&[("b", "1"), ("b", "2")])), 5);
    let [first, second] = [0, 1].map(|position| ItemId::branch(&ItemId::start(), position));
    let items = |snapshot: &Snapshot, now| {
        let tickets = pending_tickets(snapshot, Timestamp(now)).into_iter();
        tickets.map(|ticket| ticket.item).collect::<Vec<_>>()
    };
    assert!(items(&run.snapshot, 1004).is_empty());
    assert_eq!(items(&run.snapshot, 1005), std::slice::from_ref(&first));
    assert!(pending_ticket(&run.snapshot, &first, Timestamp(1005)).is_some());
    assert_eq!(pending_ticket(&run.snapshot, &second, Timestamp(1005)), None);
    commit(&mut run, &second, EncodedOutcome::Admit, 1005);
    assert_eq!(items(&run.snapshot, 1005), [first], "one has the slot, and the other waits for it");
    assert_eq!(pending_ticket(&run.snapshot, &second, Timestamp(1005)), None);

    let mut run = start(&[("a", "b")], &[]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    commit(&mut run, &ItemId::start(), later(SECOND, to(&[("b", "1")])), 5);
    assert_eq!((items(&run.snapshot, 1004).len(), items(&run.snapshot, 1005).len()), (0, 1));
    let resumed = control::pause(run.snapshot, CommitId::default(), Timestamp(6)).unwrap().snapshot;
    let resumed = control::resume(resumed, CommitId::default(), Timestamp(1006)).unwrap();
    assert_eq!(resumed.tickets.len(), 1);
}

/// The wait is over before the group is written that it begins in.
#[test]
fn an_item_due_before_its_group_is_written_is_armed() {
    let mut run = start(&[("a", "b"), ("b", "b")], &[]);
    run.step("a", all("b", &["0", "1"]));
    let [one, other] = [0, 1].map(|position| ItemId::branch(&ItemId::start(), position));
    let effects = commit(&mut run, &one, later(Duration::from_millis(4), to(&[("b", "x")])), 5);
    let (due, waiting) = alarm(&run).unwrap();
    let later = commit(&mut run, &other, next(&[("b", "y")]), 10);
    assert_eq!(later, [Effect::PublishDue { since: Timestamp(5), except: waiting.clone() }]);
    let [Effect::ArmAlarm { since }] = effects[..] else { panic!("{effects:?}") };
    let armed = run.snapshot.alarm(since).map(|alarm| (alarm.due, alarm.ticket.item));
    assert_eq!(armed, Some((due, waiting)));
}

/// Two items of one time, of which the later one comes first.
#[test]
fn an_alarm_is_for_the_first_item_of_its_time() {
    let mut run = start(&[("a", "b"), ("b", "b")], &[]);
    run.step("a", all("b", &["0", "1"]));
    let items = [ItemId::branch(&ItemId::start(), 0), ItemId::branch(&ItemId::start(), 1)];
    let mut armed = None;
    for item in &items {
        let at = Later::At(Timestamp(1000));
        let effects = commit(&mut run, item, EncodedOutcome::NextLater(at, to(&[("b", "x")])), 5);
        if effects.contains(&armed_at(5)) {
            armed = alarm(&run);
        }
    }
    assert_eq!(armed, alarm(&run));
}

#[test]
fn w31_a_failed_attempt_is_made_again_and_counted() {
    let mut run = start(&[("a", "b")], &[]);
    let first = ItemId::start();
    for number in 1..=3 {
        let due = Timestamp(run.snapshot.updated_at.0 + 500);
        let at = run.snapshot.updated_at.0;
        let effects = commit(&mut run, &first, again(due.0, at), at);
        assert_eq!(effects, [armed_at(at)]);
        assert_eq!((run.snapshot.failures_at(&first), run.snapshot.attempt_at(&first)), (number, number + 1));
        assert_eq!(run.snapshot.waits[&first], Wait::Retry { due, signals: None });
        assert_eq!((run.snapshot.steps, run.snapshot.losses_at(&first)), (0, 0));
        run.snapshot.updated_at = due;
    }
    let (lost, number) = count_attempt(run.snapshot.clone(), &first, CommitId::default()).unwrap();
    assert_eq!((number, lost.losses_at(&first), lost.failures_at(&first)), (5, 1, 3));
    commit(&mut run, &first, EncodedOutcome::Next(output("1")), 9000);
    assert!(run.snapshot.failures.is_empty() && run.snapshot.waits.is_empty());
}

#[test]
fn an_item_that_is_tried_again_gives_its_slot_to_another() {
    let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.step("a", all("b", &["0", "1"]));
    let (first, second) = (ItemId::branch(&ItemId::start(), 0), ItemId::branch(&ItemId::start(), 1));
    assert_eq!(run.ticket("b"), first);
    run.step("b", again(1000, 2));
    assert_eq!(run.ticket("b"), second);
    assert!(run.snapshot.waits_for_slot(&first));
    run.step("b", next(&[("g", "1")]));
    assert_eq!(pending_ticket(&run.snapshot, &first, Timestamp(999)), None);
    assert!(pending_ticket(&run.snapshot, &first, Timestamp(1000)).is_some(), "nobody else gives it a slot");
    commit(&mut run, &first, EncodedOutcome::Admit, 1000);
    assert_eq!(run.ticket("b"), first);
}
