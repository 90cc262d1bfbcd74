//! Which way a group of writes goes: one by one, or as one batch. Learned by measuring, with no clock of its own.
//!
//! A single write costs the same whatever the others do: nearly nothing where the server syncs now and then, a sync where
//! it syncs always. A batch costs a few milliseconds and one sync, so the cost of a write in it falls with its size. So
//! there is one contest for each size of batch: the two ways take turns, alone on the connection, and the cheaper one is
//! taken until the next contest. Contests become rare as long as they end in the same way. Of the turns of each way the
//! best one counts: a pause of the server or of this machine makes a turn look dearer than it is, and nothing makes one
//! look cheaper.

use std::time::{Duration, Instant};

/// Fewer writes than this never go as a batch.
pub(super) const SMALLEST_BATCH: usize = 16;

/// Sizes of batches: 16 to 31, 32 to 63, 64 to 127, 128 to 255, and from 256 on.
const SIZES: usize = 5;
/// How often each way takes its turn, where the difference is not plain to see.
const TURNS: usize = 3;
/// So many turns of each are enough where one way is this much cheaper.
const ENOUGH: usize = 2;
const PLAIN_TO_SEE: f64 = 3.0;
/// By how much the other way has to be cheaper to overturn a verdict.
const OVERTURN: f64 = 1.3;
/// Outside of contests single writes overlap with the ones before and after them, which makes them cheaper by about this.
const OVERLAP: f64 = 1.25;
/// How many single writes make up a turn as long as nobody knows what one costs, and then: about as many as fit in this
/// time. Many are needed to see through the time that one round trip takes, and few are wanted where each costs a sync.
const FIRST_TURN: usize = 64;
const TURN: Duration = Duration::from_millis(20);
/// How long a verdict stands at first, and at last.
const FIRST_REST: Duration = Duration::from_secs(2);
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
    /// The latest turns of single writes, which count in the contests of all sizes: when, and the cost of a write.
    singles: [Option<(Instant, f64)>; TURNS],
    contests: [Contest; SIZES],
}

#[derive(Debug, Clone)]
struct Contest {
    verdict: Option<Way>,
    /// When it began, or is to begin; turns before then do not count. `None` before the first one.
    begins: Option<Instant>,
    rest: Duration,
    batches: usize,
    /// The best cost of a write in a batch.
    best: f64,
    /// The share of batches that are refused.
    refused: f64,
}

impl Default for Contest {
    fn default() -> Self {
        Self { verdict: None, begins: None, rest: FIRST_REST, batches: 0, best: f64::INFINITY, refused: 0.0 }
    }
}

impl Policy {
    /// How `writes` should go that wait or are under way.
    pub(super) fn choose(&self, writes: usize, now: Instant) -> Choice {
        if writes < SMALLEST_BATCH {
            return Choice { way: Way::Single, contest: None };
        }
        let size = size(writes);
        let contest = &self.contests[size.0];
        match contest.verdict {
            Some(way) if contest.begins.is_some_and(|begins| now < begins) => Choice { way, contest: None },
            _ => {
                let singles = self.singles_since(contest.begins).len();
                let way = if singles <= contest.batches { Way::Single } else { Way::Batch };
                Choice { way, contest: Some(size) }
            }
        }
    }

    /// How many single writes make up the next turn.
    pub(super) fn turn(&self) -> usize {
        match self.singles_since(None).first() {
            Some(cost) => ((TURN.as_secs_f64() / cost) as usize).max(FIRST_TURN),
            None => FIRST_TURN,
        }
    }

    /// Single writes took their turn: after so long all of them were stored.
    pub(super) fn single(&mut self, writes: usize, took: Duration, now: Instant) {
        self.singles.rotate_right(1);
        self.singles[0] = Some((now, cost(writes, took)));
        (0..SIZES).for_each(|size| self.judge(Size(size), now));
    }

    /// A batch took its turn.
    pub(super) fn batch(&mut self, size: Size, writes: usize, took: Duration, now: Instant) {
        let contest = &mut self.contests[size.0];
        contest.batches += 1;
        contest.best = contest.best.min(cost(writes, took));
        self.judge(size, now);
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
        let mut verdicts = self.contests.iter().filter_map(|contest| contest.verdict).peekable();
        verdicts.peek().is_none() || verdicts.any(|way| way == Way::Batch)
    }

    /// The costs of a single write in the turns that count, the lowest first.
    fn singles_since(&self, begins: Option<Instant>) -> Vec<f64> {
        let counts = |(at, _): &(Instant, f64)| begins.is_none_or(|begins| *at >= begins);
        let turns = self.singles.iter().flatten().filter(|turn| counts(turn));
        let mut costs: Vec<f64> = turns.map(|(_, cost)| *cost).collect();
        costs.sort_by(f64::total_cmp);
        costs
    }

    fn judge(&mut self, size: Size, now: Instant) {
        let Contest { verdict, begins, batches, best: batch, .. } = self.contests[size.0];
        let singles = self.singles_since(begins);
        let Some(single) = singles.first().map(|single| single / OVERLAP) else {
            return;
        };
        let turns = batches.min(singles.len());
        let plain = single > batch * PLAIN_TO_SEE || batch > single * PLAIN_TO_SEE;
        if turns < ENOUGH || (turns < TURNS && !plain) {
            return;
        }
        let way = match verdict {
            Some(Way::Single) if single <= batch * OVERTURN => Way::Single,
            Some(Way::Batch) if batch <= single * OVERTURN => Way::Batch,
            _ if batch < single => Way::Batch,
            _ => Way::Single,
        };
        tracing::debug!(
            size = size.0,
            single,
            batch,
            ?way,
            "the cheaper way to write, by the seconds for one write"
        );
        // The cost of a write in a batch falls with the batch's size, so the verdict holds for smaller ones as well, or
        // for larger ones.
        let others = match way {
            Way::Single => 0..size.0 + 1,
            Way::Batch => size.0..SIZES,
        };
        self.contests[others].iter_mut().for_each(|contest| contest.end(way, now));
    }
}

impl Contest {
    fn end(&mut self, way: Way, now: Instant) {
        self.rest = if self.verdict == Some(way) { (self.rest * 2).min(LAST_REST) } else { FIRST_REST };
        self.verdict = Some(way);
        self.begins = Some(now + self.rest);
        self.batches = 0;
        self.best = f64::INFINITY;
    }
}

/// The seconds that one write took up.
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

    /// A server that takes `single` for a single write, and `batch` plus `each` for each write of a batch.
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
                let writes =
                    if contest.is_some() && way == Way::Single { policy.turn().min(writes) } else { writes };
                let took = self.took(way, writes) + noise(group);
                *now += took;
                all += took;
                batches += if way == Way::Batch { took } else { Duration::ZERO };
                match (way, contest) {
                    (Way::Single, Some(_)) => policy.single(writes, took, *now),
                    (Way::Batch, Some(size)) => policy.batch(size, writes, took, *now),
                    (_, None) => {}
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
        assert_eq!(choice, Choice { way: Way::Single, contest: None });
    }

    /// A turn in which a write took so long.
    fn turn(policy: &mut Policy, way: Way, cost: Duration, now: Instant) {
        match way {
            Way::Single => policy.single(64, cost * 64, now),
            Way::Batch => policy.batch(size(64), 64, cost * 64, now),
        }
    }

    #[test]
    fn both_ways_take_their_turns() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        assert!(policy.groups_pay());
        for way in [Way::Single, Way::Batch].repeat(TURNS) {
            assert_eq!(policy.choose(64, now), Choice { way, contest: Some(size(64)) });
            turn(&mut policy, way, MS, now);
        }
        assert_eq!(policy.choose(64, now), Choice { way: Way::Single, contest: None });
        assert!(!policy.groups_pay());
        // The turns of single writes count for other sizes as well.
        assert_eq!(policy.choose(512, now), Choice { way: Way::Batch, contest: Some(size(512)) });
        assert_eq!(policy.choose(64, now + FIRST_REST), Choice { way: Way::Single, contest: Some(size(64)) });
    }

    #[test]
    fn what_is_plain_to_see_takes_fewer_turns() {
        for (single, batch, way) in [(4 * MS, MS, Way::Batch), (MS, 4 * MS, Way::Single)] {
            let (mut policy, now) = (Policy::default(), Instant::now());
            for _ in 0..ENOUGH {
                assert!(policy.choose(64, now).contest.is_some());
                turn(&mut policy, Way::Single, single, now);
                turn(&mut policy, Way::Batch, batch, now);
            }
            assert_eq!(policy.choose(64, now), Choice { way, contest: None });
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
        let server = Server { single: Duration::from_micros(100), ..Server::synced() };
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
    fn a_verdict_is_not_overturned_for_a_trifle() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for (single, overturned) in [(MS, false), (3 * MS, false), (5 * MS, true)] {
            let now = now + if single == MS { Duration::ZERO } else { LAST_REST * single.as_millis() as u32 };
            for _ in 0..TURNS {
                turn(&mut policy, Way::Single, single, now);
                turn(&mut policy, Way::Batch, 2 * MS, now);
            }
            let way = if overturned { Way::Batch } else { Way::Single };
            assert_eq!(policy.choose(64, now), Choice { way, contest: None }, "{single:?}");
        }
    }

    #[test]
    fn batches_that_are_refused_again_and_again_are_given_up() {
        let (mut policy, now) = (Policy::default(), Instant::now());
        for _ in 0..ENOUGH {
            turn(&mut policy, Way::Single, 4 * MS, now);
            turn(&mut policy, Way::Batch, MS, now);
        }
        assert_eq!(policy.choose(64, now), Choice { way: Way::Batch, contest: None });
        policy.batched(64, false, now);
        assert_eq!(policy.choose(64, now).way, Way::Batch);
        for _ in 0..10 {
            policy.batched(64, false, now);
        }
        assert_eq!(policy.choose(64, now), Choice { way: Way::Single, contest: None });
    }
}
