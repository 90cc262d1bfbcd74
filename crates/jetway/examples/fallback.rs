//! What to do when a node fails: an `on_failure` edge leads to a node that is told its input and its error.
//!
//! ```text
//! "NOK" ──▶ live ────────────────┬─▶ quote ──▶ "1 NOK is 9 cents"
//!            ┆ on_failure        │
//!            └┄┄┄┄┄┄┄┄┄▶ cached ─┘
//! ```
//!
//! A node fails by an error, a panic, or by taking too long. Without the edge, the run would have failed.
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
//! 1 NOK is 9 cents (of yesterday: node `live` failed: Generic error: the bank says nothing about NOK)
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::Result;
use jetway::{Failure, prelude::*};
use serde::{Deserialize, Serialize};

#[path = "support/run.rs"]
mod support;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rate {
    currency: String,
    cents: u32,
    /// Why it is not the rate of today.
    doubt: Option<String>,
}

node! {
    /// Asks a bank, which does not always know.
    struct Live;
    input = String;
    output = Rate;
    |_ctx, currency| {
        match currency.as_str() {
            "EUR" => Ok(Transition::Next(Rate { currency, cents: 117, doubt: None })),
            other => Err(Error::Generic(format!("the bank says nothing about {other}"))),
        }
    }
}

node! {
    /// With `input = String` it would be given the input of `live` and not the error.
    struct Cached;
    input = Failure<String>;
    output = Rate;
    |_ctx, failure| {
        let doubt = Some(format!("of yesterday: {failure}"));
        match failure.input.as_str() {
            "NOK" => Ok(Transition::Next(Rate { currency: failure.input, cents: 9, doubt })),
            // The run fails with this error: no edge catches it.
            other => Err(Error::Generic(format!("{other} is no currency"))),
        }
    }
}

node! {
    struct Quote;
    input = Rate;
    output = String;
    |_ctx, Rate { currency, cents, doubt }| {
        let doubt = doubt.map(|doubt| format!(" ({doubt})")).unwrap_or_default();
        Ok(Transition::Next(format!("1 {currency} is {cents} cents{doubt}")))
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
