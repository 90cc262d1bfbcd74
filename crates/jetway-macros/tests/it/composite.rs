//! Composite edges: units, payloads, paths, guards, ends.

#![expect(unused_qualifications, reason = "long paths are part of the test")]

use crate::{attempt, out, to};
use jetway_core::{Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};
use serde::{Deserialize, Serialize};

pub(crate) mod kinds {
    /// Neither `Copy` nor `Clone`: a value for one successor is moved.
    #[derive(Debug)]
    pub(crate) enum Verdict {
        Done,
        Good(String),
        Pair(u8, String),
        Shape {
            width: u8,
            height: u8,
            #[expect(dead_code, reason = "left out of the pattern by `..`")]
            name: &'static str,
        },
        End(String),
        Stop,
    }
}
use kinds::Verdict;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Limit(usize);

node! {
    struct Judge { strict: bool };
    context = Limit;
    input = Vec<u8>;
    output = Verdict;
    |_, kinds| {
        let strict = self.strict;
        let verdict = |kind: u8| match kind {
            0 => Verdict::Done,
            1 if strict => Verdict::Good("strict".to_owned()),
            1 => Verdict::Good("good".to_owned()),
            2 => Verdict::Pair(2, "two".to_owned()),
            3 => Verdict::Shape { width: 3, height: 4, name: "box" },
            4 => Verdict::End("over".to_owned()),
            _ => Verdict::Stop,
        };
        Ok(match kinds.as_slice() {
            [kind] => Transition::Next(verdict(*kind)),
            kinds => Transition::NextAll(kinds.iter().copied().map(verdict).collect()),
        })
    }
}

node! { struct Unit; context = Limit; input = (); output = String; |_, ()| Ok(Transition::Hold) }
node! { struct Text; context = Limit; input = String; output = String; |_, x| Ok(Transition::Next(x)) }
node! { struct Both; context = Limit; input = (u8, String); output = String; |_, (_, x)| Ok(Transition::Next(x)) }
node! {
    struct Area;
    context = Limit;
    input = (u8, u8);
    output = String;
    |_, (x, y)| Ok(Transition::Next((x * y).to_string()))
}

const LONG: usize = 4;

/// Has the name of a variable in the generated code.
fn value(limit: &Limit) -> usize {
    limit.0
}

workflow! {
    struct Judging { judge: Judge, unit: Unit, text: Text, more: Text, both: Both, area: Area }
    context = Limit;
    start = judge;
    edges {
        judge => {
            Verdict::Done => [unit];
            Verdict::Good(word) if word.len() > LONG && self.judge.strict => [more];
            Verdict::Good(_) if value(&ctx.store) > input.len() => [];
            crate::composite::kinds::Verdict::Good(_) => [text, more];
            Verdict::Pair(_, word) => [both];
            kinds::Verdict::Shape { width, height: h, .. } => [area];
            Verdict::End(word) if __store.0 > 8 => [text];
            Verdict::End(word) => [];
            Verdict::Stop => [unit];
        };
        unit => []; text => []; more => []; both => []; area => [];
    }
}

fn judging(strict: bool) -> Judging {
    Judging { judge: Judge { strict }, unit: Unit, text: Text, more: Text, both: Both, area: Area }
}

#[tokio::test]
async fn each_variant_takes_its_arm() {
    let (workflow, ctx) = (judging(false), WorkflowCtx::new(Limit(0)));
    let start = |kind| workflow.start_work_item(vec![kind]);
    assert_eq!(attempt(&workflow, &ctx, start(0)).await, to(&["Unit(())"]));
    assert_eq!(attempt(&workflow, &ctx, start(1)).await, to(&["Text(\"good\")", "More(\"good\")"]));
    assert_eq!(attempt(&workflow, &ctx, start(2)).await, to(&["Both((2, \"two\"))"]));
    assert_eq!(attempt(&workflow, &ctx, start(3)).await, to(&["Area((3, 4))"]));
    assert_eq!(attempt(&workflow, &ctx, start(4)).await, out(["over".to_owned()]));
    assert_eq!(attempt(&workflow, &ctx, start(5)).await, to(&["Unit(())"]));
}

#[tokio::test]
async fn guards_see_payload_node_context_and_input() {
    let (workflow, ctx) = (judging(true), WorkflowCtx::new(Limit(0)));
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(vec![1])).await, to(&["More(\"strict\")"]));
    let (workflow, ctx) = (judging(false), WorkflowCtx::new(Limit(2)));
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(vec![1])).await, out(["good".to_owned()]));
}

#[tokio::test]
async fn guards_see_the_floxide_name_of_the_context() {
    let (workflow, ctx) = (judging(false), WorkflowCtx::new(Limit(9)));
    assert_eq!(attempt(&workflow, &ctx, workflow.start_work_item(vec![4])).await, to(&["Text(\"over\")"]));
}

#[tokio::test]
async fn each_of_many_values_is_matched_by_itself() {
    let (workflow, ctx) = (judging(false), WorkflowCtx::new(Limit(0)));
    let result = attempt(&workflow, &ctx, workflow.start_work_item(vec![0, 4, 3, 4])).await;
    assert_eq!(result.to, ["Unit(())", "Area((3, 4))"]);
    assert_eq!(result.outputs, ["over", "over"]);
}

node! {
    struct Halve;
    input = u32;
    output = Result<Option<u32>, u32>;
    |_, x| Ok(Transition::Next(if x % 2 == 1 { Err(x) } else { Ok((x > 4).then_some(x / 2)) }))
}

node! { struct Unwrap; input = Option<u32>; output = Option<u32>; |_, x| Ok(Transition::Next(x)) }

node! { struct Zero; input = (); output = Option<u32>; |_, ()| Ok(Transition::Next(Some(0))) }

workflow! {
    /// Ends only in arms, after a cycle.
    struct Halving { halve: Halve, unwrap: Unwrap, zero: Zero }
    start = halve;
    name = "halving-2";
    output = u32;
    edges {
        halve => { Ok(x) => [unwrap]; Err(odd) => [] };
        unwrap => { Some(x) => [halve]; None => [zero]; };
        zero => { Some(x) => []; None => [zero]; };
    }
}

#[tokio::test]
async fn a_cycle_ends_where_an_arm_leads_out() {
    let (workflow, ctx) = (Halving { halve: Halve, unwrap: Unwrap, zero: Zero }, WorkflowCtx::new(()));
    assert_eq!(workflow.name(), "halving-2");
    assert_eq!(workflow.run(&ctx, 24).await, Ok(3));
    assert_eq!(workflow.run(&ctx, 4).await, Ok(0));
}
