//! Generates random programs.

use super::{Change, Deadline, Fault, Haste, Join, Limit, Listen, Op, SIGNALS, ValueChange, Wait};
use rand::{Rng, RngExt};

/// What a program may consist of.
#[derive(Debug, Clone, Copy)]
pub struct GeneratorConfig {
    /// The approximate number of instructions.
    pub size: u16,
    /// How deeply fan-outs and child runs may be nested.
    pub depth: u8,
    /// Whether one instruction may fail the run.
    pub uncaught: bool,
    /// Whether a branch may wait for hours beside the instruction that fails the run.
    pub far: bool,
    /// Whether the run waits for signals.
    pub listens: bool,
    /// How often the run continues as new at most.
    pub anew: u8,
}

/// What is allowed at a position of a program.
#[derive(Debug, Clone, Copy)]
struct Place {
    depth: u8,
    /// Whether a held join is allowed. Its last branch continues inside the fan-out, so within another join it would end
    /// at the wrong place.
    held: bool,
    /// Whether this is the program of a child run, which has one output.
    child: bool,
}

/// Generates a program and counts its instructions.
struct Generator<'a, R> {
    rng: &'a mut R,
    left: u16,
    uncaught: bool,
    far: bool,
    listens: bool,
}

impl Op {
    /// A random program. The same state of `rng` gives the same program.
    pub fn random(rng: &mut impl Rng, config: GeneratorConfig) -> Vec<Self> {
        let GeneratorConfig { size, uncaught, far, listens, .. } = config;
        let mut generator = Generator { rng, left: size, uncaught, far, listens };
        generator.chain(Place { depth: config.depth, held: true, child: false }, config.anew)
    }
}

impl<R: Rng> Generator<'_, R> {
    /// A program that continues as new so often at most. Half of the incarnations do what the one before did, as loops do, so that their
    /// work items have the same names.
    fn chain(&mut self, place: Place, most: u8) -> Vec<Op> {
        let mut round = self.program(place);
        let mut program = round.clone();
        for _ in 0..most {
            // Nothing would follow.
            if program.last() == Some(&Op::Emit) {
                program.pop();
            }
            if self.rng.random() {
                round = self.program(place);
            }
            program.push(Op::Anew);
            program.extend(round.iter().cloned());
        }
        program
    }

    fn program(&mut self, place: Place) -> Vec<Op> {
        let length = self.rng.random_range(1..=5);
        let mut program = Vec::new();
        for _ in 0..length {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let op = match program.last() {
                Some(Op::Wait(_)) => match self.after_wait(place) {
                    Some(op) => op,
                    // What follows the program waits: a join, or the end of the run.
                    None => break,
                },
                _ => self.op(place),
            };
            program.push(op);
            if program.last() == Some(&Op::Emit) {
                break;
            }
        }
        program
    }

    /// What follows a wait: more often that for which a wait is special.
    fn after_wait(&mut self, place: Place) -> Option<Op> {
        Some(match self.rng.random_range(0..10) {
            0 => Op::Bounded,
            1 => self.listen(place),
            2 | 3 if place.depth > 0 => self.split(place),
            4 if place.depth > 0 => self.fan(place, Join::Gathered),
            5 => return None,
            _ => self.op(place),
        })
    }

    fn op(&mut self, place: Place) -> Op {
        let nests = place.depth > 0;
        match self.rng.random_range(0..100) {
            0..14 => Op::Work(self.changes()),
            14..21 => self.listen(place),
            21..25 => self.limited(),
            25..37 => Op::Wait(self.wait()),
            37..40 if nests => self.split(place),
            40..46 => Op::Bounded,
            46..51 => Op::Flaky,
            51..56 => Op::Slow(self.rng.random_range(1..=40)),
            56..61 => Op::Again(self.rng.random_range(1..=4)),
            61..67 => Op::Caught(self.fault()),
            67..70 if std::mem::take(&mut self.uncaught) => self.uncaught(place),
            70..86 if nests => self.fan(place, Join::Gathered),
            86..90 if nests && place.held => self.fan(place, Join::Held),
            90..93 if nests && !place.child => self.fan(place, Join::Loose),
            93..98 if nests && !place.child => {
                let inside = Place { depth: place.depth - 1, held: false, child: true };
                let anew = if self.rng.random_ratio(1, 4) { self.rng.random_range(1..=2) } else { 0 };
                Op::Child(self.chain(inside, anew))
            }
            98..100 if !place.child => Op::Emit,
            _ => Op::Work(self.changes()),
        }
    }

    fn fan(&mut self, place: Place, join: Join) -> Op {
        let most = if self.rng.random_ratio(1, 12) { 24 } else { 4 };
        // Sometimes no branch at all: an empty join runs as well. A child run would have no output then.
        let least = if place.child || self.rng.random_ratio(7, 8) { 1 } else { 0 };
        let count = self.rng.random_range(least..=most);
        let held = place.held && join == Join::Loose;
        let inside = Place { depth: place.depth - 1, held, ..place };
        Op::Fan((0..count).map(|_| self.program(inside)).collect(), join)
    }

    fn split(&mut self, place: Place) -> Op {
        let inside = Place { depth: place.depth - 1, held: false, ..place };
        Op::Split([self.program(inside), self.program(inside)])
    }

    /// A step that fails the run, sometimes while another branch waits for hours.
    fn uncaught(&mut self, place: Place) -> Op {
        let uncaught = Op::Uncaught(self.fault());
        if !self.far || place.depth == 0 || self.rng.random() {
            return uncaught;
        }
        let hours = Wait::After(self.rng.random_range(3_600_000..=10_800_000));
        Op::Split([vec![Op::Wait(hours)], vec![Op::Wait(self.wait()), uncaught]])
    }

    fn wait(&mut self) -> Wait {
        let millis = match self.rng.random_range(0..20) {
            0 => 0,
            1..6 => self.rng.random_range(1..=50),
            6..19 => self.rng.random_range(51..=1500),
            _ => self.rng.random_range(2500..=3500),
        };
        if self.rng.random_ratio(1, 4) { Wait::At(millis) } else { Wait::After(millis) }
    }

    /// Nobody knows the ids of child runs, so that nobody sends them signals.
    fn listen(&mut self, place: Place) -> Op {
        if place.child || !self.listens {
            return Op::Work(self.changes());
        }
        let mut names = vec![0, 1, 2];
        names.remove(self.rng.random_range(0..names.len()));
        if self.rng.random() {
            names.remove(self.rng.random_range(0..names.len()));
        } else if self.rng.random_ratio(1, 3) {
            names = (0..3).collect();
        }
        debug_assert!(names.len() <= SIGNALS.len(), "each name has a place");
        let millis = match self.rng.random_range(0..12) {
            0 => 0,
            1..6 => self.rng.random_range(1..=80),
            _ => self.rng.random_range(81..=900),
        };
        let deadline = match self.rng.random_range(0..4) {
            0 | 1 => None,
            2 => Some(Deadline::Within(millis)),
            _ => Some(Deadline::Until(millis)),
        };
        Op::Listen(Listen { names, all: self.rng.random(), deadline })
    }

    fn limited(&mut self) -> Op {
        let limit = Limit::ALL[self.rng.random_range(0..Limit::ALL.len())];
        Op::Limited(
            limit,
            match self.rng.random_range(0..4) {
                0 => Haste::WhenTold,
                1 => Haste::Never,
                _ => Haste::InTime,
            },
        )
    }

    fn fault(&mut self) -> Fault {
        if self.rng.random_ratio(1, 3) { Fault::Panic } else { Fault::Error }
    }

    fn changes(&mut self) -> Vec<Change> {
        (0..self.rng.random_range(1..=3)).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let number = self.rng.random_range(-9..=9);
        let key = self.rng.random_range(0..6);
        match self.rng.random_range(0..16) {
            0 | 1 => Change::Count(number),
            2 => Change::Tag(key),
            3 => Change::Tally(key, number),
            4 => Change::Log,
            5 => Change::Mark,
            6 => Change::Value(ValueChange::Total(number)),
            7 => Change::Value(ValueChange::Ratio(self.rng.random_range(-9..=9))),
            8 => Change::Value(ValueChange::Numbers(self.rng.random())),
            9 => Change::Value(ValueChange::Words(self.rng.random())),
            10 => Change::Value(ValueChange::Table(key, number)),
            11 => Change::Value(ValueChange::Tree(key, number)),
            12 => Change::Value(ValueChange::Names(key)),
            13 => Change::Value(ValueChange::Order(key)),
            14 => Change::Value(ValueChange::Maybe(number)),
            _ => match self.rng.random_bool(0.8) {
                true => Change::Value(ValueChange::Pair(number, self.rng.random())),
                false => Change::Value(ValueChange::Flag),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn the_same_seed_gives_the_same_program() {
        let generated = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            Op::random(
                &mut rng,
                GeneratorConfig { size: 40, depth: 3, uncaught: true, far: true, listens: true, anew: 2 },
            )
        };
        assert_eq!(generated(1), generated(1));
        assert_ne!(generated(1), generated(2));
    }
}
