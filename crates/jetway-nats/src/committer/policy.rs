//! Chooses how a group of writes is sent: one by one, or as one batch. It measures both on this server.
//!
//! A single write costs the same whatever else is in flight: nearly nothing on a server that syncs from time to time, one
//! sync on a server that syncs always. A batch costs a few milliseconds and one sync, so the cost per write falls with its
//! size. So there is one benchmark for each size of batch. It takes samples of both strategies in turns, with nothing else
//! in flight, and the cheaper strategy is used until the next benchmark. The interval between benchmarks doubles while
//! their result stays the same. The best sample of each strategy counts: a pause of the server or of this machine makes a
//! sample too expensive, and nothing makes one too cheap.
//!
//! Times are passed in: this module has no clock.

use std::time::{Duration, Instant};

/// Fewer writes than this are never sent as a batch.
pub(super) const SMALLEST_BATCH: usize = 16;

/// The sizes of batches: 16 to 31, 32 to 63, 64 to 127, 128 to 255, and 256 or more.
const SIZES: usize = 5;
/// How many samples of each strategy a benchmark takes.
const SAMPLES: usize = 3;
/// How many are enough if one strategy is cheaper by [`CLEAR_FACTOR`].
const MIN_SAMPLES: usize = 2;
const CLEAR_FACTOR: f64 = 3.0;
/// How much cheaper the other strategy must be to replace the one in use.
const SWITCH_FACTOR: f64 = 1.3;
/// Outside of benchmarks, single writes overlap with their neighbours, which makes them cheaper by about this factor.
const OVERLAP: f64 = 1.25;
/// The number of single writes in a sample while their cost is unknown.
const FIRST_SAMPLE: usize = 64;
/// Later, a sample has about as many as fit into this time. Many are needed to average out the round trip; few are wanted
/// where each costs a sync.
const SAMPLE_TIME: Duration = Duration::from_millis(20);
/// The time from one benchmark to the next, at first and at most.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// The weight of the latest batch in the average share of refused batches.
const REFUSAL_WEIGHT: f64 = 0.1;

/// How a group of writes is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// One message each, without waiting for replies in between.
    Single,
    /// One atomic batch.
    Batch,
}

/// A size of batches. Each has its own benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(usize);

/// How to send the next group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) strategy: Strategy,
    /// If set, it is a sample of this benchmark: to be sent with nothing else in flight, and measured.
    pub(super) benchmark: Option<Size>,
}

/// The measurements, and the strategies in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    /// The latest samples of single writes, for the benchmarks of all sizes: the time, and the cost of a write.
    singles: [Option<(Instant, f64)>; SAMPLES],
    benchmarks: [Benchmark; SIZES],
}

#[derive(Debug, Clone)]
struct Benchmark {
    /// The strategy in use. `None` before the first benchmark.
    result: Option<Strategy>,
    /// The start of the current or next benchmark. Earlier samples do not count. `None` before the first benchmark.
    starts_at: Option<Instant>,
    interval: Duration,
    /// The number of samples of batches.
    batches: usize,
    /// The lowest cost of a write in a batch.
    batch_cost: f64,
    /// The average share of batches that are refused.
    refused: f64,
}

impl Default for Benchmark {
    fn default() -> Self {
        Self {
            result: None,
            starts_at: None,
            interval: FIRST_INTERVAL,
            batches: 0,
            batch_cost: f64::INFINITY,
            refused: 0.0,
        }
    }
}

impl Policy {
    /// How to send `writes`, the number of those that wait or are in flight.
    pub(super) fn choose(&self, writes: usize, now: Instant) -> Choice {
        if writes < SMALLEST_BATCH {
            return Choice { strategy: Strategy::Single, benchmark: None };
        }
        let size = size(writes);
        let benchmark = &self.benchmarks[size.0];
        match benchmark.result {
            Some(strategy) if benchmark.starts_at.is_some_and(|starts_at| now < starts_at) => {
                Choice { strategy, benchmark: None }
            }
            _ => {
                let singles = self.singles_since(benchmark.starts_at).len();
                let strategy = if singles <= benchmark.batches { Strategy::Single } else { Strategy::Batch };
                Choice { strategy, benchmark: Some(size) }
            }
        }
    }

    /// The number of single writes in the next sample.
    pub(super) fn sample_size(&self) -> usize {
        match self.singles_since(None).first() {
            Some(cost) => ((SAMPLE_TIME.as_secs_f64() / cost) as usize).max(FIRST_SAMPLE),
            None => FIRST_SAMPLE,
        }
    }

    /// Records a sample of single writes and the time until all of them were stored.
    pub(super) fn record_single(&mut self, writes: usize, took: Duration, now: Instant) {
        self.singles.rotate_right(1);
        self.singles[0] = Some((now, cost(writes, took)));
        (0..SIZES).for_each(|size| self.evaluate(Size(size), now));
    }

    /// Records a sample of a batch.
    pub(super) fn record_batch(&mut self, size: Size, writes: usize, took: Duration, now: Instant) {
        let benchmark = &mut self.benchmarks[size.0];
        benchmark.batches += 1;
        benchmark.batch_cost = benchmark.batch_cost.min(cost(writes, took));
        self.evaluate(size, now);
    }

    /// Records whether a batch was stored, or refused as a whole because of one of its writes.
    pub(super) fn record_batch_result(&mut self, writes: usize, stored: bool, now: Instant) {
        let benchmark = &mut self.benchmarks[size(writes).0];
        let latest = if stored { 0.0 } else { 1.0 };
        benchmark.refused += REFUSAL_WEIGHT * (latest - benchmark.refused);
        // A refused batch costs its own time, and then that of its writes one by one.
        if benchmark.refused > 0.5 {
            benchmark.refused = 0.0;
            benchmark.finish(Strategy::Single, now);
        }
    }

    /// Whether batches of some size are in use, or nothing is known yet.
    pub(super) fn batches_may_be_faster(&self) -> bool {
        let mut results = self.benchmarks.iter().filter_map(|benchmark| benchmark.result).peekable();
        results.peek().is_none() || results.any(|strategy| strategy == Strategy::Batch)
    }

    /// The costs of a single write in the samples since `start`, in ascending order.
    fn singles_since(&self, start: Option<Instant>) -> Vec<f64> {
        let counts = |(at, _): &(Instant, f64)| start.is_none_or(|start| *at >= start);
        let samples = self.singles.iter().flatten().filter(|sample| counts(sample));
        let mut costs: Vec<f64> = samples.map(|(_, cost)| *cost).collect();
        costs.sort_by(f64::total_cmp);
        costs
    }

    /// Finishes the benchmark of a size, if it has enough samples.
    fn evaluate(&mut self, size: Size, now: Instant) {
        let Benchmark { result, starts_at, batches, batch_cost: batch, .. } = self.benchmarks[size.0];
        let singles = self.singles_since(starts_at);
        let Some(single) = singles.first().map(|single| single / OVERLAP) else {
            return;
        };
        let samples = batches.min(singles.len());
        let clear = single > batch * CLEAR_FACTOR || batch > single * CLEAR_FACTOR;
        if samples < MIN_SAMPLES || (samples < SAMPLES && !clear) {
            return;
        }
        let strategy = match result {
            Some(Strategy::Single) if single <= batch * SWITCH_FACTOR => Strategy::Single,
            Some(Strategy::Batch) if batch <= single * SWITCH_FACTOR => Strategy::Batch,
            _ if batch < single => Strategy::Batch,
            _ => Strategy::Single,
        };
        tracing::debug!(
            size = size.0,
            single_seconds = single,
            batch_seconds = batch,
            ?strategy,
            "measured the cost of a write in seconds"
        );
        // The cost of a write in a batch falls with the size of the batch. So if single writes are cheaper, they are also
        // cheaper for smaller groups; if batches are cheaper, they are also cheaper for larger groups.
        let sizes = match strategy {
            Strategy::Single => 0..size.0 + 1,
            Strategy::Batch => size.0..SIZES,
        };
        self.benchmarks[sizes].iter_mut().for_each(|benchmark| benchmark.finish(strategy, now));
    }
}

impl Benchmark {
    fn finish(&mut self, strategy: Strategy, now: Instant) {
        self.interval = match self.result == Some(strategy) {
            true => (self.interval * 2).min(LONGEST_INTERVAL),
            false => FIRST_INTERVAL,
        };
        self.result = Some(strategy);
        self.starts_at = Some(now + self.interval);
        self.batches = 0;
        self.batch_cost = f64::INFINITY;
    }
}

/// The seconds per write.
fn cost(writes: usize, took: Duration) -> f64 {
    (took.as_secs_f64() / writes.max(1) as f64).max(1e-7)
}

fn size(writes: usize) -> Size {
    let doublings = (writes.max(SMALLEST_BATCH) / SMALLEST_BATCH).ilog2();
    Size((doublings as usize).min(SIZES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server that takes `single` for a single write, and `batch` plus `each` per write for a batch.
    struct Server {
        single: Duration,
        batch: Duration,
        each: Duration,
    }

    impl Server {
        fn synced() -> Self {
            Self { single: Duration::from_micros(185), batch: 3 * MS, each: Duration::from_micros(12) }
        }

        fn lazy() -> Self {
            Self { single: Duration::from_micros(12), batch: 2 * MS, each: Duration::from_micros(15) }
        }

        fn took(&self, strategy: Strategy, writes: usize) -> Duration {
            let count = u32::try_from(writes).unwrap();
            match strategy {
                Strategy::Single => self.single * count,
                Strategy::Batch => self.batch + self.each * count,
            }
        }

        /// Sends `groups` groups of `writes`, each delayed by `noise`. Returns the share of the time that batches took.
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
                let Choice { strategy, benchmark } = policy.choose(writes, *now);
                let writes = if benchmark.is_some() && strategy == Strategy::Single {
                    policy.sample_size().min(writes)
                } else {
                    writes
                };
                let took = self.took(strategy, writes) + noise(group);
                *now += took;
                all += took;
                batches += if strategy == Strategy::Batch { took } else { Duration::ZERO };
                match (strategy, benchmark) {
                    (Strategy::Single, Some(_)) => policy.record_single(writes, took, *now),
                    (Strategy::Batch, Some(size)) => policy.record_batch(size, writes, took, *now),
                    (_, None) => {}
                }
            }
            batches.as_secs_f64() / all.as_secs_f64()
        }
    }

    fn quiet(_group: usize) -> Duration {
        Duration::ZERO
    }

    /// Every third group is delayed by 20 ms.
    fn noisy(group: usize) -> Duration {
        if group % 3 == 1 { 20 * MS } else { Duration::ZERO }
    }

    #[test]
    fn sizes() {
        let sizes = [16, 31, 32, 64, 128, 256, 512, 5000].map(|writes| size(writes).0);
        assert_eq!(sizes, [0, 0, 1, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn few_writes_are_never_sent_as_a_batch() {
        let choice = Policy::default().choose(SMALLEST_BATCH - 1, Instant::now());
        assert_eq!(choice, Choice { strategy: Strategy::Single, benchmark: None });
    }

    /// Records a sample with this cost of a write.
    fn sample(policy: &mut Policy, strategy: Strategy, cost: Duration, now: Instant) {
        match strategy {
            Strategy::Single => policy.record_single(64, cost * 64, now),
            Strategy::Batch => policy.record_batch(size(64), 64, cost * 64, now),
        }
    }

    #[test]
    fn both_strategies_are_sampled_in_turns() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert!(policy.batches_may_be_faster());
        for strategy in [Strategy::Single, Strategy::Batch].repeat(SAMPLES) {
            assert_eq!(policy.choose(64, now), Choice { strategy, benchmark: Some(size(64)) });
            sample(&mut policy, strategy, MS, now);
        }
        assert_eq!(policy.choose(64, now), Choice { strategy: Strategy::Single, benchmark: None });
        assert!(!policy.batches_may_be_faster());
        // The samples of single writes count for other sizes as well.
        assert_eq!(policy.choose(512, now), Choice { strategy: Strategy::Batch, benchmark: Some(size(512)) });
        assert_eq!(
            policy.choose(64, now + FIRST_INTERVAL),
            Choice { strategy: Strategy::Single, benchmark: Some(size(64)) }
        );
    }

    #[test]
    fn a_clear_difference_takes_fewer_samples() {
        for (single, batch, strategy) in [(4 * MS, MS, Strategy::Batch), (MS, 4 * MS, Strategy::Single)] {
            let (mut policy, now) = (Policy::default(), Instant::now());
            for _ in 0..MIN_SAMPLES {
                assert!(policy.choose(64, now).benchmark.is_some());
                sample(&mut policy, Strategy::Single, single, now);
                sample(&mut policy, Strategy::Batch, batch, now);
            }
            assert_eq!(policy.choose(64, now), Choice { strategy, benchmark: None });
        }
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
    fn a_server_that_syncs_rarely_gets_single_writes() {
        for noise in [quiet, noisy] {
            let (mut policy, mut now) = (Policy::default(), Instant::now());
            for writes in [20, 100, 512] {
                let share = Server::lazy().run(&mut policy, &mut now, writes, 2000, noise);
                assert!(share < 0.1, "{writes}: {share}");
            }
        }
    }

    #[test]
    fn small_groups_may_go_singly_while_large_ones_are_batched() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        let server = Server { single: Duration::from_micros(100), ..Server::synced() };
        assert!(server.run(&mut policy, &mut now, 512, 1000, quiet) > 0.9);
        assert!(server.run(&mut policy, &mut now, 16, 1000, quiet) < 0.1);
        assert!(policy.batches_may_be_faster());
    }

    #[test]
    fn a_server_that_changes_is_measured_again() {
        let (mut policy, mut now) = (Policy::default(), Instant::now());
        Server::lazy().run(&mut policy, &mut now, 256, 1000, quiet);
        now += LONGEST_INTERVAL;
        Server::synced().run(&mut policy, &mut now, 256, 10, quiet);
        assert!(Server::synced().run(&mut policy, &mut now, 256, 1000, quiet) > 0.9);
    }

    #[test]
    fn a_small_difference_does_not_switch_the_strategy() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for (single, switched) in [(MS, false), (3 * MS, false), (5 * MS, true)] {
            let now = now
                + if single == MS { Duration::ZERO } else { LONGEST_INTERVAL * single.as_millis() as u32 };
            for _ in 0..SAMPLES {
                sample(&mut policy, Strategy::Single, single, now);
                sample(&mut policy, Strategy::Batch, 2 * MS, now);
            }
            let strategy = if switched { Strategy::Batch } else { Strategy::Single };
            assert_eq!(policy.choose(64, now), Choice { strategy, benchmark: None }, "{single:?}");
        }
    }

    #[test]
    fn batches_that_are_often_refused_are_no_longer_used() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for _ in 0..MIN_SAMPLES {
            sample(&mut policy, Strategy::Single, 4 * MS, now);
            sample(&mut policy, Strategy::Batch, MS, now);
        }
        assert_eq!(policy.choose(64, now), Choice { strategy: Strategy::Batch, benchmark: None });
        policy.record_batch_result(64, false, now);
        assert_eq!(policy.choose(64, now).strategy, Strategy::Batch);
        for _ in 0..10 {
            policy.record_batch_result(64, false, now);
        }
        assert_eq!(policy.choose(64, now), Choice { strategy: Strategy::Single, benchmark: None });
    }
}
