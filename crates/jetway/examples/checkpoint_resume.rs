//! A process that dies in the middle of a run, and another one that goes on where it was.
//!
//! ```text
//! "plum cake" ──▶ mix ──▶ bake ──▶ ice ──▶ "plum cake: mix, bake, ice"
//!                         ╳ here it dies
//! ```
//!
//! Without a server the run is saved to a directory of checkpoints, to which the second call goes back: it could as well be
//! another process. On a server there is nothing to be done for it: the second host takes over when the lease of the
//! first one has ended, which is after ten seconds.
//!
//! ```sh
//! cargo run -p jetway --example checkpoint_resume
//! cargo run -p jetway --example checkpoint_resume -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! mixing plum cake
//! baking plum cake
//! it all goes dark
//! baking plum cake
//! icing plum cake
//! plum cake: mix, bake, ice
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::{Context as _, Result, bail};
use jetway::{FileCheckpointStore, NatsConfig, client::StartOptions, merge::List, prelude::*};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[path = "support/arguments.rs"]
mod arguments;

#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
struct Kitchen {
    done: List<String>,
}

node! {
    struct Work { what: String, dies: Option<Arc<Notify>> }
    context = Kitchen;
    input = String;
    output = String;
    |kitchen, cake| {
        println!("{}ing {cake}", self.what.trim_end_matches('e'));
        // What a step does to the context is kept together with its output, or not at all.
        kitchen.done.push(self.what.clone());
        if let Some(dies) = &self.dies {
            dies.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(Transition::Next(cake))
    }
}

node! {
    struct Serve;
    context = Kitchen;
    input = String;
    output = String;
    |kitchen, cake| { Ok(Transition::Next(format!("{cake}: {}", kitchen.done.to_vec().join(", ")))) }
}

workflow! {
    struct Baking { mix: Work, bake: Work, ice: Work, serve: Serve }
    name = "checkpoint-resume";
    start = mix;
    context = Kitchen;
    edges { mix => [bake]; bake => [ice]; ice => [serve]; serve => []; }
}

/// The workflow; in a process that `dies` while it bakes, or in one that does not.
fn baking(dies: Option<Arc<Notify>>) -> Baking {
    let work = |what: &str, dies| Work { what: what.to_owned(), dies };
    Baking { mix: work("mix", None), bake: work("bake", dies), ice: work("ice", None), serve: Serve }
}

#[tokio::main]
async fn main() -> Result<()> {
    let dark = Arc::new(Notify::new());
    let output = match arguments::nats(baking(None).to_dot())? {
        None => with_checkpoints(dark).await?,
        Some(nats) => with_hosts(dark, nats).await?,
    };
    println!("{output}");
    Ok(())
}

async fn with_checkpoints(dark: Arc<Notify>) -> Result<String> {
    let directory = std::env::temp_dir().join(format!("jetway-plum-{}", std::process::id()));
    let store = FileCheckpointStore::new(&directory);
    let (ctx, cake) = (WorkflowCtx::new(Kitchen::default()), "plum cake");
    let first = baking(Some(Arc::clone(&dark)));
    tokio::select! {
        ended = first.run_with_checkpoint(&ctx, cake.to_owned(), &store, "plum") => bail!("too early: {ended:?}"),
        () = dark.notified() => println!("it all goes dark"),
    }
    // The checkpoint that bears this name wins over the input. `resume` does the same and takes no input at all.
    let output = baking(None).run_with_checkpoint(&ctx, cake.to_owned(), &store, "plum").await?;
    std::fs::remove_dir_all(directory)?;
    Ok(output)
}

async fn with_hosts(dark: Arc<Notify>, nats: NatsConfig) -> Result<String> {
    let host = async |workflow| {
        let host = Host::builder().nats_config(nats.clone()).workflow(workflow).build().await?;
        anyhow::Ok(host.start().await?)
    };
    let first = host(baking(Some(Arc::clone(&dark)))).await?;
    let client = Client::connect_with(nats.clone()).await?;
    let run = client.start("checkpoint-resume", "plum cake", &StartOptions::default()).await?;
    dark.notified().await;
    println!("it all goes dark");
    drop(first); // It does not drain: what it was at is taken up again when its lease has ended.

    let second = host(baking(None)).await?;
    let done = client.result(&run, Duration::from_secs(60)).await?;
    second.drain().await;
    let output = done.output.with_context(|| format!("the run is {}: {:?}", done.status, done.error))?;
    Ok(output.as_str().context("the output is a text")?.to_owned())
}
