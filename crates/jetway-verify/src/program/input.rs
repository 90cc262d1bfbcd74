//! What a run is started with.

use super::{Frame, GeneratorConfig, Op, Wait};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;
use std::time::Duration;

/// The input of a run: a program, and what distinguishes the run from others with the same program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Decides the program.
    pub seed: u64,
    /// Travels with every frame of the run and of its child runs, and is part of every digest. So each step, output and
    /// execution shows which run it belongs to, whatever the engine says. It is never 0.
    pub mark: u64,
    /// Whether the program begins with a step that takes time, and maybe a child run that does: the run can be replaced
    /// meanwhile.
    pub lingers: bool,
}

impl Input {
    /// The input of a run whose id is used once.
    pub fn once(seed: u64) -> Self {
        Self { seed, mark: 1, lingers: false }
    }

    /// One of several inputs for the same run id.
    pub fn lingering(seed: u64, mark: u64) -> Self {
        Self { seed, mark: mark.max(1), lingers: true }
    }

    /// The program.
    pub fn program(&self) -> Vec<Op> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let config = GeneratorConfig {
            size: rng.random_range(1..60),
            depth: rng.random_range(0..=3),
            uncaught: rng.random_ratio(1, 8),
            // Nobody disarms the alarms of a run whose record is removed.
            far: !self.lingers,
            // Nor would anybody know which of the runs with one id a signal is for.
            listens: !self.lingers && rng.random_ratio(2, 3),
            anew: if rng.random_ratio(1, 4) { rng.random_range(1..=4) } else { 0 },
        };
        let mut program = Op::random(&mut rng, config);
        if self.deadline().is_some() && rng.random() {
            // Only its deadline ends the run.
            program.push(Op::Wait(Wait::After(rng.random_range(3_600_000..=10_800_000))));
        }
        if self.lingers {
            if rng.random() {
                program.insert(0, Op::Child(vec![Op::Slow(rng.random_range(50..=1500))]));
            }
            program.insert(0, Op::Slow(rng.random_range(50..=1500)));
        }
        program
    }

    /// How long the run may take, if its client says so. Nobody disarms the alarms of a run whose record is removed.
    pub fn deadline(&self) -> Option<Duration> {
        let mut rng = StdRng::seed_from_u64(self.seed.rotate_left(17));
        let hurries = !self.lingers && rng.random_ratio(1, 10);
        hurries.then(|| Duration::from_millis(rng.random_range(100..=4000)))
    }

    /// The first frame.
    pub fn frame(&self) -> Frame {
        Frame::new(self.program(), self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference_model::Expected;

    #[test]
    fn runs_of_one_program_have_other_outputs() {
        for seed in 0..100 {
            let [one, two] = [7, 8].map(|mark| Expected::of(Input::lingering(seed, mark).frame()));
            assert_eq!(one.steps.keys().collect::<Vec<_>>(), two.steps.keys().collect::<Vec<_>>());
            // An empty join begins anew: nothing has led there.
            let told =
                |of: &Expected| of.outputs.iter().filter(|output| output.1 != 0).cloned().collect::<Vec<_>>();
            assert!(told(&one).iter().all(|output| !told(&two).contains(output)), "seed {seed}");
        }
    }
}
