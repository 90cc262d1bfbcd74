//! Which way a group of writes goes: one by one, or as one batch. Learned by measuring, with no clock of its own.
//!
//! Single writes cost the same whatever their number: nearly nothing where the server syncs now and then, a sync each
//! where it syncs always. A batch costs a few milliseconds and one sync, so its worth grows with its size. So there is one
//! rate for single writes, and one for each size of batch. The way that is faster is taken; the other one is tried again
//! from time to time, since servers, disks and neighbours change.

use std::time::{Duration, Instant};

/// Fewer writes than this never go as a batch.
pub(super) const SMALLEST_BATCH: usize = 16;

/// Sizes of batches: 16 to 31, 32 to 63, 64 to 127, 128 to 255, and from 256 on.
const SIZES: usize = 5;
/// The weight of the latest measurement of a trial.
const TRIAL_WEIGHT: f64 = 0.5;
/// The weight of any other measurement, of which there is one at most in each [`LEARN_EVERY`]: a pause of the server that
/// many writes saw counts once.
const WEIGHT: f64 = 0.1;
const LEARN_EVERY: Duration = Duration::from_millis(10);
/// By how much the other way has to be faster.
const MARGIN: f64 = 1.15;
/// After so long the slower way is tried for the first time, then after twice as long, and so on.
const FIRST_TRIAL_AFTER: Duration = Duration::from_millis(500);
const LAST_TRIAL_AFTER: Duration = Duration::from_secs(60);

/// The two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One message each, sent without waiting for the answers.
    Single,
    /// One atomic batch.
    Batch,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Single => Self::Batch,
            Self::Batch => Self::Single,
        }
    }
}

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) way: Way,
    /// The way is known to be the slower one, or nothing is known about it yet.
    pub(super) trial: bool,
}

/// What has been measured.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    single: Rate,
    batch: [Rate; SIZES],
    next_trial: Option<Instant>,
    trial_after: Duration,
    preferred: [Option<Way>; SIZES],
}

/// A measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) way: Way,
    /// How many writes were under way.
    pub(super) writes: usize,
    /// After how long all of them were stored.
    pub(super) took: Duration,
    /// Whether they were sent for the sake of measuring.
    pub(super) trial: bool,
}

/// Writes per second, as a moving average.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    known: Option<f64>,
    learned: Option<Instant>,
}

impl Rate {
    fn learn(&mut self, rate: f64, trial: bool, now: Instant) {
        if !trial
            && self
                .learned
                .is_some_and(|learned| now.duration_since(learned) < LEARN_EVERY)
        {
            return;
        }
        self.learned = Some(now);
        let weight = if trial { TRIAL_WEIGHT } else { WEIGHT };
        self.known = Some(self.known.map_or(rate, |known| known + weight * (rate - known)));
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            single: Rate::default(),
            batch: [Rate::default(); SIZES],
            next_trial: None,
            trial_after: FIRST_TRIAL_AFTER,
            preferred: [None; SIZES],
        }
    }
}

impl Policy {
    /// How `writes` should go that wait or are under way.
    pub(super) fn choose(&mut self, writes: usize, now: Instant) -> Choice {
        if writes < SMALLEST_BATCH {
            return Choice {
                way: Way::Single,
                trial: false,
            };
        }
        let size = size(writes);
        let (Some(single), Some(batch)) = (self.single.known, self.batch[size].known) else {
            let way = if self.single.known.is_none() {
                Way::Single
            } else {
                Way::Batch
            };
            return Choice { way, trial: true };
        };
        let better = better(single, batch, self.preferred[size]);
        if self.preferred[size] != Some(better) {
            tracing::debug!(writes, single, batch, ?better, "writes per second, measured");
            self.preferred[size] = Some(better);
            self.trial_after = FIRST_TRIAL_AFTER;
            self.next_trial = Some(now + FIRST_TRIAL_AFTER);
        }
        if self.next_trial.is_some_and(|due| due <= now) {
            self.trial_after = (self.trial_after * 2).min(LAST_TRIAL_AFTER);
            self.next_trial = Some(now + self.trial_after);
            return Choice {
                way: better.other(),
                trial: true,
            };
        }
        Choice {
            way: better,
            trial: false,
        }
    }

    /// Takes a measurement into account.
    pub(super) fn learn(&mut self, sample: Sample, now: Instant) {
        if sample.writes < SMALLEST_BATCH {
            return;
        }
        let rate = sample.writes as f64 / sample.took.as_secs_f64().max(1e-6);
        self.rate(sample).learn(rate, sample.trial, now);
    }

    /// A batch of `writes` was refused: whatever time it took, nothing was stored.
    pub(super) fn refused(&mut self, writes: usize, now: Instant) {
        if writes >= SMALLEST_BATCH {
            self.batch[size(writes)].learn(0.0, false, now);
        }
    }

    fn rate(&mut self, sample: Sample) -> &mut Rate {
        match sample.way {
            Way::Single => &mut self.single,
            Way::Batch => &mut self.batch[size(sample.writes)],
        }
    }

    /// Whether batches of some size are faster than single writes, or may be.
    pub(super) fn groups_pay(&self) -> bool {
        let unknown = self.single.known.is_none() || self.batch.iter().all(|rate| rate.known.is_none());
        unknown || self.preferred.contains(&Some(Way::Batch))
    }
}

fn better(single: f64, batch: f64, before: Option<Way>) -> Way {
    let (single, batch) = match before {
        Some(Way::Single) => (single * MARGIN, batch),
        Some(Way::Batch) => (single, batch * MARGIN),
        None => (single, batch),
    };
    if batch > single { Way::Batch } else { Way::Single }
}

fn size(writes: usize) -> usize {
    let doublings = (writes.max(SMALLEST_BATCH) / SMALLEST_BATCH).ilog2();
    (doublings as usize).min(SIZES - 1)
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

        /// Runs `groups` groups of `writes`; the share of groups that went as batches.
        fn run(&self, policy: &mut Policy, now: &mut Instant, writes: usize, groups: usize) -> f64 {
            let mut batches = 0;
            for _ in 0..groups {
                let Choice { way, trial } = policy.choose(writes, *now);
                let count = u32::try_from(writes).unwrap();
                let took = match way {
                    Way::Single => self.single * count,
                    Way::Batch => self.batch + self.each * count,
                };
                batches += usize::from(way == Way::Batch);
                *now += took;
                policy.learn(
                    Sample {
                        way,
                        writes,
                        took,
                        trial,
                    },
                    *now,
                );
            }
            batches as f64 / groups as f64
        }
    }

    #[test]
    fn sizes() {
        let sizes = [16, 31, 32, 64, 128, 256, 512, 5000].map(size);
        assert_eq!(sizes, [0, 0, 1, 2, 3, 4, 4, 4]);
    }

    fn learn(policy: &mut Policy, way: Way, took: Duration, now: Instant) {
        policy.learn(
            Sample {
                way,
                writes: 64,
                took,
                trial: true,
            },
            now,
        );
    }

    #[test]
    fn few_writes_never_go_as_a_batch() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        learn(&mut policy, Way::Single, 100 * MS, now);
        learn(&mut policy, Way::Batch, MS, now);
        let choice = policy.choose(SMALLEST_BATCH - 1, now);
        assert_eq!(
            choice,
            Choice {
                way: Way::Single,
                trial: false
            }
        );
    }

    #[test]
    fn both_ways_are_tried_first() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Single,
                trial: true
            }
        );
        learn(&mut policy, Way::Single, MS, now);
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Batch,
                trial: true
            }
        );
        learn(&mut policy, Way::Batch, 2 * MS, now);
        assert_eq!(
            policy.choose(64, now),
            Choice {
                way: Way::Single,
                trial: false
            }
        );
    }

    #[test]
    fn a_server_that_syncs_always_gets_batches() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        assert!(Server::synced().run(&mut policy, &mut now, 512, 500) > 0.97);
    }

    #[test]
    fn a_server_that_syncs_now_and_then_gets_single_writes() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        for writes in [20, 100, 512] {
            assert!(
                Server::lazy().run(&mut policy, &mut now, writes, 500) < 0.03,
                "{writes}"
            );
        }
    }

    #[test]
    fn a_small_group_goes_singly_even_where_large_ones_go_as_batches() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        let server = Server {
            single: Duration::from_micros(100),
            ..Server::synced()
        };
        assert!(server.run(&mut policy, &mut now, 512, 200) > 0.95);
        assert!(server.run(&mut policy, &mut now, 16, 200) < 0.05);
    }

    #[test]
    fn a_server_that_changes_is_learned_again() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        Server::lazy().run(&mut policy, &mut now, 256, 2000);
        Server::synced().run(&mut policy, &mut now, 256, 3000);
        assert!(Server::synced().run(&mut policy, &mut now, 256, 200) > 0.95);
    }

    #[test]
    fn a_pause_that_many_writes_saw_counts_once() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        learn(&mut policy, Way::Single, MS, now);
        learn(&mut policy, Way::Batch, 2 * MS, now);
        assert_eq!(policy.choose(64, now).way, Way::Single);
        for _ in 0..1000 {
            let sample = Sample {
                way: Way::Single,
                writes: 64,
                took: 100 * MS,
                trial: false,
            };
            policy.learn(sample, now + 100 * MS);
        }
        assert_eq!(policy.choose(64, now + 100 * MS).way, Way::Single);
    }

    #[test]
    fn batches_that_are_refused_again_and_again_are_given_up() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        learn(&mut policy, Way::Single, 8 * MS, now);
        learn(&mut policy, Way::Batch, 2 * MS, now);
        assert_eq!(policy.choose(64, now).way, Way::Batch);
        for turn in 1..30 {
            policy.refused(64, now + turn * LEARN_EVERY);
        }
        assert_eq!(policy.choose(64, now).way, Way::Single);
    }
}
