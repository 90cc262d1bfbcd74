//! Gathering nodes.

use crate::{attempt, out, to};
use jetway_core::{Error, Transition, WorkItem, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};

node! {
    struct Split;
    input = String;
    output = u8;
    |_, text| Ok(Transition::NextAll(text.bytes().map(|byte| byte - b'0').collect()))
}

#[derive(Debug)]
enum Kind {
    Even(u8),
    Odd,
    Many { all: u8 },
}

node! {
    struct Check;
    input = u8;
    output = Kind;
    |_, x| match x {
        9 => Err(Error::Limit("nine".to_owned())),
        0 => Ok(Transition::Next(Kind::Many { all: 0 })),
        x if x % 2 == 0 => Ok(Transition::Next(Kind::Even(x))),
        _ => Ok(Transition::Next(Kind::Odd)),
    }
}

node! {
    struct Sum;
    input = Vec<u8>;
    output = u32;
    |_, all| Ok(Transition::Next(all.into_iter().map(u32::from).sum()))
}
node! { struct Ignore; input = (); output = u8; |_, ()| Ok(Transition::Hold) }

workflow! {
    struct Summing { split: Split, check: Check, ignore: Ignore, #[gather] sum: Sum }
    start = split;
    edges {
        split => [check, sum];
        check => { Kind::Even(x) => [sum]; Kind::Odd => [ignore]; Kind::Many { all } => [sum]; };
        check on_failure => [sum];
        ignore => [sum];
        sum => [];
    }
}

fn summing() -> Summing {
    Summing { split: Split, check: Check, ignore: Ignore, sum: Sum }
}

fn sum(id: &str, values: &[u8]) -> SummingWorkItem {
    SummingWorkItem::Sum(id.to_owned(), values.to_vec())
}

#[tokio::test]
async fn every_kind_of_edge_carries_one_value() {
    let (workflow, ctx) = (summing(), WorkflowCtx::new(()));
    let split = workflow.start_work_item("42".to_owned());
    let both = to(&["Check(4)", "Sum([4])", "Check(2)", "Sum([2])"]);
    assert_eq!(attempt(&workflow, &ctx, split).await, both);
    let check = |x| SummingWorkItem::Check(String::new(), x);
    assert_eq!(attempt(&workflow, &ctx, check(4)).await, to(&["Sum([4])"]));
    assert_eq!(attempt(&workflow, &ctx, check(0)).await, to(&["Sum([0])"]));
    assert_eq!(attempt(&workflow, &ctx, check(9)).await.to, ["Sum([9])"]);
    assert_eq!(attempt(&workflow, &ctx, sum("", &[1, 2, 3])).await, out([6]));
}

#[test]
fn parts_are_gathered_in_order() {
    let parts = vec![sum("a", &[3]), sum("b", &[1]), sum("c", &[]), sum("d", &[2, 2])];
    assert_eq!(SummingWorkItem::gathered("sum", parts), Some(sum("", &[3, 1, 2, 2])));
    assert_eq!(SummingWorkItem::gathered("sum", Vec::new()), Some(sum("", &[])));
}

#[test]
fn only_gathering_nodes_gather() {
    let check = SummingWorkItem::Check(String::new(), 1);
    assert_eq!(SummingWorkItem::gathered("check", vec![check.clone()]), None);
    assert_eq!(SummingWorkItem::gathered("sum", vec![sum("", &[1]), check]), None);
    assert_eq!(SummingWorkItem::gathered("unknown", Vec::new()), None);
}

#[test]
fn the_graph_shows_which_node_gathers() {
    let graph = summing().graph();
    assert!(graph.gathers("sum") && !graph.gathers("check"));
    assert_eq!(graph.gather_behind("split"), Some("sum"));
}

#[tokio::test]
async fn a_run_gathers_a_whole_fan_out_once() {
    let ctx = WorkflowCtx::new(());
    // Each digit arrives twice, directly and through the check, which drops the odd one; the nine takes the fallback.
    assert_eq!(summing().run(&ctx, "4219".to_owned()).await, Ok(2 * (4 + 2 + 9) + 1));
}
