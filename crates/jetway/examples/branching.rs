//! Branching: the output of a node is an enum, and each variant leads to another node. A condition splits one variant into
//! two branches.
//!
//! ```text
//!                ┌─ Letter ──────────────▶ stamp ─┐
//!                ├─ Parcel, above 20 kg ─▶ truck ─┤
//! grams ──▶ weigh┤                                ├─▶ shipment
//!                ├─ Parcel ──────────────▶ van ───┤
//!                └─ Nothing ─────────────▶ refuse ┘
//! ```
//!
//! ```sh
//! cargo run -p jetway --example branching
//! cargo run -p jetway --example branching -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! 20 g: a stamp for 85 cents
//! 3000 g: a van
//! 25000 g: a truck with 2 people
//! 0 g: nothing to send
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::prelude::*;

#[path = "support/run.rs"]
mod support;

/// The kind of a shipment. Only the payloads are stored, as inputs of the next nodes.
#[derive(Debug, Clone)]
enum Weighed {
    Letter { cents: u32 },
    Parcel(u32),
    Nothing,
}

node! {
    struct Weigh;
    input = u32;
    output = Weighed;
    |_ctx, grams| {
        Ok(Transition::Next(match grams {
            0 => Weighed::Nothing,
            1..=20 => Weighed::Letter { cents: 85 },
            21..=500 => Weighed::Letter { cents: 160 },
            _ => Weighed::Parcel(grams),
        }))
    }
}

node! {
    struct Stamp;
    input = u32;
    output = String;
    |_ctx, cents| { Ok(Transition::Next(format!("a stamp for {cents} cents"))) }
}

node! {
    struct Van;
    input = u32;
    output = String;
    |_ctx, _grams| { Ok(Transition::Next("a van".to_owned())) }
}

node! {
    struct Truck;
    input = u32;
    output = String;
    |_ctx, grams| {
        let people = grams.div_ceil(20_000);
        Ok(Transition::Next(format!("a truck with {people} people")))
    }
}

node! {
    /// A variant without a payload passes `()`.
    struct Refuse;
    input = ();
    output = String;
    |_ctx, ()| { Ok(Transition::Next("nothing to send".to_owned())) }
}

workflow! {
    struct Branching { weigh: Weigh, stamp: Stamp, van: Van, truck: Truck, refuse: Refuse }
    name = "branching";
    start = weigh;
    edges {
        // The first matching arm is taken. The compiler checks that every variant has an arm.
        weigh => {
            Weighed::Letter { cents } => [stamp];
            Weighed::Parcel(grams) if grams > 20_000 => [truck];
            Weighed::Parcel(grams) => [van];
            Weighed::Nothing => [refuse];
        };
        stamp => [];
        van => [];
        truck => [];
        refuse => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let branching = Branching { weigh: Weigh, stamp: Stamp, van: Van, truck: Truck, refuse: Refuse };
    let weights = [20, 3_000, 25_000, 0];
    let outcomes = support::run(branching, weights).await?;
    for (grams, outcome) in weights.iter().zip(outcomes) {
        println!("{grams} g: {outcome}");
    }
    Ok(())
}
