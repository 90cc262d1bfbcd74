//! `jetway setup`: sets up a namespace.

use crate::{
    args::{ReplicasArgs, ServerArgs},
    exit::Exit,
    output,
};
use clap::Args;
use jetway::{client::set_up, nats::NamespaceReport};

const AFTER_HELP: &str = "\
Creates the streams and buckets that are missing, and says what it did. Repeating it
changes nothing. --replicas is recorded on the server, and all hosts follow it. If streams
have another number of replicas, they are changed: hosts may be running, and no work is
lost. A host sets up its namespace by itself, unless its user may not create streams.

Examples:
  jetway setup
  jetway setup --namespace team --replicas 3";

/// Set up a namespace: create its streams, or change their number of replicas
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[]))]
pub(crate) struct SetupArgs {
    #[command(flatten)]
    replicas: ReplicasArgs,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: SetupArgs) -> anyhow::Result<Exit> {
    let mut config = args.server.config()?;
    config.replicas = args.replicas.number()?;
    let report = set_up(config).await?;
    match args.server.common.json {
        true => output::print_json(&report)?,
        false => output::print_text(&render(&report))?,
    }
    Ok(Exit::Success)
}

fn render(report: &NamespaceReport) -> String {
    let NamespaceReport { namespace, replicas, created, changed, unchanged, tickets, left, .. } = report;
    let mut lines = vec![format!("namespace {namespace} is set up, {replicas} {}", noun(*replicas))];
    lines.extend(created.iter().map(|stream| format!("created    {stream}")));
    lines.extend(changed.iter().map(|changed| {
        format!("changed    {}: {} {} before", changed.stream, changed.before, noun(changed.before))
    }));
    lines.extend(unchanged.iter().map(|stream| format!("unchanged  {stream}")));
    if *tickets > 0 {
        lines.push(format!("published {tickets} tickets again"));
    }
    lines.extend(left.iter().map(|stream| {
        format!(
            "not changed: {stream} of stores; while no process uses it: nats stream edit {stream} --replicas {replicas}"
        )
    }));
    lines.join("\n")
}

fn noun(replicas: usize) -> &'static str {
    if replicas == 1 { "replica" } else { "replicas" }
}
