//! Hosts that find what was lost.

use crate::support::{DEADLINE, Fate, FaultyBackend, Host, Probe};
use jetway_engine::{
    Sweeper,
    backend::{Api, Backend, Results},
};
use jetway_state::{RunKey, Timestamp};
use jetway_testing::wait_until;
use std::{sync::Arc, time::Duration};

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);

async fn is_told(backend: &FaultyBackend, run: &RunKey) -> bool {
    backend.done(run, Timestamp::default(), Duration::ZERO).await.unwrap().is_some()
}

#[tokio::test]
async fn the_sweep_mends_a_run_whose_ticket_was_lost() {
    let backend: Arc<dyn Backend> = Arc::new(FaultyBackend::losing(1));
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = Duration::from_millis(20));
    let run = host.publish("chain", "a", 2).await;
    host.completes(&run, 2).await;
    let status = host.until("the sweep is counted", |status| status.coordinator.republished > 0).await;
    assert!(status.coordinator.sweeps > 0 && status.coordinator.runs_checked > 0);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn an_end_that_was_lost_with_the_power_is_told_again() {
    let faulty = Arc::new(FaultyBackend::losing(0));
    let backend: Arc<dyn Backend> = faulty.clone();
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = Duration::from_millis(20));
    faulty.results(Fate::Lost);
    let run = host.publish("chain", "a", 2).await;
    let ended = host.until("the ticket is settled", |status| status.worker.done == 1).await;
    faulty.results(Fate::Kept);
    let sweeps = ended.coordinator.sweeps + 3;
    host.until("some sweeps see no reason", |status| status.coordinator.sweeps >= sweeps).await;
    assert!(!is_told(&faulty, &run).await);
    faulty.says_that_power_was_cut();
    host.completes(&run, 2).await;
    assert_eq!(chain.executions(), 2);
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn no_room_for_results_keeps_no_lost_ticket_waiting() {
    let faulty = Arc::new(FaultyBackend::losing(1));
    let backend: Arc<dyn Backend> = faulty.clone();
    let chain = Probe::new("chain", async || ());
    let host = Host::with(&backend, &[&chain], |config| config.sweep_every = NEVER);
    let stuck = host.start_directly("chain", "z", 1).await;
    faulty.results(Fate::Lost);
    let ended = [host.publish("chain", "a", 1).await, host.publish("chain", "b", 1).await];
    host.until("the two have ended", |status| status.worker.done == 2).await;
    faulty.results(Fate::Refused);
    let mut sweeper = Sweeper::default();
    sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
    let swept = host.engine().sweep(&mut sweeper).await.unwrap();
    assert_eq!(swept.republished, 1, "{swept:?}");
    assert_eq!(swept.looked_at, 2, "one run is enough to learn that there is no room: {swept:?}");
    wait_until("the run goes on and ends", DEADLINE, async || {
        host.engine().status("chain", "z").await.unwrap()["status"] == "completed"
    })
    .await;
    faulty.results(Fate::Kept);
    for run in [&stuck, &ended[0], &ended[1]] {
        wait_until("its end is told", DEADLINE, async || {
            sweeper.suspect_loss(jetway_core::clock::now(), jetway_core::clock::now());
            host.engine().sweep(&mut sweeper).await.unwrap();
            is_told(&faulty, run).await
        })
        .await;
    }
    host.drain(Duration::ZERO).await;
}
