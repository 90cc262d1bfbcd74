//! Signals, deadlines and attempts in any order: no signal is lost or doubled, and each wait ends once.

use super::*;

/// An attempt that is under way: its item, and what it saw when it began.
type InFlight = (ItemId, Option<SawSignals>, Option<Vec<u64>>);

/// Hosts of one run, which does nothing but wait.
struct Hosts {
    waiting: Waiting,
    now: u64,
    tickets: BTreeSet<ItemId>,
    alarms: BTreeMap<Timestamp, ItemId>,
    in_flight: Vec<InFlight>,
    sent: u64,
    /// The signals that committed attempts got.
    got: Vec<u64>,
    /// How many waits ended, and how many began.
    waits: (usize, usize),
}

impl Hosts {
    fn new(items: u32) -> Self {
        let waiting = Waiting::new(&[]);
        let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
        run.step("a", all("b", &vec!["x"; items as usize]));
        run.tickets.clear();
        let tickets = (0..items).map(branch).collect();
        Self {
            waiting: Waiting { run, ..waiting },
            now: 5,
            tickets,
            alarms: BTreeMap::new(),
            in_flight: Vec::new(),
            sent: 0,
            got: Vec::new(),
            waits: (0, 0),
        }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.waiting.run.snapshot
    }

    fn carry_out(&mut self) {
        self.tickets.extend(std::mem::take(&mut self.waiting.run.tickets).into_iter().map(|(_, item)| item));
        for effect in std::mem::take(&mut self.waiting.effects) {
            let snapshot = &self.waiting.run.snapshot;
            match effect {
                Effect::ArmAlarm { since } => {
                    self.alarms.extend(snapshot.alarm(since).map(|alarm| (alarm.due, alarm.ticket.item)));
                }
                Effect::WakeItems(items) => self.tickets.extend(items),
                Effect::PublishDue { since, except } => {
                    let due = snapshot.due_between(since, snapshot.updated_at, &except);
                    self.tickets.extend(due.into_iter().map(|ticket| ticket.item));
                }
                Effect::DisarmAlarm(due) => drop(self.alarms.remove(&due)),
                _ => {}
            }
        }
    }

    fn send(&mut self, name: &str, behind: u64) {
        self.sent += 1;
        let sent = signal(self.sent, name);
        // Another host, whose clock is behind.
        self.waiting.deliver(&[sent], self.now.saturating_sub(behind));
        self.carry_out();
    }

    /// A host gets a ticket, and starts an attempt if the item is ready.
    fn begin(&mut self, item: &ItemId) {
        let now = Timestamp(self.now);
        if !self.snapshot().is_pending(item) || item.as_branch().is_none() {
            return;
        }
        if !self.snapshot().is_due(item, now) {
            self.alarms.extend(self.snapshot().alarm(now).map(|alarm| (alarm.due, alarm.ticket.item)));
            return;
        }
        let answer = self.snapshot().signal_wait(item).map(|wait| match wait.is_answered() {
            true => wait.taken.iter().map(|letter| letter.sequence).collect(),
            false => Vec::new(),
        });
        self.in_flight.push((item.clone(), self.snapshot().saw(item), answer));
    }

    /// An attempt ends: it is committed if it saw what the record says, and made again otherwise.
    fn end(&mut self, (item, saw, answer): InFlight, wanted: Option<SignalWanted>) {
        if !self.snapshot().is_pending(&item) {
            return;
        }
        if self.snapshot().saw(&item) != saw {
            return self.begin(&item);
        }
        self.waits.0 += usize::from(answer.is_some());
        self.got.extend(answer.unwrap_or_default());
        let produced = match wanted {
            Some(wanted) => {
                self.waits.1 += 1;
                EncodedOutcome::WaitFor(wanted)
            }
            None => next(&[("g", "1")]),
        };
        self.waiting.commit(&item, produced, self.now.max(self.snapshot().updated_at.0));
        self.carry_out();
    }

    /// Rings alarms, begins or ends an attempt. `false` if nothing is left to do.
    fn go_on(&mut self, pick: usize, wanted: Option<SignalWanted>) -> bool {
        while let Some((due, _)) = self.alarms.first_key_value()
            && due.0 <= self.now
        {
            let (_, item) = self.alarms.pop_first().unwrap();
            let due = self.snapshot().now_due(Timestamp(self.now), &item);
            self.tickets.extend(due.tickets.into_iter().map(|ticket| ticket.item).chain([item]));
            self.alarms.extend(due.alarm.map(|alarm| (alarm.due, alarm.ticket.item)));
        }
        let (tickets, attempts) = (self.tickets.len(), self.in_flight.len());
        match pick % (tickets + attempts).max(1) {
            ticket if ticket < tickets => {
                let item = self.tickets.iter().nth(ticket).cloned().unwrap();
                self.tickets.remove(&item);
                self.begin(&item);
            }
            attempt if attempts > 0 => {
                let attempt = self.in_flight.swap_remove(attempt - tickets);
                self.end(attempt, wanted);
            }
            _ => match self.alarms.first_key_value() {
                Some((due, _)) => self.now = self.now.max(due.0),
                None => return false,
            },
        }
        true
    }

    /// Where each signal is: none is lost, and none is in two places.
    fn check(&self) -> Result<(), TestCaseError> {
        let snapshot = self.snapshot();
        let in_mailbox = snapshot.mailbox.letters.iter();
        // An answer belongs to its step once that is committed.
        let given =
            snapshot.waits.values().filter_map(crate::run::Wait::signals).flat_map(|wait| &wait.taken);
        let mut all: Vec<u64> =
            in_mailbox.chain(given).map(|letter| letter.sequence).chain(self.got.iter().copied()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (1..=self.sent).collect::<Vec<_>>());
        for wait in snapshot.waits.values().filter_map(crate::run::Wait::signals) {
            let mut waited_for = snapshot.mailbox.letters.iter().filter(|letter| {
                !wait.is_over(Timestamp(self.now)) && wait.missing().any(|name| name == letter.name)
            });
            prop_assert!(waited_for.next().is_none(), "it is in the mailbox and waited for: {:?}", snapshot);
        }
        Ok(())
    }
}

fn wanted(choice: u8, millis: u64) -> Option<SignalWanted> {
    let wait = Duration::from_millis(millis);
    match choice {
        0 => Some(first_of(&["x"])),
        1 => Some(within(first_of(&["x"]), wait)),
        2 => Some(within(first_of(&["x", "y"]), wait)),
        3 => Some(all_of(&["x", "y"])),
        4 => Some(within(all_of(&["x", "y"]), wait)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn w41_each_wait_ends_once_and_no_signal_is_lost(
        steps in prop::collection::vec((0..8_u8, 0..6_u8, 0..40_u64, 0..30_u64, any::<usize>()), 1..80),
        items in 1..4_u32,
    ) {
        let mut hosts = Hosts::new(items);
        for (action, choice, millis, passes, pick) in steps {
            match action {
                0 => hosts.send("x", millis / 8),
                1 => hosts.send("y", millis / 8),
                2 => hosts.now += passes,
                // A ticket is a hint: one more does no harm.
                3 => drop(hosts.tickets.insert(branch(u32::from(choice) % items))),
                _ => drop(hosts.go_on(pick, wanted(choice, millis))),
            }
            hosts.check()?;
        }
        for round in 0..1000_u64 {
            if hosts.snapshot().fan_outs.is_empty() {
                break;
            }
            if !hosts.go_on(0, None) {
                hosts.send(if round % 2 == 0 { "x" } else { "y" }, 0);
            }
        }
        prop_assert!(hosts.snapshot().fan_outs.is_empty(), "nothing moves: {:?}", hosts.snapshot());
        prop_assert_eq!(hosts.waits.0, hosts.waits.1, "each wait ends once");
    }
}
