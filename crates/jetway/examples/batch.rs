//! Many small tasks in few steps: a function splits a list into pages. Each page is one step, which processes several ids
//! concurrently.
//!
//! ```text
//!                         ┌─▶ fetch 1 2 3 4 ─┐
//! ids ──▶ pages (of four) ┼─▶ fetch 5 6 7 8 ─┼─▶ total ──▶ the total weight
//!                         └─▶ fetch 9 10 ────┘  (gathers)
//! ```
//!
//! Each step costs a durable write. Use one step per item if an item is slow or expensive. Use a batch if there are many
//! items and repeating a page after a crash does no harm.
//!
//! ```sh
//! cargo run -p jetway --example batch
//! cargo run -p jetway --example batch -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! 3 pages, 10 parcels, 550 grams
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::{BatchNode, SplitNode, prelude::*};
use std::time::Duration;

#[path = "support/run.rs"]
mod support;

const PAGE: usize = 4;
const CONCURRENT: usize = 2;

/// Splits a list of ids into pages. A `fn` pointer instead of a closure, so that the type has a name.
type Pages = SplitNode<Vec<u64>, Vec<u64>, fn(Vec<u64>) -> Vec<Vec<u64>>>;

node! {
    /// Looks up the weight of one parcel.
    struct Fetch;
    input = u64;
    output = u64;
    |_ctx, id| {
        // Simulates a call to a service.
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
        fetch: BatchNode::new(Fetch, CONCURRENT),
        total: Total,
    };
    let [(pages, parcels, grams)] = support::run(weighing, [(1..=10).collect()]).await?;
    println!("{pages} pages, {parcels} parcels, {grams} grams");
    Ok(())
}
