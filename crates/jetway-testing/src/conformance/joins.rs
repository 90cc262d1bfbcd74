//! Joins, by the engine and by hand.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    workflows::{FanInput, FanOutput, Probe},
};
use crate::wait_until;

pub(super) async fn a_join_runs_once_in_order(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let input = FanInput { branches: 37, ..FanInput::default() };
    let run = host.start("fan", "r", &input).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, (0..37).collect::<Vec<_>>());
    let status = host.status(&run).await;
    assert_eq!((status.run.steps, status.run.outputs.len()), (1 + 37 + 1, 1));
}

pub(super) async fn joins_nest(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("nested", "r", &vec![3, 0, 1, 2]).await;
    let table: Vec<Vec<u32>> = host.output(&run).await;
    assert_eq!(table, [vec![30, 31, 32], vec![], vec![10], vec![20, 21]]);
}

pub(super) async fn a_fan_out_of_nothing_is_joined(tested: BackendUnderTest) {
    let host = TestHost::at_work(&tested, &Probe::open()).await;
    let run = host.start("fan", "r", &FanInput::default()).await;
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output, FanOutput { positions: vec![], counted: 2 });
}

pub(super) async fn a_held_join_goes_on_once(tested: BackendUnderTest) {
    // Every branch sees the context before any other has written it, on two engines.
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let mut other = TestHost::idle(&tested, &probe);
    other.work(8).await;
    let run = host.start("held", "r", &12).await;
    probe.arrived().await;
    probe.let_through(100_000);
    assert_eq!(host.output::<u32>(&run).await, (0..12).sum::<u32>());
    let status = host.status(&run).await;
    assert_eq!((status.run.steps, status.run.outputs.len()), (1 + 12 + 1, 1));
}

pub(super) async fn a_bounded_node_takes_only_so_many(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let mut other = TestHost::idle(&tested, &probe);
    other.work(8).await;
    // Wide enough that the payloads are beside the snapshot.
    let input = FanInput { branches: 90, bytes: 1000, ..FanInput::default() };
    let run = host.start("narrow", "r", &input).await;
    wait_until("as many as may are at work", DEADLINE, async || probe.executed() == 3).await;
    let status = host.status(&run).await;
    let [pending] = status.pending.as_slice() else { panic!("{:?}", status.pending) };
    assert_eq!((pending.node.as_deref(), pending.items, pending.waiting), (Some("visit"), 90, 87));
    // The ticket of the step that opened the fan-out is acknowledged after those of its branches are there.
    wait_until("only theirs are live", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").len() == 3
    })
    .await;
    probe.let_through(100_000);
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, (0..90).collect::<Vec<_>>());
    assert_eq!((probe.executed(), probe.most()), (90, 3));
}
