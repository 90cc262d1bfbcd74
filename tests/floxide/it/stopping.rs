//! Cancellation and time limits.

use async_trait::async_trait;
use floxide::{node::Node, transition::Transition, workflow, FloxideError, Workflow, WorkflowCtx};
use std::{future::pending, time::Duration};

#[derive(Clone, Debug)]
pub struct Endless;

#[async_trait]
impl Node for Endless {
    type Input = ();
    type Output = ();

    async fn process(&self, _ctx: &(), _input: ()) -> Result<Transition<()>, FloxideError> {
        pending().await
    }
}

workflow! { struct Waiting { endless: Endless } start = endless; edges { endless => {}; } }

const WAITING: Waiting = Waiting { endless: Endless };

#[tokio::test]
async fn a_cancelled_run_ends() {
    let ctx = WorkflowCtx::new(());
    let canceller = ctx.clone();
    assert!(!ctx.is_cancelled());
    let (ended, ()) = tokio::join!(WAITING.run(&ctx, ()), async { canceller.cancel() });
    assert!(matches!(ended, Err(FloxideError::Cancelled)));
    ctx.cancelled().await;
    assert!(ctx.is_cancelled() && ctx.cancel_token().is_cancelled());
}

#[tokio::test]
async fn the_token_is_that_of_tokio_util() {
    let ctx = WorkflowCtx::new(());
    let child: tokio_util::sync::CancellationToken = ctx.cancel_token().child_token();
    ctx.cancel();
    child.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_ends_a_node() {
    let mut ctx = WorkflowCtx::new(());
    ctx.set_timeout(Duration::from_millis(20));
    let ended = WAITING.run(&ctx, ()).await;
    assert!(matches!(ended, Err(FloxideError::Timeout(limit)) if limit == Duration::from_millis(20)));
    assert_eq!(ctx.run_future(async { Ok::<_, FloxideError>(3) }).await.unwrap(), 3);
}
