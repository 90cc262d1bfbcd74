//! Runs that continue as new, in memory and in this process.

use super::{DEADLINE, waiters::waits_for};
use jetway_core::{Counter, InMemoryCheckpointStore, Transition, Workflow, WorkflowCtx, clock::Clock as _};
use jetway_engine::{Engine, backend::Backend, memory::MemoryBackend};
use jetway_macros::{node, workflow};
use jetway_state::{Error, run::WantedResult};
use jetway_testing::{TestClock, conformance::TestHost};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);

node! { struct Doze {}; input = u64; output = u64; |_ctx, seconds| { Ok(Transition::NextAfter(Duration::from_secs(seconds), seconds)) } }
node! { struct Again {}; input = u64; output = u64; |_ctx, seconds| { Ok(Transition::ContinueAsNew(seconds.into())) } }

workflow! {
    struct Rounds { doze: Doze, again: Again }
    name = "rounds";
    start = doze;
    deadline = "10 s";
    edges { doze => [again]; again => []; }
}

node! {
    struct Count {}; context = Counter; input = u32; output = (u32, i64);
    |ctx, left| {
        ctx.add(1);
        Ok(Transition::Next((left, ctx.get())))
    }
}
node! {
    struct Lap {}; context = Counter; input = (u32, i64); output = i64;
    |_ctx, lap| {
        Ok(match lap {
            (0, steps) => Transition::Next(steps),
            (left, _) => Transition::ContinueAsNew((left - 1).into()),
        })
    }
}

workflow! {
    struct Laps { count: Count, lap: Lap }
    name = "laps";
    context = Counter;
    start = count;
    edges { count => [lap]; lap => []; }
}

node! { struct Split {}; input = u32; output = u32; |_ctx, branches| { Ok(Transition::NextAll((0..branches).collect())) } }
node! { struct Branch {}; input = u32; output = u32; |_ctx, branch| { Ok(Transition::ContinueAsNew(branch.into())) } }

workflow! { struct Wide { split: Split, branch: Branch } name = "wide"; start = split; edges { split => [branch]; branch => []; } }

#[tokio::test]
async fn w52_a_chain_that_continues_at_eight_seconds_fails_at_ten() {
    let clock = TestClock::new();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new().with_clock(Arc::new(clock.clone())));
    let rounds = Rounds { doze: Doze {}, again: Again {} };
    let mut host = TestHost::of(Engine::builder(Arc::clone(&backend)).workflow(rounds).build().unwrap());
    host.work(4).await;
    let (start, run) = (clock.now(), host.start("rounds", "r", &8_u64).await);
    waits_for(&clock, 8 * SECOND).await;
    clock.advance(8 * SECOND);
    timeout(DEADLINE, async {
        while host.status(&run).await.continued == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    waits_for(&clock, 2 * SECOND).await;
    clock.advance(2 * SECOND);
    let result = backend.done(&run, WantedResult::Latest, DEADLINE).await.unwrap().unwrap();
    let result: Value = serde_json::from_slice(&result).unwrap();
    assert_eq!((&result["status"], &result["error"]["kind"]), (&"failed".into(), &"deadline".into()));
    assert_eq!(result["finished_at"], start.after(10 * SECOND).to_string());
}

#[tokio::test]
async fn a_run_in_this_process_continues_with_a_fresh_context() {
    let laps = Laps { count: Count {}, lap: Lap {} };
    let ctx = WorkflowCtx::new(Counter::default());
    assert_eq!(laps.run(&ctx, 1000).await, Ok(1));
    // That of its caller is the one of the first incarnation.
    assert_eq!(ctx.store.get(), 1);
    let checkpoints = InMemoryCheckpointStore::new();
    assert_eq!(laps.run_with_checkpoint(&ctx, 3, &checkpoints, "r").await, Ok(1));
    assert_eq!(laps.run_with_checkpoint(&ctx, 3, &checkpoints, "r").await, Ok(1), "it has ended");
    let wide = Wide { split: Split {}, branch: Branch {} };
    let refused = wide.run(&WorkflowCtx::new(()), 3).await;
    assert_eq!(refused, Err(Error::BranchesOpen("2 of its other branches are open".to_owned())));
}
