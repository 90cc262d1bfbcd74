//! Fan-out and gather: one value becomes many, which all hosts process concurrently. A gathering node runs once, when all
//! of them have arrived.
//!
//! ```text
//!                 ┌─▶ count ─┐
//! text ──▶ split ─┼─▶ count ─┼─▶ longest ──▶ the longest line
//!                 └─▶ count ─┘   (gathers)
//! ```
//!
//! ```sh
//! cargo run -p jetway --example fan_out_gather
//! cargo run -p jetway --example fan_out_gather -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! words of 4 lines, in order: 3, 0, 8, 5
//! the longest line has 8 words: no matter which of them is done first
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::prelude::*;
use serde::{Deserialize, Serialize};

#[path = "support/run.rs"]
mod support;

const TEXT: &str = "Values are gathered\n\nno matter which of them is done first\nin the order of sending";

/// A line and its length. Inputs and outputs are stored, so they implement the traits of serde.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    line: String,
    words: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Report {
    words: Vec<usize>,
    longest: Counted,
}

node! {
    struct Split;
    input = String;
    output = String;
    // Opens one branch for each value.
    |_ctx, text| { Ok(Transition::NextAll(text.lines().map(str::to_owned).collect())) }
}

node! {
    struct Count;
    input = String;
    output = Counted;
    |_ctx, line| {
        let words = line.split_whitespace().count();
        Ok(Transition::Next(Counted { line, words }))
    }
}

node! {
    /// Takes a `Vec` of the outputs of all branches, in the order of the lines.
    struct Longest;
    input = Vec<Counted>;
    output = Report;
    |_ctx, lines| {
        let words = lines.iter().map(|line| line.words).collect();
        let longest = lines.into_iter().max_by_key(|line| line.words);
        let longest = longest.ok_or_else(|| Error::Generic("the text has no lines".to_owned()))?;
        Ok(Transition::Next(Report { words, longest }))
    }
}

workflow! {
    struct FanOutGather { split: Split, count: Count, #[gather] longest: Longest }
    name = "fan-out-gather";
    start = split;
    edges {
        split => [count];
        count => [longest];
        longest => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let workflow = FanOutGather { split: Split, count: Count, longest: Longest };
    let [Report { words, longest }] = support::run(workflow, [TEXT.to_owned()]).await?;
    let each: Vec<_> = words.iter().map(ToString::to_string).collect();
    println!("words of {} lines, in order: {}", words.len(), each.join(", "));
    println!("the longest line has {} words: {}", longest.words, longest.line);
    Ok(())
}
