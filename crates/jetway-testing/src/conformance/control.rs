//! Telling runs to stop, to wait, to go on.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    results::result,
    workflows::{FanInput, FanOutput, Probe},
};
use crate::wait_until;
use jetway_engine::{Control, ControlResult, backend::Api};
use jetway_state::run::Status;
use std::time::{Duration, Instant};

async fn tell(host: &TestHost, run: &jetway_state::RunKey, control: Control) -> ControlResult {
    let told = host.engine.control(run, control).await.expect("it can be told");
    told.expect("the run is there")
}

pub(super) async fn p5_a_cancelled_run_stops(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("chain3", "r", &0).await;
    probe.arrived().await;
    let told = tell(&host, &run, Control::Cancel).await;
    assert_eq!(told, ControlResult { status: Status::Cancelled, changed: true });
    assert_eq!(host.result(&run).await["status"], "cancelled");
    // The step that was under way ends, and changes nothing.
    probe.let_through(100);
    wait_until("no ticket is left", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let status = host.status(&run).await;
    assert_eq!((status.run.status, status.run.steps, probe.executed()), (Status::Cancelled, 0, 1));
}

pub(super) async fn p5_a_step_under_way_is_cut_short_when_its_run_ends(tested: BackendUnderTest) {
    // Nobody ever opens the door that its node waits at.
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("chain3", "r", &0).await;
    probe.arrived().await;
    tell(&host, &run, Control::Cancel).await;
    wait_until("the ticket is settled", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    assert_eq!((host.status(&run).await.run.steps, probe.executed()), (0, 1));
}

pub(super) async fn p7_a_false_result_stops_no_step(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let host = TestHost::at_work(&tested, &probe).await;
    let run = host.start("chain3", "r", &0).await;
    probe.arrived().await;
    let incarnation = host.status(&run).await.run.incarnation;
    let forged = result(&run, incarnation, 9, r#"{"status":"cancelled"}"#);
    tested.backend.publish_done(forged).await.expect("anybody may");
    // Long enough for the host to hear of it.
    let began = Instant::now();
    wait_until("two seconds are over", DEADLINE, async || began.elapsed() > Duration::from_secs(2)).await;
    probe.let_through(100);
    wait_until("the run goes on", DEADLINE, async || host.status(&run).await.run.status == Status::Completed)
        .await;
    assert_eq!(host.status(&run).await.run.steps, 3);
}

pub(super) async fn a_paused_run_waits_until_it_is_resumed(tested: BackendUnderTest) {
    let probe = Probe::closed();
    let mut host = TestHost::idle(&tested, &probe);
    host.work(4).await;
    // Wide enough that the payloads are beside the snapshot.
    let input = FanInput { branches: 60, bytes: 2000, ..FanInput::default() };
    let run = host.start("fan", "r", &input).await;
    probe.arrived().await;
    assert_eq!(tell(&host, &run, Control::Pause).await.status, Status::Paused);
    assert!(host.status(&run).await.waiting_for.is_some_and(|why| why.contains("paused")));
    probe.let_through(100_000);
    wait_until("every ticket is given up", DEADLINE, async || {
        tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").is_empty()
    })
    .await;
    let (executed, status) = (probe.executed(), host.status(&run).await);
    assert_eq!(status.run.status, Status::Paused);
    assert_eq!(status.pending.iter().map(|pending| pending.items).sum::<usize>(), 60 - executed as usize);
    assert_eq!(
        tell(&host, &run, Control::Resume).await,
        ControlResult { status: Status::Running, changed: true }
    );
    let output: FanOutput = host.output(&run).await;
    assert_eq!(output.positions, (0..60).collect::<Vec<_>>());
    assert_eq!(probe.executed(), 60);
}

pub(super) async fn a_run_that_is_told_again_to_go_on_has_its_tickets(tested: BackendUnderTest) {
    let mut host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &0).await;
    // As if the host that resumed it was lost before it could publish a ticket.
    host.ticket("chain3").await.lease.ack().await.expect("it is settled");
    let live = async || tested.backend.items_with_tickets(&run, None).await.expect("it can be asked").len();
    wait_until("the ticket is gone", DEADLINE, async || live().await == 0).await;
    let told = ControlResult { status: Status::Running, changed: false };
    for _ in 0..2 {
        assert_eq!(tell(&host, &run, Control::Resume).await, told);
        assert_eq!(live().await, 1);
    }
    host.work(4).await;
    assert_eq!(host.output::<u64>(&run).await, 3);
}

pub(super) async fn a_run_is_told_again_and_again(tested: BackendUnderTest) {
    let host = TestHost::idle(&tested, &Probe::open());
    let run = host.start("chain3", "r", &0).await;
    for (control, status, changed) in [
        (Control::Resume, Status::Running, false),
        (Control::Pause, Status::Paused, true),
        (Control::Pause, Status::Paused, false),
        (Control::Resume, Status::Running, true),
        (Control::Cancel, Status::Cancelled, true),
        (Control::Cancel, Status::Cancelled, false),
        (Control::Resume, Status::Cancelled, false),
    ] {
        assert_eq!(tell(&host, &run, control).await, ControlResult { status, changed }, "{control:?}");
    }
    let api = &*host.engine;
    let refused = Api::control(api, Control::Pause, "chain3", "r").await.expect_err("it has ended");
    assert_eq!(refused.code, 409, "{refused}");
    let unknown = Api::control(api, Control::Cancel, "chain3", "nobody").await.expect_err("there is none");
    assert_eq!(unknown.code, 404, "{unknown}");
}
