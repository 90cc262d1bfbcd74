//! Resuming after a crash: a process crashes in the middle of a run, and another one continues the run.
//!
//! ```text
//! "plum cake" ──▶ mix ──▶ bake ──▶ ice ──▶ "plum cake: mix, bake, ice"
//!                         ╳ crash
//! ```
//!
//! Without a server, the run is saved to a directory of checkpoints, and a second call resumes it; this could be another
//! process. On a server, no code is needed: a second host takes over when the lease of the first one expires, after ten
//! seconds.
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
//! crash
//! baking plum cake
//! icing plum cake
//! plum cake: mix, bake, ice
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

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
    struct Work { verb: String, crash: Option<Arc<Notify>> }
    context = Kitchen;
    input = String;
    output = String;
    |kitchen, cake| {
        println!("{}ing {cake}", self.verb.trim_end_matches('e'));
        // The change to the context is committed together with the output of the step, or not at all.
        kitchen.done.push(self.verb.clone());
        if let Some(crash) = &self.crash {
            crash.notify_one();
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

/// The workflow. With `crash`, the node `bake` reports the crash and then never returns.
fn baking(crash: Option<Arc<Notify>>) -> Baking {
    let work = |verb: &str, crash| Work { verb: verb.to_owned(), crash };
    Baking { mix: work("mix", None), bake: work("bake", crash), ice: work("ice", None), serve: Serve }
}

#[tokio::main]
async fn main() -> Result<()> {
    let crash = Arc::new(Notify::new());
    let output = match arguments::nats(baking(None).to_dot())? {
        None => with_checkpoints(crash).await?,
        Some(nats) => with_hosts(crash, nats).await?,
    };
    println!("{output}");
    Ok(())
}

async fn with_checkpoints(crash: Arc<Notify>) -> Result<String> {
    let directory = std::env::temp_dir().join(format!("jetway-plum-{}", std::process::id()));
    let store = FileCheckpointStore::new(&directory);
    let (ctx, cake) = (WorkflowCtx::new(Kitchen::default()), "plum cake");
    let first = baking(Some(Arc::clone(&crash)));
    tokio::select! {
        ended = first.run_with_checkpoint(&ctx, cake.to_owned(), &store, "plum") => bail!("the run ended before the crash: {ended:?}"),
        () = crash.notified() => println!("crash"),
    }
    // The existing checkpoint takes precedence over the input. `resume` does the same without an input.
    let output = baking(None).run_with_checkpoint(&ctx, cake.to_owned(), &store, "plum").await?;
    std::fs::remove_dir_all(directory)?;
    Ok(output)
}

async fn with_hosts(crash: Arc<Notify>, nats: NatsConfig) -> Result<String> {
    let host = async |workflow| {
        let host = Host::builder().nats_config(nats.clone()).workflow(workflow).build().await?;
        anyhow::Ok(host.start().await?)
    };
    let first = host(baking(Some(Arc::clone(&crash)))).await?;
    let client = Client::connect_with(nats.clone()).await?;
    let run = client.start("checkpoint-resume", "plum cake", &StartOptions::default()).await?;
    crash.notified().await;
    println!("crash");
    drop(first); // Without draining: its step runs again when the lease expires.

    let second = host(baking(None)).await?;
    let done = client.result(&run, Duration::from_secs(60)).await?;
    second.drain().await;
    let output = done.output.with_context(|| format!("the run is {}: {:?}", done.status, done.error))?;
    Ok(output.read()?)
}
