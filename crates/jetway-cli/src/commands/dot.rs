//! `jetway dot`: draws a workflow.

use crate::{cli::ServerArgs, exit::Exit, output};
use clap::Args;
use jetway::client::ClientError;

const AFTER_HELP: &str = "\
Asks a host for its workflows.

Example: with Graphviz installed
  jetway dot corpus | dot -Tsvg > corpus.svg";

/// Print a workflow's graph in Graphviz's DOT language
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DotArgs {
    /// Name of the workflow
    workflow: String,

    #[command(flatten)]
    server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: DotArgs) -> anyhow::Result<Exit> {
    let workflows = args.server.client().await?.workflows().await?;
    let names: Vec<_> = workflows.iter().map(|workflow| workflow.name.to_string()).collect();
    let found = workflows.into_iter().find(|workflow| workflow.name.as_str() == args.workflow);
    let workflow = found.ok_or_else(|| ClientError::NotFound {
        message: format!("the host has no workflow {:?}; there are {}", args.workflow, names.join(", ")),
    })?;
    if args.server.common.json {
        output::json(&workflow)?;
    } else {
        output::data(&workflow.dot)?;
    }
    Ok(Exit::Done)
}
