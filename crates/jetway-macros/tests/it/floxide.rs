//! All spellings of the floxide interface that Jetway must accept.

#![expect(unreachable_pub, reason = "this is the usual style")]

use async_trait::async_trait;
use jetway_core::{FloxideError, Node, Transition, Workflow, WorkflowCtx};
use jetway_macros::{node, workflow};

node! {
    pub struct StepNode { name: &'static str };
    context = ();
    input = ();
    output = ();
    |_ctx, _x| {
        Ok(Transition::Next(()))
    }
}

#[derive(Debug, Clone)]
pub struct Fails;

#[async_trait]
impl Node for Fails {
    type Input = ();
    type Output = ();

    async fn process(&self, _ctx: &(), _input: ()) -> Result<Transition<()>, FloxideError> {
        Ok(Transition::Abort(FloxideError::Generic("no".to_owned())))
    }
}

/// A policy that names itself is not a node. If a node has a direct and a composite edge, the direct one is taken, and the
/// arms are only drawn.
#[expect(deprecated, reason = "the macro warns this way")]
mod drawn {
    use super::{Fails, StepNode, workflow};

    workflow! {
        pub struct Drawn {
            #[retry = policy]
            policy: StepNode,
            first: StepNode,
            second: Fails,
            shown: StepNode
            fallback: StepNode,
            last: StepNode,
        }
        start = first;
        context = ();
        edges {
            first => { [ second ] };
            first => {
                StepNode::Branch(x) => [ shown ];
                Nothing::AtAll => [ last ];
            };
            second => {[ last ]};
            second on_failure => { [ fallback ] };
            fallback => [ last ] ;
            shown => { [last] };
            last => { [] };
        }
    }
}

#[tokio::test]
async fn a_direct_edge_wins_over_arms() {
    let step = StepNode { name: "step" };
    let workflow = drawn::Drawn {
        policy: step.clone(),
        first: step.clone(),
        second: Fails,
        shown: step.clone(),
        fallback: step.clone(),
        last: step.clone(),
    };
    let ctx = WorkflowCtx::new(());
    let result = crate::attempt(&workflow, &ctx, workflow.start_work_item(())).await;
    assert_eq!(result, crate::to(&["Second(())"]));
    assert_eq!(workflow.run(&ctx, ()).await, Ok(()));
    assert!(workflow.to_dot().contains("  First -> Shown [label=\"Branch\"];\n"));
    assert!(workflow.graph().edges.iter().all(|edge| edge.to.as_deref() != Some("shown")));
    let shadowed = workflow.graph().shadowed;
    let shadowed: Vec<_> = shadowed.iter().map(|edge| (edge.from.as_str(), edge.to.as_deref())).collect();
    assert_eq!(shadowed, [("first", Some("shown")), ("first", Some("last"))]);
    assert!(!workflow.to_dot().contains("Policy"));
    assert_eq!(step.name, "step");
}
