//! A timer that starts runs: a task sends ticks into a channel, and each tick starts a run.
//!
//! ```text
//! every 20 ms ──▶ channel ──▶ heat ──▶ check ──▶ "tick 1: 18 °C"
//!                           (one run per tick)
//! ```
//!
//! In this process, a `source` runs the workflow for each value in turn. On a server, the program starts runs. The run id
//! is derived from the tick, so several such programs do not start a run twice.
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

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::{Context as _, Result};
use jetway::{NatsConfig, RunId, client::StartOptions, prelude::*, source};
use std::{ops::ControlFlow, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

#[path = "support/arguments.rs"]
mod arguments;

/// The capacity of the channel. If it is full because a run takes long, the timer waits.
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

/// Sends three ticks, then closes the channel.
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
        None => in_this_process(heating).await,
        Some(nats) => on_a_server(heating, nats).await,
    }
}

async fn in_this_process(heating: Heating) -> Result<()> {
    let (ticks, source) = source(CAPACITY);
    let ticking = tokio::spawn(tick(ticks));
    let mut result = Ok(());
    let print = |ended| match ended {
        Ok(output) => {
            println!("{output}");
            ControlFlow::Continue(())
        }
        Err(error) => {
            result = Err(error);
            ControlFlow::Break(())
        }
    };
    source.run_each(&heating, &WorkflowCtx::new(()), print).await?;
    result?;
    ticking.await?
}

async fn on_a_server(heating: Heating, nats: NatsConfig) -> Result<()> {
    let host = Host::builder().nats_config(nats.clone()).workflow(heating).build().await?.start().await?;
    let client = Client::connect_with(nats).await?;
    let (ticks, mut received) = mpsc::channel(CAPACITY);
    let ticking = tokio::spawn(tick(ticks));
    while let Some(number) = received.recv().await {
        let id = RunId::new(&format!("tick-{number}"))?;
        let run = client.start("timer-source", &number, &StartOptions::named(id)).await?;
        let done = client.result(&run, Duration::from_secs(60)).await?;
        let output = done.output.with_context(|| format!("{run} is {}: {:?}", done.status, done.error))?;
        println!("{}", output.read::<String>()?);
    }
    host.drain().await;
    ticking.await?
}
