//! Child runs: the node `ChildRun` starts a run of another workflow and waits for it without occupying a worker.
//!
//! ```text
//!                                   ┌ run of `booking` ┐
//! trip ──▶ plan ──▶ per leg   ──▶   │ reserve ──▶ pay  │ ──▶ itinerary (gathers)
//!                      │            └──────────────────┘        ▲
//!                      └────────── on_failure ──▶ walk ─────────┘
//! ```
//!
//! On a server, each booking is a run with its own id, status and span, and any host that serves `booking` can process it.
//! If a booking fails, the step that waits for it fails, and its fallback is taken. Cancelling the trip would cancel its
//! bookings. Without a server, a booking runs within the step.
//!
//! ```sh
//! cargo run -p jetway --example child_runs
//! cargo run -p jetway --example child_runs -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! Oslo to Bergen by train
//! Bergen to Voss on foot: child run failed, no seats to Voss
//! Voss to Myrdal by train
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::{Context as _, Result};
use jetway::{ChildRun, Failure, NatsConfig, client::StartOptions, prelude::*};
use std::time::Duration;

#[path = "support/arguments.rs"]
mod arguments;

type Leg = (String, String);

node! {
    struct Reserve;
    input = Leg;
    output = Leg;
    |_ctx, leg| {
        let full = leg.1 == "Voss";
        if full { Err(Error::Generic(format!("no seats to {}", leg.1))) } else { Ok(Transition::Next(leg)) }
    }
}

node! {
    struct Pay;
    input = Leg;
    output = String;
    |_ctx, (from, to)| { Ok(Transition::Next(format!("{from} to {to} by train"))) }
}

workflow! {
    /// The workflow of the child runs. It may have its own context; here it has none.
    struct Booking { reserve: Reserve, pay: Pay }
    name = "booking";
    start = reserve;
    edges { reserve => [pay]; pay => []; }
}

node! {
    struct Plan;
    input = Vec<String>;
    output = Leg;
    |_ctx, stops| {
        let legs = stops.windows(2).map(|leg| (leg[0].clone(), leg[1].clone()));
        Ok(Transition::NextAll(legs.collect()))
    }
}

node! {
    struct Walk;
    input = Failure<Leg>;
    output = String;
    |_ctx, failure| {
        let (from, to) = failure.input;
        // The message ends with the error of the child. The text before it depends on where the child ran.
        let why = failure.message.rsplit(": ").next().unwrap_or_default().to_owned();
        Ok(Transition::Next(format!("{from} to {to} on foot: child run failed, {why}")))
    }
}

node! {
    struct Itinerary;
    input = Vec<String>;
    output = Vec<String>;
    |_ctx, legs| { Ok(Transition::Next(legs)) }
}

workflow! {
    struct Trip {
        plan: Plan,
        /// `()` is the initial context of the child runs.
        book: ChildRun<(), Booking>,
        walk: Walk,
        #[gather]
        itinerary: Itinerary,
    }
    name = "trip";
    start = plan;
    edges {
        plan => [book];
        book => [itinerary];
        book on_failure => [walk];
        walk => [itinerary];
        itinerary => [];
    }
}

fn trip() -> Trip {
    let book = ChildRun::new(Booking { reserve: Reserve, pay: Pay });
    Trip { plan: Plan, book, walk: Walk, itinerary: Itinerary }
}

#[tokio::main]
async fn main() -> Result<()> {
    let stops = ["Oslo", "Bergen", "Voss", "Myrdal"].map(ToOwned::to_owned).to_vec();
    let legs = match arguments::nats(trip().to_dot())? {
        None => trip().run(&WorkflowCtx::new(()), stops).await?,
        Some(nats) => with_hosts(nats, stops).await?,
    };
    for leg in legs {
        println!("{leg}");
    }
    Ok(())
}

async fn with_hosts(nats: NatsConfig, stops: Vec<String>) -> Result<Vec<String>> {
    // A host has to serve the workflow of the child runs: this one or another one.
    let host = Host::builder()
        .nats_config(nats.clone())
        .workflow(trip())
        .workflow(Booking { reserve: Reserve, pay: Pay })
        .build()
        .await?
        .start()
        .await?;
    let client = Client::connect_with(nats).await?;
    let run = client.start("trip", &stops, &StartOptions::default()).await?;
    let done = client.result(&run, Duration::from_secs(60)).await?;
    host.drain().await;
    let output = done.output.with_context(|| format!("the run is {}: {:?}", done.status, done.error))?;
    Ok(output.read()?)
}
