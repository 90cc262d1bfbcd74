//! Which way a group of writes goes: one by one, or as one batch. Learned by measuring, with no clock of its own.
//!
//! Single writes cost the same whatever their number: nearly nothing where the server syncs now and then, a sync each
//! where it syncs always. A batch costs a few milliseconds and one sync, so its worth grows with its size. So there is one
//! contest for each size: the two ways take turns, alone on the connection, and the one with the better best time is
//! taken until the next contest. The best time, because a pause of the server or of this machine says nothing about
//! the way that happened to be under way. Contests become rare as long as they end in the same way.

use std::time::{Duration, Instant};

/// Fewer writes than this never go as a batch.
pub(super) const SMALLEST_BATCH: usize = 16;

/// Sizes of groups: 16 to 31, 32 to 63, 64 to 127, 128 to 255, and from 256 on.
const SIZES: usize = 5;
/// How often each way takes its turn, where the difference is not plain to see.
const TURNS: u32 = 3;
/// One turn is enough where one way is this much better.
const PLAIN_TO_SEE: f64 = 3.0;
/// Single writes need not wait for each other as they do in a contest, so they are worth more than they show there.
const SINGLE_BONUS: f64 = 1.2;
/// How long a verdict stands at first, and at last.
const FIRST_REST: Duration = Duration::from_secs(1);
const LAST_REST: Duration = Duration::from_secs(120);
/// The weight of the latest batch in the share of batches that are refused.
const REFUSAL_WEIGHT: f64 = 0.1;

/// The two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One message each, sent without waiting for the answers.
    Single,
    /// One atomic batch.
    Batch,
}

/// One size of groups, which has a contest of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(usize);

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) way: Way,
    /// Whether it is a turn in a contest, to be taken alone and measured.
    pub(super) contest: Option<Size>,
}

/// What has been measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    contests: [Contest; SIZES],
}

#[derive(Debug, Clone)]
struct Contest {
    verdict: Option<Way>,
    /// When the next contest begins; `None` for at once.
    due: Option<Instant>,
    rest: Duration,
    single: Turns,
    batch: Turns,
    /// The share of batches that are refused.
    refused: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    taken: u32,
    /// The best seconds for one write.
    best: Option<f64>,
}

impl Default for Contest {
    fn default() -> Self {
        Self {
            verdict: None,
            due: None,
            rest: FIRST_REST,
            single: Turns::default(),
            batch: Turns::default(),
            refused: 0.0,
        }
    }
}

impl Policy {
    /// How `writes` should go that wait or are under way.
    pub(super) fn choose(&self, writes: usize, now: Instant) -> Choice {
        if writes < SMALLEST_BATCH {
            return Choice {
                way: Way::Single,
                contest: None,
            };
        }
        let size = size(writes);
        let contest = &self.contests[size.0];
        match contest.verdict {
            Some(way) if contest.due.is_some_and(|due| now < due) => Choice { way, contest: None },
            _ => Choice {
                way: contest.next(),
                contest: Some(size),
            },
        }
    }

    /// A turn was taken: `writes` were stored within `took`.
    pub(super) fn learn(&mut self, size: Size, way: Way, writes: usize, took: Duration, now: Instant) {
        let contest = &mut self.contests[size.0];
        let turns = match way {
            Way::Single => &mut contest.single,
            Way::Batch => &mut contest.batch,
        };
        let cost = took.as_secs_f64() / writes.max(1) as f64;
        turns.taken += 1;
        turns.best = Some(turns.best.map_or(cost, |best| best.min(cost)));
        contest.judge(now);
    }

    /// A batch was stored as it was, or refused whole for one of its writes.
    pub(super) fn batched(&mut self, writes: usize, stored: bool, now: Instant) {
        let contest = &mut self.contests[size(writes).0];
        let latest = if stored { 0.0 } else { 1.0 };
        contest.refused += REFUSAL_WEIGHT * (latest - contest.refused);
        // A refused batch costs its own time and that of its writes one by one.
        if contest.refused > 0.5 {
            contest.refused = 0.0;
            contest.end(Way::Single, now);
        }
    }

    /// Whether batches of some size are better, or nothing is known yet.
    pub(super) fn groups_pay(&self) -> bool {
        let mut verdicts = self
            .contests
            .iter()
            .filter_map(|contest| contest.verdict)
            .peekable();
        verdicts.peek().is_none() || verdicts.any(|way| way == Way::Batch)
    }
}

impl Contest {
    fn next(&self) -> Way {
        if self.single.taken <= self.batch.taken {
            Way::Single
        } else {
            Way::Batch
        }
    }

    fn judge(&mut self, now: Instant) {
        let (Some(single), Some(batch)) = (self.single.best, self.batch.best) else {
            return;
        };
        let single = single / SINGLE_BONUS;
        let plain = single > batch * PLAIN_TO_SEE || batch > single * PLAIN_TO_SEE;
        if plain || (self.single.taken >= TURNS && self.batch.taken >= TURNS) {
            self.end(if batch < single { Way::Batch } else { Way::Single }, now);
        }
    }

    fn end(&mut self, way: Way, now: Instant) {
        let (single, batch) = (self.single.best, self.batch.best);
        tracing::debug!(
            ?way,
            single,
            batch,
            "the better way to write, by the seconds for one write"
        );
        self.rest = if self.verdict == Some(way) {
            (self.rest * 2).min(LAST_REST)
        } else {
            FIRST_REST
        };
        self.verdict = Some(way);
        self.due = Some(now + self.rest);
        self.single = Turns::default();
        self.batch = Turns::default();
    }
}

fn size(writes: usize) -> Size {
    let doublings = (writes.max(SMALLEST_BATCH) / SMALLEST_BATCH).ilog2();
    Size((doublings as usize).min(SIZES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server that takes `single` for a single write, and `batch` plus `each` for each write of a batch.
    struct Server {
        single: Duration,
        batch: Duration,
        each: Duration,
    }

    impl Server {
        fn synced() -> Self {
            Self {
                single: Duration::from_micros(185),
                batch: 3 * MS,
                each: Duration::from_micros(12),
            }
        }

        fn lazy() -> Self {
            Self {
                single: Duration::from_micros(12),
                batch: 2 * MS,
                each: Duration::from_micros(15),
            }
        }

        fn took(&self, way: Way, writes: usize) -> Duration {
            let count = u32::try_from(writes).unwrap();
            match way {
                Way::Single => self.single * count,
                Way::Batch => self.batch + self.each * count,
            }
        }

        /// Runs `groups` groups of `writes`, each `noise` longer than it would be; the share of time that batches took.
        fn run(
            &self,
            policy: &mut Policy,
            now: &mut Instant,
            writes: usize,
            groups: usize,
            noise: impl Fn(usize) -> Duration,
        ) -> f64 {
            let (mut batches, mut all) = (Duration::ZERO, Duration::ZERO);
            for group in 0..groups {
                let Choice { way, contest } = policy.choose(writes, *now);
                let took = self.took(way, writes) + noise(group);
                *now += took;
                all += took;
                batches += if way == Way::Batch { took } else { Duration::ZERO };
                if let Some(size) = contest {
                    policy.learn(size, way, writes, took, *now);
                }
            }
            batches.as_secs_f64() / all.as_secs_f64()
        }
    }

    fn quiet(_group: usize) -> Duration {
        Duration::ZERO
    }

    /// Every third group waits 20 ms for the machine.
    fn noisy(group: usize) -> Duration {
        if group % 3 == 1 { 20 * MS } else { Duration::ZERO }
    }

    #[test]
    fn sizes() {
        let sizes = [16, 31, 32, 64, 128, 256, 512, 5000].map(|writes| size(writes).0);
        assert_eq!(sizes, [0, 0, 1, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn few_writes_never_go_as_a_batch() {
        let choice = Policy::default().choose(SMALLEST_BATCH - 1, Instant::now());
        assert_eq!(
            choice,
            Choice {
                way: Way::Single,
                contest: None
            }
        );
    }

    #[test]
    fn both_ways_take_their_turns() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert!(policy.groups_pay());
        for turn in 0..2 * TURNS {
            let way = if turn % 2 == 0 { Way::Single } else { Way::Batch };
            assert_eq!(
                policy.choose(64, now),
                Choice {
                    way,
                    contest: Some(size(64))
                }
            );
            policy.learn(size(64), way, 64, MS, now);
        }
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Single,
                contest: None
            }
        );
        assert!(!policy.groups_pay());
        // Other sizes have contests of their own.
        assert_eq!(policy.choose(512, now).contest, Some(size(512)));
        assert!(policy.choose(64, now + FIRST_REST).contest.is_some());
    }

    #[test]
    fn a_server_that_syncs_always_gets_batches() {
        for noise in [quiet, noisy] {
            let (mut policy, mut now) = (Policy::default(), Instant::now());
            let share = Server::synced().run(&mut policy, &mut now, 512, 2000, noise);
            assert!(share > 0.9, "{share}");
        }
    }

    #[test]
    fn a_server_that_syncs_now_and_then_gets_single_writes() {
        for noise in [quiet, noisy] {
            let (mut policy, mut now) = (Policy::default(), Instant::now());
            for writes in [20, 100, 512] {
                let share = Server::lazy().run(&mut policy, &mut now, writes, 2000, noise);
                assert!(share < 0.1, "{writes}: {share}");
            }
        }
    }

    #[test]
    fn a_small_group_goes_singly_even_where_large_ones_go_as_batches() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        let server = Server {
            single: Duration::from_micros(100),
            ..Server::synced()
        };
        assert!(server.run(&mut policy, &mut now, 512, 1000, quiet) > 0.9);
        assert!(server.run(&mut policy, &mut now, 16, 1000, quiet) < 0.1);
        assert!(policy.groups_pay());
    }

    #[test]
    fn a_server_that_changes_is_learned_again() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        Server::lazy().run(&mut policy, &mut now, 256, 1000, quiet);
        now += LAST_REST;
        Server::synced().run(&mut policy, &mut now, 256, 10, quiet);
        assert!(Server::synced().run(&mut policy, &mut now, 256, 1000, quiet) > 0.9);
    }

    #[test]
    fn batches_that_are_refused_again_and_again_are_given_up() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        policy.learn(size(64), Way::Single, 64, 9 * MS, now);
        policy.learn(size(64), Way::Batch, 64, 2 * MS, now);
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Batch,
                contest: None
            }
        );
        policy.batched(64, false, now);
        assert_eq!(policy.choose(64, now).way, Way::Batch);
        for _ in 0..10 {
            policy.batched(64, false, now);
        }
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Single,
                contest: None
            }
        );
    }
}
