//! Two nodes in sequence, and the complete program to run them.
//!
//! ```text
//! "world" ──▶ greet ──▶ shout ──▶ "HELLO, WORLD!"
//! ```
//!
//! In this process, or durably on a NATS server:
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

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::{Context as _, Result};
use jetway::{NatsConfig, client::StartOptions, prelude::*};
use std::time::Duration;

#[path = "support/arguments.rs"]
mod arguments;

node! {
    /// The fields of a node are its settings: here, the greeting.
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
        shout => []; // A terminal node: its output is the output of the run.
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let hello = Hello { greet: Greet { word: "Hello".to_owned() }, shout: Shout };
    match arguments::nats(hello.to_dot())? {
        None => in_this_process(hello).await,
        Some(nats) => on_a_server(hello, nats).await,
    }
}

/// Runs the nodes in the calling task, and stores nothing.
async fn in_this_process(hello: Hello) -> Result<()> {
    let output = hello.run(&WorkflowCtx::new(()), "world".to_owned()).await?;
    println!("{output}");
    Ok(())
}

/// A host serves the workflow, and a client starts a run. They are usually different programs that share only the server.
/// Every step is stored on the server before the next one begins.
async fn on_a_server(hello: Hello, nats: NatsConfig) -> Result<()> {
    let host = Host::builder().nats_config(nats.clone()).workflow(hello).build().await?.start().await?;

    let client = Client::connect_with(nats).await?;
    let run = client.start("hello", "world", &StartOptions::default()).await?;
    let done = client.result(&run, Duration::from_secs(60)).await?;
    let output = done.output.with_context(|| format!("the run is {}: {:?}", done.status, done.error))?;
    println!("{}", output.read::<String>()?);

    host.drain().await;
    Ok(())
}
