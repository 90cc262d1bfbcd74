//! `jetway dot`: draws a workflow, or one run of it.

mod svg;

use crate::{args::ServerArgs, exit::Exit, output};
use anyhow::Context;
use clap::Args;
use jetway::{
    Client, NodeState, RunId, RunKey,
    client::{ClientError, WorkflowView},
    run::{StatusView, node_states},
};
use serde::Serialize;
use std::collections::BTreeMap;

const AFTER_HELP: &str = "\
Asks a host for its workflows. In the drawing the start is bold, ends have two outlines, gathering nodes are funnels, \
dotted red edges are taken on failure, and a workflow within a node stands in a frame.

With --run the nodes have the colour and the word of their state: done (green), pending (yellow), handled (orange), \
failed (red), reached (pale green), not reached (white). A run's record keeps what is pending, what failed and what gave \
an output; a node is done where every way to one of these leads through it, and where a node that is done hands \
everything on to it. It is reached where it may still wait or have been cut short, and not reached where nothing tells \
that it was. Nodes of nested workflows stay grey.

Examples:
  jetway dot corpus
  jetway dot corpus --svg > corpus.svg
  jetway dot corpus --run nightly-17 --svg > run.svg

--svg needs Graphviz; where there is none, the exit code is 6.";

/// Print a workflow's graph in Graphviz's DOT language, or draw it
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DotArgs {
    /// Name of the workflow
    workflow: String,

    /// Show how the nodes of this run stand
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,

    /// Print SVG instead of DOT: needs Graphviz's program `dot`
    #[arg(long, conflicts_with = "json")]
    svg: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// What `--json` prints: the workflow, and how the nodes of the run stand.
#[derive(Debug, Serialize)]
struct DotView {
    #[serde(flatten)]
    workflow: WorkflowView,
    #[serde(flatten)]
    run: Option<RunStates>,
}

/// A run in the drawing.
#[derive(Debug, Serialize)]
struct RunStates {
    run_id: RunId,
    nodes: BTreeMap<String, NodeState>,
}

/// Runs the verb.
pub(crate) async fn run(args: DotArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let mut view = DotView { workflow: workflow(&client, &args.workflow).await?, run: None };
    if let Some(run_id) = args.run {
        let run = RunKey::new(view.workflow.name.clone(), run_id);
        view = coloured(view.workflow, &client.status(&run).await?)?;
    }
    if args.server.common.json {
        output::json(&view)?;
    } else if args.svg {
        output::data(&svg::render(&view.workflow.dot).await?)?;
    } else {
        output::data(&view.workflow.dot)?;
    }
    Ok(Exit::Done)
}

async fn workflow(client: &Client, name: &str) -> anyhow::Result<WorkflowView> {
    let workflows = client.workflows().await?;
    let names: Vec<_> = workflows.iter().map(|workflow| workflow.name.to_string()).collect();
    let found = workflows.into_iter().find(|workflow| workflow.name.as_str() == name);
    Ok(found.ok_or_else(|| ClientError::NotFound {
        message: format!("the host has no workflow {name:?}; there are {}", names.join(", ")),
    })?)
}

/// The workflow with its drawing in the colours of the run.
fn coloured(mut workflow: WorkflowView, status: &StatusView) -> anyhow::Result<DotView> {
    let graph = workflow.graph.as_ref().filter(|graph| !graph.nodes.is_empty()).with_context(|| {
        let name = &workflow.name;
        format!("the host does not tell the nodes of workflow {name:?}: jetway dot {name} shows what it draws itself")
    })?;
    let run = &status.run;
    let nodes = node_states(graph, status);
    let title = format!("{}/{} is {}, steps: {}", run.workflow, run.run_id, run.status, run.steps);
    workflow.dot = graph.to_dot_of_run(&title, &nodes);
    Ok(DotView { workflow, run: Some(RunStates { run_id: run.run_id.clone(), nodes }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status() -> StatusView {
        serde_json::from_value(json!({
            "run_id": "r-1", "workflow": "pay", "status": "running", "output": null, "outputs": [],
            "error": null, "started_at": "", "finished_at": null, "steps": 1, "updated_at": "",
            "pending": [{ "node": "charge", "items": 2, "since": "" }],
            "handled": 0, "latest_handled_failures": [], "trace_id": "",
        }))
        .unwrap()
    }

    fn workflow(graph: &Value) -> WorkflowView {
        serde_json::from_value(
            json!({ "name": "pay", "fingerprint": "0", "dot": "digraph pay {}", "graph": graph }),
        )
        .unwrap()
    }

    #[test]
    fn a_run_is_coloured_by_its_status() {
        let node = |name: &str, variant: &str, terminal: bool| json!({ "name": name, "variant": variant, "terminal": terminal, "gathers": false, "input": "u8" });
        let graph = json!({
            "name": "pay", "start": "check", "nodes": [node("check", "Check", false), node("charge", "Charge", true)],
            "edges": [{ "from": "check", "to": "charge", "kind": "Direct" }],
        });
        let view = json!(coloured(workflow(&graph), &status()).unwrap());
        assert_eq!(view["nodes"], json!({ "check": "done", "charge": "pending" }));
        assert_eq!((&view["name"], &view["run_id"]), (&json!("pay"), &json!("r-1")));
        let dot = view["dot"].as_str().unwrap();
        assert!(dot.contains(r#"label="pay/r-1 is running, steps: 1""#), "{dot}");
        assert!(dot.contains(r#"Charge [label="Charge\npending" peripheries=2 fillcolor=khaki]"#), "{dot}");
    }

    #[test]
    fn a_host_that_tells_no_nodes_is_said() {
        for graph in [Value::Null, json!({ "name": "pay", "start": "", "nodes": [], "edges": [] })] {
            let refused = coloured(workflow(&graph), &status()).unwrap_err().to_string();
            assert!(refused.contains("\"pay\"") && refused.contains("jetway dot pay"), "{refused}");
        }
    }
}
