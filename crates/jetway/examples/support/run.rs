//! Runs the workflow of an example in this process or on a NATS server, or draws it, depending on the arguments.
//!
//! The example `hello` shows the same without this file.

#[path = "arguments.rs"]
mod arguments;

use anyhow::{Context as _, Result, anyhow};
use jetway::{Client, Context, Host, Merge, NatsConfig, Workflow, WorkflowCtx, client::StartOptions};
use std::time::Duration;

/// Runs the workflow once for each input, in turn, and returns the outputs. Each run starts with a default context.
pub(crate) async fn run<C, W, const RUNS: usize>(
    workflow: W,
    inputs: [W::Input; RUNS],
) -> Result<[W::Output; RUNS]>
where
    C: Context + Merge + 'static,
    W: Workflow<C> + 'static,
{
    let outputs = match arguments::nats(workflow.to_dot())? {
        None => in_memory(&workflow, inputs).await?,
        Some(nats) => {
            let name = workflow.name();
            let host = Host::builder().nats_config(nats.clone()).workflow(workflow).build().await?;
            let host = host.start().await?;
            let outputs = on_a_server::<C, W>(nats, name, inputs).await;
            host.drain().await;
            outputs?
        }
    };
    outputs.try_into().map_err(|_outputs| anyhow!("a run gave no output"))
}

async fn in_memory<C, W>(workflow: &W, inputs: impl IntoIterator<Item = W::Input>) -> Result<Vec<W::Output>>
where
    C: Context,
    W: Workflow<C>,
{
    let mut outputs = Vec::new();
    for input in inputs {
        outputs.push(workflow.run(&WorkflowCtx::new(C::default()), input).await?);
    }
    Ok(outputs)
}

async fn on_a_server<C, W>(
    nats: NatsConfig,
    workflow: &str,
    inputs: impl IntoIterator<Item = W::Input>,
) -> Result<Vec<W::Output>>
where
    C: Context,
    W: Workflow<C>,
{
    let client = Client::connect_with(nats).await?;
    let mut outputs = Vec::new();
    for input in inputs {
        let run = client.start(workflow, &input, &StartOptions::default()).await?;
        let done = client.result(&run, Duration::from_secs(60)).await?;
        let output = done.output.with_context(|| format!("{run} is {}: {:?}", done.status, done.error))?;
        outputs.push(output.read()?);
    }
    Ok(outputs)
}
