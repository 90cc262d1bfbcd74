//! One value becomes many, which are worked on at the same time, by all hosts that there are; and a node that runs once
//! when all of them have arrived.
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
//! 4 lines were counted, in their order: 3, 0, 8, 5
//! the longest has 8 words: no matter which of them is done first
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::Result;
use jetway::prelude::*;
use serde::{Deserialize, Serialize};

#[path = "support/run.rs"]
mod support;

const TEXT: &str = "Values are gathered\n\nno matter which of them is done first\nin the order of sending";

/// What is known of a line. Inputs and outputs are encoded, so they are serde's.
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
    // One branch for each value.
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
    /// Takes a `Vec` of what the edges to it carry, in the order in which `split` gave the lines.
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
    println!("{} lines were counted, in their order: {}", words.len(), each.join(", "));
    println!("the longest has {} words: {}", longest.words, longest.line);
    Ok(())
}
