//! A loop with an exit: a node improves a value, and runs again until the value is good enough.
//!
//! ```text
//!                 ┌──────────┐ Again
//!                 ▼          │
//! 1764 ──▶ first ──▶ improve ┤
//!                            └─ Done ──▶ report ──▶ "the root of 1764 is 42, found in 7 rounds"
//! ```
//!
//! Each round is a step, so after a crash the loop continues with the current round.
//!
//! ```sh
//! cargo run -p jetway --example loop_with_exit
//! cargo run -p jetway --example loop_with_exit -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! the root of 1764 is 42, found in 7 rounds
//! the root of 144 is 12, found in 5 rounds
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::prelude::*;
use serde::{Deserialize, Serialize};

#[path = "support/run.rs"]
mod support;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Guess {
    of: u64,
    root: u64,
    rounds: u32,
}

#[derive(Debug, Clone)]
enum Round {
    Again(Guess),
    Done(Guess),
}

node! {
    struct First;
    input = u64;
    output = Guess;
    |_ctx, of| { Ok(Transition::Next(Guess { of, root: of, rounds: 0 })) }
}

node! {
    /// Newton's method: the mean of `root` and `of / root` is a better guess, until it no longer gets smaller.
    struct Improve;
    input = Guess;
    output = Round;
    |_ctx, guess| {
        let other = guess.of.checked_div(guess.root).unwrap_or_default();
        let better = guess.root.midpoint(other);
        Ok(Transition::Next(if better < guess.root {
            Round::Again(Guess { root: better, rounds: guess.rounds + 1, ..guess })
        } else {
            Round::Done(guess)
        }))
    }
}

node! {
    struct Report;
    input = Guess;
    output = String;
    |_ctx, Guess { of, root, rounds }| {
        Ok(Transition::Next(format!("the root of {of} is {root}, found in {rounds} rounds")))
    }
}

workflow! {
    struct Root { first: First, improve: Improve, report: Report }
    name = "loop-with-exit";
    start = first;
    edges {
        first => [improve];
        improve => {
            Round::Again(guess) => [improve];
            Round::Done(guess) => [report];
        };
        report => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let root = Root { first: First, improve: Improve, report: Report };
    for line in support::run(root, [1764, 144]).await? {
        println!("{line}");
    }
    Ok(())
}
