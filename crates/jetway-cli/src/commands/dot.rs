//! `jetway dot`: draws a workflow.

use crate::{
    cli::ServerArgs,
    exit::Exit,
    output,
    workflows::{chain::chain, corpus::corpus},
};
use clap::Args;
use jetway::{Workflow, client::ClientError};
use serde_json::json;

const AFTER_HELP: &str = "\
Knows the workflows of this program, which `jetway host` serves.

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
pub(crate) fn run(args: &DotArgs) -> anyhow::Result<Exit> {
    let (chain, corpus) = (chain(), corpus());
    let all = [(chain.name(), chain.to_dot()), (corpus.name(), corpus.to_dot())];
    let Some((name, dot)) = all.into_iter().find(|(name, _)| *name == args.workflow) else {
        let names = all.map(|(name, _)| name).join(", ");
        let message = format!("this program has no workflow {:?}; there are {names}", args.workflow);
        return Err(ClientError::NotFound { message }.into());
    };
    if args.server.common.json {
        output::json(&json!({ "name": name, "dot": dot }))?;
    } else {
        output::data(dot)?;
    }
    Ok(Exit::Done)
}
