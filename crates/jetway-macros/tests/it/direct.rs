//! Direct edges: chains, fan-outs, ends.

use crate::{attempt, out, to};
use jetway_core::{Error, Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};

node! {
    pub struct Count;
    input = u8;
    output = u16;
    |_, x| match x {
        0 => Ok(Transition::Hold),
        1 => Ok(Transition::Abort(Error::Generic("one".to_owned()))),
        2 => Err(Error::Limit("two".to_owned())),
        3 => Ok(Transition::NextAll(vec![30, 31])),
        4 => Ok(Transition::NextAll(Vec::new())),
        5 => panic!("five"),
        x => Ok(Transition::Next(u16::from(x) * 10)),
    }
}

node! { pub struct Show; input = u16; output = String; |_, x| Ok(Transition::Next(x.to_string())) }

node! { pub struct Twice; input = u16; output = String; |_, x| Ok(Transition::NextAll(vec![x.to_string(); 2])) }

workflow! {
    /// Counts and shows.
    pub struct Counting { count: Count, pub(crate) show: Show, r#type: Twice, }
    start = count;
    edges {
        count => {[ show, r#type ]};
        show => {};
        r#type => [];
    }
}

fn counting() -> Counting {
    Counting { count: Count, show: Show, r#type: Twice }
}

#[tokio::test]
async fn each_transition_takes_its_edges() {
    let (workflow, ctx) = (counting(), WorkflowCtx::new(()));
    let start = |x| workflow.start_work_item(x);
    assert_eq!(attempt(&workflow, &ctx, start(7)).await, to(&["Show(70)", "Type(70)"]));
    assert_eq!(
        attempt(&workflow, &ctx, start(3)).await,
        to(&["Show(30)", "Type(30)", "Show(31)", "Type(31)"])
    );
    assert_eq!(attempt(&workflow, &ctx, start(0)).await, to(&[]));
    assert_eq!(attempt(&workflow, &ctx, start(4)).await, to(&[]));
    for (x, error) in [
        (1, Error::Generic("one".to_owned())),
        (2, Error::Limit("two".to_owned())),
        (5, Error::Panicked("five".to_owned())),
    ] {
        assert_eq!(attempt(&workflow, &ctx, start(x)).await.error, Some(error));
    }
}

#[tokio::test]
async fn every_value_of_a_terminal_node_is_an_output() {
    let (workflow, ctx) = (counting(), WorkflowCtx::new(()));
    let item = |item: fn(String, u16) -> CountingWorkItem| item("x".to_owned(), 9);
    assert_eq!(attempt(&workflow, &ctx, item(CountingWorkItem::Show)).await, out(["9".to_owned()]));
    assert_eq!(
        attempt(&workflow, &ctx, item(CountingWorkItem::Type)).await,
        out(["9".to_owned(), "9".to_owned()])
    );
}

#[tokio::test]
async fn a_cancelled_context_stops_the_node() {
    let (workflow, ctx) = (counting(), WorkflowCtx::new(()));
    ctx.cancel();
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(7)).await.error, Some(Error::Cancelled));
}

#[tokio::test]
async fn successors_are_queued_under_derived_ids() {
    let (workflow, ctx) = (counting(), WorkflowCtx::new(()));
    let mut queues = [const { std::collections::VecDeque::new() }; 2];
    for queue in &mut queues {
        let output = workflow.process_work_item(&ctx, workflow.start_work_item(7), queue).await;
        assert_eq!(output, Ok(None));
    }
    assert_eq!(queues[0], queues[1]);
    assert_ne!(queues[0][0].clone().with_id(), queues[0][1].clone().with_id());
    let show = queues[0].pop_front().unwrap();
    assert_eq!(workflow.process_work_item(&ctx, show, &mut queues[0]).await, Ok(Some("70".to_owned())));
}

trait WithId {
    fn with_id(self) -> String;
}

impl<I: jetway_core::WorkItem> WithId for I {
    fn with_id(self) -> String {
        let id = self.instance_id();
        assert!(!id.is_empty());
        id
    }
}

#[tokio::test]
async fn the_provided_run_follows_the_edges() {
    let ctx = WorkflowCtx::new(());
    assert_eq!(counting().run(&ctx, 7).await, Ok("70".to_owned()));
    assert_eq!(counting().run(&ctx, 0).await, Err(Error::NoOutput));
}
