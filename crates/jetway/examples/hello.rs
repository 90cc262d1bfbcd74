//! Two nodes, one after the other; and all that it takes to run them, with nothing left out.
//!
//! ```text
//! "world" ──▶ greet ──▶ shout ──▶ "HELLO, WORLD!"
//! ```
//!
//! Within this process, or durably, on a NATS server:
//!
//! ```sh
//! cargo run -p jetway --example hello
//! cargo run -p jetway --example hello -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! HELLO, WORLD!
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::{Context as _, Result};
use jetway::{NatsConfig, client::StartOptions, prelude::*};
use std::time::Duration;

#[path = "support/arguments.rs"]
mod arguments;

node! {
    /// Greets somebody. Its fields are settings: here, the word to greet with.
    struct Greet { word: String }
    input = String;
    output = String;
    |_ctx, name| { Ok(Transition::Next(format!("{}, {name}", self.word))) }
}

node! {
    struct Shout;
    input = String;
    output = String;
    |_ctx, text| { Ok(Transition::Next(format!("{}!", text.to_uppercase()))) }
}

workflow! {
    struct Hello { greet: Greet, shout: Shout }
    name = "hello";
    start = greet;
    edges {
        greet => [shout];
        shout => []; // Nothing follows: what `shout` gives is the output of the run.
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let hello = Hello { greet: Greet { word: "Hello".to_owned() }, shout: Shout };
    match arguments::nats(hello.to_dot())? {
        None => within_this_process(hello).await,
        Some(nats) => on_a_server(hello, nats).await,
    }
}

/// The nodes run in the calling task, and nothing is kept.
async fn within_this_process(hello: Hello) -> Result<()> {
    let output = hello.run(&WorkflowCtx::new(()), "world".to_owned()).await?;
    println!("{output}");
    Ok(())
}

/// A host serves the workflow, and a client starts a run. They are usually different programs, and know nothing of each
/// other but the server: every step is on its disk before the next one begins.
async fn on_a_server(hello: Hello, nats: NatsConfig) -> Result<()> {
    let host = Host::builder().nats_config(nats.clone()).workflow(hello).build().await?.start().await?;

    let client = Client::connect_with(nats).await?;
    let run = client.start("hello", "world", &StartOptions::default()).await?;
    let done = client.result(&run, Duration::from_secs(60)).await?;
    let output = done.output.with_context(|| format!("the run is {}: {:?}", done.status, done.error))?;
    println!("{}", output.as_str().context("the output is a text")?);

    host.drain().await;
    Ok(())
}
