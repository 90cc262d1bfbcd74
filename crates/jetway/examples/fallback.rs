//! Fallback: when a node fails, its `on_failure` edge leads to a node that gets its input and its error.
//!
//! ```text
//! "NOK" ──▶ live ────────────────┬─▶ quote ──▶ "1 NOK is 9 cents"
//!            ┆ on_failure        │
//!            └┄┄┄┄┄┄┄┄┄▶ cached ─┘
//! ```
//!
//! A node fails if it returns an error, panics, or exceeds its time limit. Without this edge, the run would fail.
//!
//! ```sh
//! cargo run -p jetway --example fallback
//! cargo run -p jetway --example fallback -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! 1 EUR is 117 cents
//! 1 NOK is 9 cents (from yesterday: node `live` failed: Generic error: no rate for NOK)
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::{Failure, prelude::*};
use serde::{Deserialize, Serialize};

#[path = "support/run.rs"]
mod support;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rate {
    currency: String,
    cents: u32,
    /// Why it is not the current rate.
    note: Option<String>,
}

node! {
    /// Asks a bank, which does not know all currencies.
    struct Live;
    input = String;
    output = Rate;
    |_ctx, currency| {
        match currency.as_str() {
            "EUR" => Ok(Transition::Next(Rate { currency, cents: 117, note: None })),
            other => Err(Error::Generic(format!("no rate for {other}"))),
        }
    }
}

node! {
    /// With `input = String` this node would get the input of `live`, without the error.
    struct Cached;
    input = Failure<String>;
    output = Rate;
    |_ctx, failure| {
        let note = Some(format!("from yesterday: {failure}"));
        match failure.input.as_str() {
            "NOK" => Ok(Transition::Next(Rate { currency: failure.input, cents: 9, note })),
            // The run fails with this error, because `cached` has no `on_failure` edge.
            other => Err(Error::Generic(format!("unknown currency {other}"))),
        }
    }
}

node! {
    struct Quote;
    input = Rate;
    output = String;
    |_ctx, Rate { currency, cents, note }| {
        let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
        Ok(Transition::Next(format!("1 {currency} is {cents} cents{note}")))
    }
}

workflow! {
    struct Exchange { live: Live, cached: Cached, quote: Quote }
    name = "fallback";
    start = live;
    edges {
        live => [quote];
        live on_failure => [cached];
        cached => [quote];
        quote => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let exchange = Exchange { live: Live, cached: Cached, quote: Quote };
    for line in support::run(exchange, ["EUR".to_owned(), "NOK".to_owned()]).await? {
        println!("{line}");
    }
    Ok(())
}
