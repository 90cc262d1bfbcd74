//! Hosts that repair what was lost.

use crate::support::{DEADLINE, Faults, FaultyBackend, Host, Probe, ResultFault};
use jetway_engine::{
    Sweeper,
    backend::{Api, Backend, Results},
};
use jetway_state::{RunKey, run::WantedResult};
use jetway_testing::wait_until;
use std::{sync::Arc, time::Duration};

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);

async fn has_result(backend: &FaultyBackend, run: &RunKey) -> bool {
    backend.done(run, WantedResult::Latest, Duration::ZERO).await.unwrap().is_some()
}

#[tokio::test]
async fn the_sweep_publishes_a_lost_ticket_again() {
    let backend: Arc<dyn Backend> = Arc::new(Faults::losing(1));
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = Duration::from_millis(20));
    let run = host.publish("chain", "a", 2).await;
    host.completes(&run, 2).await;
    let status = host.until("the sweep is counted", |status| status.coordinator.republished > 0).await;
    assert!(status.coordinator.sweeps > 0 && status.coordinator.runs_checked > 0);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_lost_result_is_published_again() {
    let faulty = Arc::new(Faults::losing(0));
    let backend: Arc<dyn Backend> = faulty.clone();
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = Duration::from_millis(20));
    // Not for a while: what the sweep publishes meanwhile would be lost too, and it does not look at that run again.
    faulty.0.results(ResultFault::FirstLost);
    let run = host.publish("chain", "a", 2).await;
    host.completes(&run, 2).await;
    assert_eq!(faulty.0.current_results(), ResultFault::None, "no result was lost");
    assert_eq!(chain.executions(), 2);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_result_lost_in_a_power_cut_is_published_again() {
    let faulty = Arc::new(Faults::losing(0));
    let backend: Arc<dyn Backend> = faulty.clone();
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = NEVER);
    faulty.0.results(ResultFault::Lost);
    let run = host.publish("chain", "a", 2).await;
    host.until("the ticket is acknowledged", |status| status.worker.acked == 1).await;
    faulty.0.results(ResultFault::None);
    assert!(!has_result(&faulty, &run).await);
    faulty.0.report_power_cut();
    host.completes(&run, 2).await;
    assert_eq!(chain.executions(), 2);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_full_result_store_does_not_block_lost_tickets() {
    let faulty = Arc::new(Faults::losing(1));
    let backend: Arc<dyn Backend> = faulty.clone();
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = NEVER);
    let stuck = host.start_directly("chain", "z", 1).await;
    faulty.0.results(ResultFault::Lost);
    let ended = [host.publish("chain", "a", 1).await, host.publish("chain", "b", 1).await];
    host.until("the two have ended", |status| status.worker.acked == 2).await;
    faulty.0.results(ResultFault::Refused);
    let mut sweeper = Sweeper::default();
    sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
    let swept = host.engine().sweep(&mut sweeper).await.unwrap();
    assert_eq!(swept.republished, 1, "{swept:?}");
    assert_eq!(swept.runs_checked, 2, "one refused result is enough to stop publishing results: {swept:?}");
    wait_until("the run completes", DEADLINE, async || {
        host.engine().status("chain", "z").await.unwrap().run.status == jetway_state::run::Status::Completed
    })
    .await;
    faulty.0.results(ResultFault::None);
    for run in [&stuck, &ended[0], &ended[1]] {
        wait_until("its result is published", DEADLINE, async || {
            sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
            host.engine().sweep(&mut sweeper).await.unwrap();
            has_result(&faulty, run).await
        })
        .await;
    }
    host.drain(Duration::ZERO).await;
}
