//! The table of the rules, row by row.

mod bounded;
mod clean_up;
mod continue_as_new;
mod nested;
mod person;
mod signals;
mod timers;
mod times;

use crate::{
    CommitId, EdgeKind, Error, Graph, GraphEdge, GraphNode, Incarnation, ItemId, RunId, RunKey, Timestamp,
    WorkflowName,
    run::{
        Applied, AttemptReport, Begin, Effect, EncodedEmission, EncodedOutcome, EncodedOutput, Input,
        RunError, RunInput, Snapshot, Status, Successor, Trace, apply, begin, pending_tickets, tickets_under,
    },
};
use bytes::Bytes;
use proptest::prelude::*;

/// When everything is due.
const ANY_TIME: Timestamp = Timestamp(u64::MAX);

/// A run in a test: its record, its graph, and the tickets that are out.
struct Run {
    snapshot: Snapshot,
    graph: Graph,
    tickets: Vec<(String, ItemId)>,
    done: usize,
}

fn graph(edges: &[(&str, &str)], gathers: &[&str]) -> Graph {
    let mut names: Vec<&str> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    names.sort_unstable();
    names.dedup();
    Graph {
        name: "w".to_owned(),
        start: "a".to_owned(),
        nodes: names
            .into_iter()
            .map(|name| GraphNode {
                name: name.to_owned(),
                gathers: gathers.contains(&name),
                ..GraphNode::default()
            })
            .collect(),
        edges: edges
            .iter()
            .map(|(from, to)| GraphEdge {
                from: (*from).to_owned(),
                to: Some((*to).to_owned()),
                kind: EdgeKind::Direct,
            })
            .collect(),
        ..Graph::default()
    }
}

fn start(edges: &[(&str, &str)], gathers: &[&str]) -> Run {
    let (snapshot, _) = begin(Begin {
        key: RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("r").unwrap()),
        incarnation: Incarnation::default(),
        commit: CommitId::default(),
        at: Timestamp(1),
        due: None,
        trace: Trace::default(),
        input: RunInput {
            node: "a".to_owned(),
            payload: Bytes::from_static(b"a0"),
            context: Bytes::from_static(b"c0"),
        },
    });
    let tickets = vec![("a".to_owned(), ItemId::start())];
    Run { snapshot, graph: graph(edges, gathers), tickets, done: 0 }
}

fn to(targets: &[(&str, &str)]) -> EncodedEmission {
    let successor = |(node, payload): &(&str, &str)| Successor {
        node: (*node).to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    };
    EncodedEmission { successors: targets.iter().map(successor).collect(), ..EncodedEmission::default() }
}

fn output(value: &str) -> EncodedEmission {
    let output = EncodedOutput { json: Bytes::copy_from_slice(value.as_bytes()), exact: None };
    EncodedEmission { output: Some(output), ..EncodedEmission::default() }
}

fn next(targets: &[(&str, &str)]) -> EncodedOutcome {
    EncodedOutcome::Next(to(targets))
}

fn all(node: &str, payloads: &[&str]) -> EncodedOutcome {
    EncodedOutcome::NextAll(payloads.iter().map(|payload| to(&[(node, payload)])).collect())
}

fn error(message: &str) -> RunError {
    RunError { item: None, node: None, attempt: 1, kind: "error".to_owned(), message: message.to_owned() }
}

impl Run {
    fn attempt(&self, item: &ItemId, node: &str, produced: EncodedOutcome) -> AttemptReport {
        AttemptReport {
            incarnation: self.snapshot.incarnation,
            item: item.clone(),
            node: node.to_owned(),
            ticket_item: item.clone(),
            number: 1,
            timestamp: Timestamp(2),
            span: None,
            produced,
            context: None,
        }
    }

    fn apply(&mut self, attempt: AttemptReport) -> bool {
        let commit = CommitId { writer: 1, number: self.snapshot.steps };
        let Some(Applied { snapshot, tickets, effects }) =
            apply(self.snapshot.clone(), attempt, commit, &self.graph)
        else {
            return false;
        };
        self.snapshot = snapshot;
        self.tickets.extend(tickets.into_iter().map(|ticket| (ticket.node, ticket.item)));
        self.done += effects.iter().filter(|effect| **effect == Effect::PublishResult).count();
        true
    }

    /// Takes the oldest ticket of a node and answers for it.
    fn step(&mut self, node: &str, produced: EncodedOutcome) -> ItemId {
        let index = self.tickets.iter().position(|(of, _)| of == node);
        let index = index.unwrap_or_else(|| panic!("no ticket for {node}: {:?}", self.tickets));
        let (_, item) = self.tickets.remove(index);
        assert!(self.apply(self.attempt(&item, node, produced)), "{item} was discarded");
        item
    }

    fn gathered(&self, item: &ItemId) -> Vec<String> {
        let Input::Gathered(arrivals) = &self.snapshot.items[item].input else {
            panic!("{item} gathers nothing")
        };
        let mut arrived = arrivals.inline.clone();
        arrived.sort_by(|a, b| (a.position, &a.from).cmp(&(b.position, &b.from)));
        arrived.into_iter().map(|arrival| String::from_utf8(arrival.payload.to_vec()).unwrap()).collect()
    }

    fn ticket(&self, node: &str) -> ItemId {
        let mut of_node = self.tickets.iter().filter(|(of, _)| of == node);
        let (_, item) = of_node.next().unwrap_or_else(|| panic!("no ticket for {node}"));
        assert!(of_node.next().is_none(), "{node} has several tickets");
        item.clone()
    }

    fn outputs(&self) -> Vec<String> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        self.snapshot.outputs.iter().map(|output| text(&output.value.json)).collect()
    }
}

#[test]
fn one_successor_replaces_its_item() {
    let mut run = start(&[("a", "b")], &[]);
    run.step("a", next(&[("b", "b0")]));
    assert_eq!((run.snapshot.pending(), run.snapshot.steps), (1, 1));
    run.step("b", EncodedOutcome::Next(output("out")));
    assert_eq!(
        (run.snapshot.status, run.outputs(), run.done),
        (Status::Completed, vec!["out".to_owned()], 1)
    );
    assert_eq!(run.snapshot.finished_at, Some(Timestamp(2)));
}

#[test]
fn an_item_is_committed_once() {
    let mut run = start(&[("a", "b")], &[]);
    let item = run.step("a", next(&[("b", "b0")]));
    let before = run.snapshot.clone();
    assert!(!run.apply(run.attempt(&item, "a", next(&[("b", "other")]))));
    assert!(!run.apply(run.attempt(&ItemId::new("start-7").unwrap(), "b", EncodedOutcome::Hold)));
    assert_eq!(run.snapshot, before);
}

#[test]
fn an_attempt_of_another_incarnation_is_discarded() {
    let mut run = start(&[("a", "b")], &[]);
    let before = run.snapshot.clone();
    for produced in [
        next(&[("b", "b0")]),
        EncodedOutcome::Hold,
        EncodedOutcome::Started(crate::Seen::default()),
        EncodedOutcome::Failed(error("x")),
    ] {
        let attempt = run.attempt(&ItemId::start(), "a", produced);
        assert!(!run.apply(AttemptReport { incarnation: Incarnation::from_random(1), ..attempt }));
    }
    assert_eq!(run.snapshot, before);
}

#[test]
fn a_run_that_ended_never_changes() {
    let mut run = start(&[("a", "b")], &[]);
    run.step("a", all("b", &["1", "2"]));
    let late = run.ticket_of("b", 1);
    run.step("b", EncodedOutcome::Failed(error("no")));
    assert_eq!((run.snapshot.status, run.done, run.snapshot.pending()), (Status::Failed, 1, 0));
    let before = run.snapshot.clone();
    assert!(!run.apply(run.attempt(&late, "b", EncodedOutcome::Next(output("late")))));
    assert_eq!(run.snapshot, before);
}

#[test]
fn a_run_keeps_all_outputs_in_commit_order() {
    let mut run = start(&[("a", "b"), ("a", "c")], &[]);
    run.step("a", next(&[("b", "1"), ("c", "2")]));
    run.step("c", EncodedOutcome::Next(output("from c")));
    assert_eq!(run.snapshot.status, Status::Running);
    run.step("b", EncodedOutcome::Next(output("from b")));
    assert_eq!(
        (run.snapshot.status, run.outputs()),
        (Status::Completed, vec!["from c".into(), "from b".into()])
    );
}

#[test]
fn a_run_without_an_output_has_failed() {
    for nothing in [EncodedOutcome::Hold, all("b", &[]), next(&[])] {
        let mut run = start(&[("a", "b")], &[]);
        run.step("a", nothing);
        assert_eq!((run.snapshot.status, run.done), (Status::Failed, 1));
        assert_eq!(run.snapshot.error.as_ref().map(|error| error.kind.as_str()), Some("no_output"));
    }
}

#[test]
fn a_handled_failure_continues() {
    let mut run = start(&[("a", "b")], &[]);
    run.step("a", EncodedOutcome::Handled(error("no"), to(&[("b", "b0")])));
    assert_eq!((run.snapshot.status, run.snapshot.handled_failures.count), (Status::Running, 1));
    assert_eq!(run.snapshot.handled_failures.latest[0].message, "no");
}

#[test]
fn a_gathering_node_fires_once_in_the_order_of_the_fan_out() {
    let mut run = start(&[("a", "b"), ("b", "j")], &["j"]);
    run.step("a", all("b", &["1", "2", "3"]));
    for position in [2, 0, 1] {
        let item = ItemId::branch(&ItemId::start(), position);
        let arrived = format!("v{position}");
        assert!(run.apply(run.attempt(&item, "b", next(&[("j", &arrived)]))));
        let fired = run.tickets.iter().filter(|(node, _)| node == "j").count();
        assert_eq!(fired, usize::from(position == 1));
    }
    assert_eq!(run.gathered(&run.ticket("j")), ["v0", "v1", "v2"]);
    assert!(run.snapshot.fan_outs.is_empty());
}

#[test]
fn a_join_does_not_wait_for_branches_that_ended() {
    let mut run = start(&[("a", "b"), ("b", "j"), ("b", "f"), ("f", "j")], &["j"]);
    run.step("a", all("b", &["1", "2", "3", "4"]));
    run.step("b", EncodedOutcome::Hold);
    run.step("b", EncodedOutcome::Next(output("early")));
    run.step("b", EncodedOutcome::Handled(error("no"), to(&[("f", "f2")])));
    run.step("b", next(&[("j", "v3")]));
    assert_eq!(run.snapshot.fan_outs.len(), 1);
    run.step("f", next(&[("j", "f2")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["f2", "v3"]);
}

#[test]
fn an_empty_fan_out_runs_its_join_without_values() {
    let mut run = start(&[("a", "b"), ("b", "j")], &["j"]);
    run.step("a", all("b", &[]));
    assert_eq!(run.gathered(&run.ticket("j")), [""; 0]);
    run.step("j", EncodedOutcome::Next(output("none")));
    assert_eq!(run.snapshot.status, Status::Completed);
}

#[test]
fn joins_nest() {
    let edges = [("a", "b"), ("b", "c"), ("c", "inner"), ("inner", "outer")];
    let mut run = start(&edges, &["inner", "outer"]);
    run.step("a", all("b", &["1", "2"]));
    run.step("b", all("c", &["1a", "1b"]));
    run.step("b", all("c", &[]));
    // The empty inner fan-out has fired its join already.
    let empty = run.ticket("inner");
    assert!(run.gathered(&empty).is_empty());
    run.step("c", next(&[("inner", "A")]));
    run.step("c", next(&[("inner", "B")]));
    assert_eq!(run.tickets.iter().filter(|(node, _)| node == "inner").count(), 2);
    run.step("inner", next(&[("outer", "second")]));
    run.step("inner", next(&[("outer", "first")]));
    assert_eq!(run.gathered(&run.ticket("outer")), ["first", "second"]);
}

#[test]
fn an_inner_fan_out_may_use_the_outer_join() {
    let mut run = start(&[("a", "b"), ("b", "c"), ("c", "j")], &["j"]);
    run.step("a", all("b", &["1"]));
    run.step("b", all("c", &["x", "y"]));
    run.step("c", next(&[("j", "x")]));
    run.step("c", next(&[("j", "y")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["x", "y"]);
    run.step("j", EncodedOutcome::Next(output("out")));
    // The outer fan-out closes without firing the same join a second time with nothing.
    assert_eq!((run.snapshot.status, run.outputs().len()), (Status::Completed, 1));
}

#[test]
fn an_empty_inner_fan_out_does_not_run_the_outer_join() {
    let mut run = start(&[("a", "b"), ("b", "j")], &["j"]);
    run.step("a", all("b", &["1", "2", "3"]));
    run.step("b", next(&[("j", "v0")]));
    run.step("b", all("j", &[]));
    assert!(!run.tickets.iter().any(|(node, _)| node == "j"), "it did not wait for the third branch");
    run.step("b", next(&[("j", "v2")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["v0", "v2"]);
    run.step("j", EncodedOutcome::Next(output("out")));
    assert_eq!((run.snapshot.status, run.outputs().len()), (Status::Completed, 1));
    // Where nothing comes of any branch, it runs once, with nothing.
    let mut run = start(&[("a", "b"), ("b", "j")], &["j"]);
    run.step("a", all("b", &["1", "2"]));
    run.step("b", all("j", &[]));
    run.step("b", all("j", &[]));
    assert_eq!(run.gathered(&run.ticket("j")), [""; 0]);
}

#[test]
fn a_join_of_joins_runs_for_an_empty_inner_fan_out() {
    let mut run = start(&[("a", "a"), ("a", "j"), ("j", "j")], &["j"]);
    run.step("a", all("a", &["1", "2"]));
    run.step("a", all("a", &[]));
    let inner = run.ticket("j");
    assert_eq!(run.gathered(&inner), [""; 0]);
    run.step("j", next(&[("j", "none")]));
    run.step("a", next(&[("j", "leaf")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["none", "leaf"]);
}

#[test]
fn a_diamond_joins_both_arms() {
    let mut run = start(&[("a", "b"), ("a", "c"), ("b", "j"), ("c", "j")], &["j"]);
    run.step("a", next(&[("b", "1"), ("c", "2")]));
    run.step("c", next(&[("j", "c")]));
    run.step("b", next(&[("j", "b")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["b", "c"]);
}

#[test]
fn a_gathering_node_outside_of_a_fan_out_runs_with_one_value() {
    let mut run = start(&[("a", "j")], &["j"]);
    run.step("a", next(&[("j", "only")]));
    assert_eq!(run.gathered(&run.ticket("j")), ["only"]);
}

#[test]
fn a_step_that_runs_twice_names_the_same_successors() {
    let twice = || {
        let mut run = start(&[("a", "b"), ("b", "c")], &[]);
        run.step("a", all("b", &["1", "2"]));
        run.step("b", next(&[("c", "c")]));
        run.tickets
    };
    assert_eq!(twice(), twice());
}

#[test]
fn a_lost_workers_ticket_finds_what_was_committed_under_it() {
    let mut run = start(&[("a", "b"), ("b", "c")], &[]);
    run.step("a", next(&[("b", "b0")]));
    let (_, b) = run.tickets.pop().unwrap();
    // The worker went on with b under the start's ticket.
    let attempt =
        AttemptReport { ticket_item: ItemId::start(), ..run.attempt(&b, "b", all("c", &["1", "2"])) };
    assert!(run.apply(attempt));
    let found: Vec<_> =
        tickets_under(&run.snapshot, &ItemId::start(), ANY_TIME).into_iter().map(|want| want.item).collect();
    assert_eq!(found, [ItemId::branch(&b, 0), ItemId::branch(&b, 1)]);
    assert!(tickets_under(&run.snapshot, &b, ANY_TIME).is_empty());
}

impl Run {
    fn ticket_of(&self, node: &str, index: usize) -> ItemId {
        self.tickets.iter().filter(|(of, _)| of == node).nth(index).unwrap().1.clone()
    }
}

/// What a node answers, by numbers: every run of these comes to an end because `budget` does.
fn answer(node: &str, choice: u8, width: u8, budget: u32) -> EncodedOutcome {
    let payloads = vec!["x"; usize::from(width)];
    match (node, choice % 6) {
        (_, 0) => EncodedOutcome::Next(output("o")),
        (_, 1) => EncodedOutcome::Hold,
        ("a" | "j", 2 | 3) if budget > 0 => all("b", &payloads),
        ("b", 2) if budget > 0 => all("b", &payloads),
        ("b", 3 | 4) => next(&[("j", "v")]),
        ("a" | "j", 4) if budget > 0 => next(&[("b", "1"), ("j", "2"), ("b", "3")]),
        (_, 5) if budget > 0 => EncodedOutcome::Handled(error("e"), to(&[("b", "f")])),
        _ => EncodedOutcome::Next(output("end")),
    }
}

proptest! {
    /// Whatever nodes answer and in whatever order they are worked off: every item has exactly one ticket, no join is
    /// lost, and the run ends.
    #[test]
    fn every_run_ends(choices in prop::collection::vec((any::<u8>(), 0_u8..4, any::<u16>()), 1..60)) {
        let mut run = start(&[("a", "b"), ("a", "j"), ("b", "b"), ("b", "j"), ("j", "b"), ("j", "j")], &["j"]);
        let mut round = 0_usize;
        while !run.snapshot.status.is_terminal() {
            let wanted: std::collections::BTreeSet<_> =
                pending_tickets(&run.snapshot, ANY_TIME).into_iter().map(|want| want.item).collect();
            let out: std::collections::BTreeSet<_> = run.tickets.iter().map(|(_, item)| item.clone()).collect();
            prop_assert_eq!(&wanted, &out);
            prop_assert_eq!(out.len(), run.tickets.len());
            prop_assert_eq!(wanted.len(), run.snapshot.pending());
            prop_assert!(round < 5000, "the run does not end");
            let (choice, width, pick) = choices[round % choices.len()];
            let budget = 40_u32.saturating_sub(u32::try_from(round).unwrap());
            let (node, item) = run.tickets.remove(usize::from(pick) % run.tickets.len());
            let produced = answer(&node, choice, width, budget);
            let applied = run.apply(run.attempt(&item, &node, produced));
            prop_assert!(applied, "a pending item was discarded");
            round += 1;
        }
        prop_assert_eq!(run.done, 1);
        prop_assert_eq!(run.snapshot.pending(), 0);
    }
}
