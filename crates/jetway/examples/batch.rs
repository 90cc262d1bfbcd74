//! Many small things in few steps: a function splits a list into pages, and each page is one step that works on several
//! things at once.
//!
//! ```text
//!                         ┌─▶ fetch 1 2 3 4 ─┐
//! ids ──▶ pages (of four) ┼─▶ fetch 5 6 7 8 ─┼─▶ total ──▶ the weight of all
//!                         └─▶ fetch 9 10 ────┘  (gathers)
//! ```
//!
//! A step costs a durable write. A step for each thing is right where things are slow or dear; a batch is where there are
//! many and doing a page again does no harm.
//!
//! ```sh
//! cargo run -p jetway --example batch
//! cargo run -p jetway --example batch -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! 3 pages, 10 things, 550 grams
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::Result;
use jetway::{BatchNode, SplitNode, prelude::*};
use std::time::Duration;

#[path = "support/run.rs"]
mod support;

const PAGE: usize = 4;
const AT_ONCE: usize = 2;

/// From a list of ids to pages of ids. A `fn` and not a closure, so that the type can be written down.
type Pages = SplitNode<Vec<u64>, Vec<u64>, fn(Vec<u64>) -> Vec<Vec<u64>>>;

node! {
    /// Looks up the weight of one thing.
    struct Fetch;
    input = u64;
    output = u64;
    |_ctx, id| {
        // Stands for a call to a service, which takes its time.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(Transition::Next(id * 10))
    }
}

node! {
    struct Total;
    input = Vec<Vec<u64>>;
    output = (usize, usize, u64);
    |_ctx, pages| {
        let weights = pages.concat();
        Ok(Transition::Next((pages.len(), weights.len(), weights.iter().sum())))
    }
}

workflow! {
    struct Weighing { pages: Pages, fetch: BatchNode<(), Fetch>, #[gather] total: Total }
    name = "batch";
    start = pages;
    edges {
        pages => [fetch];
        fetch => [total];
        total => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let weighing = Weighing {
        pages: SplitNode::new(|ids: Vec<u64>| ids.chunks(PAGE).map(<[u64]>::to_vec).collect()),
        fetch: BatchNode::new(Fetch, AT_ONCE),
        total: Total,
    };
    let [(pages, things, grams)] = support::run(weighing, [(1..=10).collect()]).await?;
    println!("{pages} pages, {things} things, {grams} grams");
    Ok(())
}
