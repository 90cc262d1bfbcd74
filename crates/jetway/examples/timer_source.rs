//! Time that starts runs: a task ticks into a channel, and each value that comes out of it is a run.
//!
//! ```text
//! every 20 ms ──▶ channel ──▶ heat ──▶ check ──▶ "tick 1: 18 °C"
//!                           (a run for each value)
//! ```
//!
//! Within this process a `source` runs the workflow for one value after the other. On a server the ticking program starts
//! runs; each bears the name of its tick, so that several such programs do not start it twice.
//!
//! ```sh
//! cargo run -p jetway --example timer_source
//! cargo run -p jetway --example timer_source -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! tick 1: 18 °C
//! tick 2: 19 °C
//! tick 3: 20 °C, warm enough
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::{Context as _, Result};
use jetway::{NatsConfig, RunId, client::StartOptions, prelude::*, source};
use std::{ops::ControlFlow, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

#[path = "support/arguments.rs"]
mod arguments;

/// How many values wait in the channel for a run that takes long; then the ticking waits too.
const CAPACITY: usize = 4;

node! {
    struct Heat;
    input = u32;
    output = (u32, u32);
    |_ctx, tick| { Ok(Transition::Next((tick, 17 + tick))) }
}

node! {
    struct Check { enough: u32 }
    input = (u32, u32);
    output = String;
    |_ctx, (tick, degrees)| {
        let enough = if degrees >= self.enough { ", warm enough" } else { "" };
        Ok(Transition::Next(format!("tick {tick}: {degrees} °C{enough}")))
    }
}

workflow! {
    struct Heating { heat: Heat, check: Check }
    name = "timer-source";
    start = heat;
    edges { heat => [check]; check => []; }
}

/// Ticks three times; the channel is closed when this ends.
async fn tick(ticks: mpsc::Sender<u32>) -> Result<()> {
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1..=3 {
        clock.tick().await;
        ticks.send(number).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let heating = Heating { heat: Heat, check: Check { enough: 20 } };
    match arguments::nats(heating.to_dot())? {
        None => within_this_process(heating).await,
        Some(nats) => on_a_server(heating, nats).await,
    }
}

async fn within_this_process(heating: Heating) -> Result<()> {
    let (ticks, source) = source(CAPACITY);
    let ticking = tokio::spawn(tick(ticks));
    let mut failed = Ok(());
    let told = |ended| match ended {
        Ok(output) => {
            println!("{output}");
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Err(error);
            ControlFlow::Break(())
        }
    };
    source.run_each(&heating, &WorkflowCtx::new(()), told).await?;
    failed?;
    ticking.await?
}

async fn on_a_server(heating: Heating, nats: NatsConfig) -> Result<()> {
    let host = Host::builder().nats_config(nats.clone()).workflow(heating).build().await?.start().await?;
    let client = Client::connect_with(nats).await?;
    let (ticks, mut due) = mpsc::channel(CAPACITY);
    let ticking = tokio::spawn(tick(ticks));
    while let Some(number) = due.recv().await {
        let name = RunId::new(&format!("tick-{number}"))?;
        let run = client.start("timer-source", &number, &StartOptions::named(name)).await?;
        let done = client.result(&run, Duration::from_secs(60)).await?;
        let output = done.output.with_context(|| format!("{run} is {}: {:?}", done.status, done.error))?;
        println!("{}", output.as_str().context("the output is a text")?);
    }
    host.drain().await;
    ticking.await?
}
