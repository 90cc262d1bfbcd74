//! Making programs by chance.

use super::{Fault, Join, Op, Plain, Touch};
use rand::{Rng, RngExt};

/// What a program may be made of.
#[derive(Debug, Clone, Copy)]
pub struct Taste {
    /// How many instructions, about.
    pub size: u16,
    /// How deep fan-outs and child runs may nest.
    pub depth: u8,
    /// Whether an instruction may fail for good.
    pub uncaught: bool,
}

/// What is allowed at one place of a program.
#[derive(Debug, Clone, Copy)]
struct Place {
    depth: u8,
    /// The last branch of a held fan-out goes on inside of it, so that one within another join would end elsewhere.
    held: bool,
    /// Within a child run, which gives one output.
    child: bool,
}

/// Makes a program, and counts what it has made.
struct Maker<'a, R> {
    rng: &'a mut R,
    left: u16,
    uncaught: bool,
}

impl Op {
    /// A program made by chance; the same for the same state of `rng`.
    pub fn random(rng: &mut impl Rng, taste: Taste) -> Vec<Self> {
        let mut maker = Maker { rng, left: taste.size, uncaught: taste.uncaught };
        maker.program(Place { depth: taste.depth, held: true, child: false })
    }
}

impl<R: Rng> Maker<'_, R> {
    fn program(&mut self, place: Place) -> Vec<Op> {
        let length = self.rng.random_range(1..=5);
        let mut program = Vec::new();
        for _ in 0..length {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            program.push(self.op(place));
            if program.last() == Some(&Op::Emit) {
                break;
            }
        }
        program
    }

    fn op(&mut self, place: Place) -> Op {
        let nests = place.depth > 0;
        match self.rng.random_range(0..100) {
            0..40 => Op::Work(self.touches()),
            40..46 => Op::Narrow,
            46..51 => Op::Shaky,
            51..56 => Op::Linger(self.rng.random_range(1..=40)),
            56..61 => Op::Again(self.rng.random_range(1..=4)),
            61..67 => Op::Caught(self.fault()),
            67..70 if std::mem::take(&mut self.uncaught) => Op::Uncaught(self.fault()),
            70..86 if nests => self.fan(place, Join::Gathered),
            86..90 if nests && place.held => self.fan(place, Join::Held),
            90..93 if nests && !place.child => self.fan(place, Join::Loose),
            93..98 if nests && !place.child => {
                let inside = Place { depth: place.depth - 1, held: false, child: true };
                Op::Child(self.program(inside))
            }
            98..100 if !place.child => Op::Emit,
            _ => Op::Work(self.touches()),
        }
    }

    fn fan(&mut self, place: Place, join: Join) -> Op {
        let most = if self.rng.random_ratio(1, 12) { 24 } else { 4 };
        // None at all for once: a join of nothing runs as well. A child would have no output then.
        let least = if place.child || self.rng.random_ratio(7, 8) { 1 } else { 0 };
        let count = self.rng.random_range(least..=most);
        let held = place.held && join == Join::Loose;
        let inside = Place { depth: place.depth - 1, held, ..place };
        Op::Fan((0..count).map(|_| self.program(inside)).collect(), join)
    }

    fn fault(&mut self) -> Fault {
        if self.rng.random_ratio(1, 3) { Fault::Panic } else { Fault::Error }
    }

    fn touches(&mut self) -> Vec<Touch> {
        (0..self.rng.random_range(1..=3)).map(|_| self.touch()).collect()
    }

    fn touch(&mut self) -> Touch {
        let number = self.rng.random_range(-9..=9);
        let key = self.rng.random_range(0..6);
        match self.rng.random_range(0..16) {
            0 | 1 => Touch::Count(number),
            2 => Touch::Tag(key),
            3 => Touch::Tally(key, number),
            4 => Touch::Log,
            5 => Touch::Mark,
            6 => Touch::Plain(Plain::Total(number)),
            7 => Touch::Plain(Plain::Ratio(self.rng.random_range(-9..=9))),
            8 => Touch::Plain(Plain::Numbers(self.rng.random())),
            9 => Touch::Plain(Plain::Words(self.rng.random())),
            10 => Touch::Plain(Plain::Table(key, number)),
            11 => Touch::Plain(Plain::Tree(key, number)),
            12 => Touch::Plain(Plain::Names(key)),
            13 => Touch::Plain(Plain::Order(key)),
            14 => Touch::Plain(Plain::Maybe(number)),
            _ => match self.rng.random_bool(0.8) {
                true => Touch::Plain(Plain::Pair(number, self.rng.random())),
                false => Touch::Plain(Plain::Flag),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::StdRng};

    #[test]
    fn a_seed_makes_one_program() {
        let made = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            Op::random(&mut rng, Taste { size: 40, depth: 3, uncaught: true })
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
