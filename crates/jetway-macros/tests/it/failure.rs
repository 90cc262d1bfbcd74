//! `on_failure`: which failures take the edge, and the input of the fallback.

use crate::{AttemptResult, attempt, to};
use jetway_core::{Error, Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};
use std::time::Duration;

/// Panics on one clone, so that a test detects an unnecessary one.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Page(u8);

impl Clone for Page {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 99, "cloned without need");
        Self(self.0)
    }
}

#[derive(Debug)]
enum Kind {
    Small(u8),
    Large,
}

node! {
    struct Parse;
    input = Page;
    output = Kind;
    |_, page| match page.0 {
        0 => Err(Error::Generic("zero".to_owned())),
        1 => Ok(Transition::Abort(Error::Generic("one".to_owned()))),
        2 => panic!("two"),
        3 => std::future::pending().await,
        4 => Err(Error::Cancelled),
        5 => Ok(Transition::Next(Kind::Large)),
        small => Ok(Transition::Next(Kind::Small(small))),
    }
}

node! { struct Store; input = u8; output = (); |_, _| Ok(Transition::Next(())) }
node! { struct Note; input = (); output = (); |_, ()| Ok(Transition::Next(())) }
node! { struct Quarantine; input = Page; output = (); |_, _| Ok(Transition::Next(())) }
node! { struct Plain; input = Page; output = u8; |_, page| Ok(Transition::Next(page.0)) }

workflow! {
    struct Pages { parse: Parse, store: Store, note: Note, quarantine: Quarantine, report: Quarantine }
    start = parse;
    edges {
        parse on_failure => {[quarantine, report]};
        parse => { Kind::Small(x) => [store]; Kind::Large => [note]; };
        store => {};
        note => {};
        quarantine => {};
        report on_failure => [quarantine];
    }
}

workflow! {
    struct Direct { plain: Plain, store: Store, quarantine: Quarantine }
    start = plain;
    edges { plain => [store]; plain on_failure => [quarantine]; store => []; quarantine => []; }
}

fn pages() -> Pages {
    Pages { parse: Parse, store: Store, note: Note, quarantine: Quarantine, report: Quarantine }
}

fn caught(page: u8, error: Error) -> AttemptResult<()> {
    let to = vec![format!("Quarantine(Page({page}))"), format!("Report(Page({page}))")];
    AttemptResult { to, outputs: Vec::new(), error: Some(error) }
}

#[tokio::test]
async fn every_failure_takes_the_edge_with_the_input() {
    let (workflow, mut ctx) = (pages(), WorkflowCtx::new(()));
    ctx.set_timeout(Duration::from_millis(20));
    for (page, error) in [
        (0, Error::Generic("zero".to_owned())),
        (1, Error::Generic("one".to_owned())),
        (2, Error::Panicked("two".to_owned())),
        (3, Error::Timeout(Duration::from_millis(20))),
    ] {
        let result = attempt(&workflow, &ctx, workflow.start_work_item(Page(page))).await;
        assert_eq!(result, caught(page, error));
    }
}

#[tokio::test]
async fn cancellation_does_not_take_the_edge() {
    let (workflow, ctx) = (pages(), WorkflowCtx::new(()));
    let refused = AttemptResult { to: Vec::new(), outputs: Vec::new(), error: Some(Error::Cancelled) };
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(Page(4))).await, refused);
    ctx.cancel();
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(Page(0))).await, refused);
}

#[tokio::test]
async fn success_does_not_take_the_edge() {
    let (workflow, ctx) = (pages(), WorkflowCtx::new(()));
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(Page(9))).await, to(&["Store(9)"]));
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(Page(5))).await, to(&["Note(())"]));
    let direct = Direct { plain: Plain, store: Store, quarantine: Quarantine };
    assert_eq!(attempt(&direct, &ctx, direct.start_work_item(Page(8))).await, to(&["Store(8)"]));
}

#[tokio::test]
async fn a_node_with_only_a_failure_edge_ends_the_run() {
    let (workflow, ctx) = (pages(), WorkflowCtx::new(()));
    let item = PagesWorkItem::Report("x".to_owned(), Page(7));
    assert!(jetway_core::WorkItem::is_terminal(&item));
    assert_eq!(attempt(&workflow, &ctx, item).await, crate::out([()]));
}

#[tokio::test]
async fn an_input_without_fallback_is_not_cloned() {
    let (workflow, ctx) = (pages(), WorkflowCtx::new(()));
    let item = PagesWorkItem::Quarantine("x".to_owned(), Page(99));
    assert_eq!(attempt(&workflow, &ctx, item).await, crate::out([()]));
}
