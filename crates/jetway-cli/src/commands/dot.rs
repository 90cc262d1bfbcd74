//! `jetway dot`: draws the graph of a workflow, or of one run.

mod svg;

use crate::{args::ServerArgs, exit::Exit, output};
use anyhow::Context;
use clap::Args;
use jetway::{
    RunId, RunKey, WorkflowName,
    client::{StatusView, WorkflowView},
};
use jetway_state::{NodeState, run::node_states};
use serde::Serialize;
use std::collections::BTreeMap;

const AFTER_HELP: &str = "\
Needs a running host that serves the workflow and provides the graph. The start node is bold, terminal nodes
have a double outline, gathering nodes are funnels, failure edges are dotted and red,
and a nested workflow is drawn in a frame.

With --run, each node is labelled and coloured by its state:
  done         green       it ran
  pending      yellow      it has work items that are ready or running
  handled      orange      it failed, and a failure edge was taken
  failed       red         it failed, and the run with it
  reached      pale green  the run came to it; whether it ran is unknown
  not reached  white       nothing shows that the run came to it

The states are derived from the run's record, which keeps pending items, the latest
failures, and the nodes that gave an output, but no full history. Nodes of nested
workflows stay grey.

Examples:
  jetway dot corpus
  jetway dot corpus --svg > corpus.svg
  jetway dot corpus --run nightly-17 --svg > run.svg";

/// Print the graph of a workflow or of a run, as Graphviz DOT or SVG
#[derive(Debug, Args)]
#[command(after_help = Exit::connection_help(AFTER_HELP, &[Exit::NotFound, Exit::MissingProgram]))]
pub(crate) struct DotArgs {
    /// Workflow name
    workflow: WorkflowName,

    /// Show the state of each node in this run
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,

    /// Print SVG instead of DOT; needs Graphviz
    #[arg(long, conflicts_with = "json")]
    svg: bool,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

/// The output of `--json`: the workflow, and the node states of the run.
#[derive(Debug, Serialize)]
struct DotView {
    #[serde(flatten)]
    workflow: WorkflowView,
    #[serde(flatten)]
    run: Option<RunStates>,
}

/// The node states of a run.
#[derive(Debug, Serialize)]
struct RunStates {
    run_id: RunId,
    nodes: BTreeMap<String, NodeState>,
}

/// Runs the verb.
pub(crate) async fn run(args: DotArgs) -> anyhow::Result<Exit> {
    let client = args.server.client().await?;
    let mut view = DotView { workflow: client.workflow(args.workflow.as_str()).await?, run: None };
    if let Some(run_id) = args.run {
        let run = RunKey::new(view.workflow.name.clone(), run_id);
        view = coloured(view.workflow, &client.status(&run).await?)?;
    }
    if args.server.common.json {
        output::print_json(&view)?;
    } else if args.svg {
        output::print(&svg::render(&view.workflow.dot).await?)?;
    } else {
        output::print(&view.workflow.dot)?;
    }
    Ok(Exit::Success)
}

/// The workflow, drawn with the node states of the run.
fn coloured(mut workflow: WorkflowView, status: &StatusView) -> anyhow::Result<DotView> {
    let graph = workflow.graph.as_ref().filter(|graph| !graph.nodes.is_empty()).with_context(|| {
        let name = &workflow.name;
        format!("the host does not provide the graph of workflow {name:?} as data: use `jetway dot {name}` without --run")
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
            "run_id": "r-1", "incarnation": "0000000000000000", "workflow": "pay", "status": "running", "output": null, "outputs": [],
            "error": null, "started_at": "", "finished_at": null, "steps": 1, "updated_at": "",
            "pending": [{ "node": "charge", "items": 2, "since": "" }],
            "handled_failures": 0, "latest_handled_failures": [], "trace_id": "",
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
    fn a_host_without_graph_data_is_an_error() {
        for graph in [Value::Null, json!({ "name": "pay", "start": "", "nodes": [], "edges": [] })] {
            let refused = coloured(workflow(&graph), &status()).unwrap_err().to_string();
            assert!(refused.contains("\"pay\"") && refused.contains("jetway dot pay"), "{refused}");
        }
    }
}
