//! Hosts without failures.

use crate::support::{DEADLINE, Host, Probe};
use jetway_actors::{ActorSystem, SystemConfig, SystemError};
use jetway_engine::{Engine, backend::Backend, memory::MemoryBackend};
use jetway_testing::wait_until;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::new())
}

#[tokio::test]
async fn a_start_message_becomes_a_run_that_completes() {
    let (backend, chain) = (memory(), Probe::new("chain", async || ()));
    let host = Host::start(&backend, &chain);
    let run = host.publish("chain", "a", 5).await;
    host.completes(&run, 5).await;
    let status = host
        .until("everything is finished", |status| {
            (status.worker.acked, status.coordinator.started) == (1, 1) && status.all_alive()
        })
        .await;
    assert_eq!((chain.executions(), status.worker.steps, status.worker.tickets), (5, 5, 1));
    assert_eq!((status.coordinator.refused, status.restarts()), (0, 0));
    assert_eq!((status.worker.nacked, status.worker.reopened), (0, 0));
    assert!(status.worker.answered && status.coordinator.answered);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!((&json["worker"]["steps"], &json["host"]), (&5.into(), &"host-1".into()));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn one_host_serves_many_workflows() {
    let backend = memory();
    let (one, two) = (Probe::new("one", async || ()), Probe::new("two", async || ()));
    let host = Host::with(&backend, &[&one, &two], |_config| ());
    for number in 0..20 {
        for workflow in ["one", "two"] {
            let run = host.publish(workflow, &format!("r{number}"), 3).await;
            host.completes(&run, 3).await;
        }
    }
    assert_eq!((one.executions(), two.executions()), (60, 60));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn no_more_steps_run_at_once_than_there_are_slots() {
    let (backend, gate) = (memory(), Arc::new(Semaphore::new(0)));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let step = {
        let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
        move || {
            let (gate, now, most) = (gate.clone(), now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, SeqCst);
            }
        }
    };
    let chain = Probe::new("chain", step);
    let host = Host::with(&backend, &[&chain], |config| config.concurrency = 3);
    let mut runs = Vec::new();
    for number in 0..12 {
        runs.push(host.publish("chain", &format!("r{number}"), 1).await);
    }
    host.until("every run is started", |status| status.coordinator.started == 12).await;
    wait_until("three steps run", DEADLINE, async || now.load(SeqCst) == 3).await;
    let status = host.observe().await;
    assert_eq!(status.worker.in_flight, 3);
    assert_eq!((status.worker.slots, status.worker.tickets, status.worker.leases), (3, 3, 3));
    gate.add_permits(12);
    for run in &runs {
        host.completes(run, 1).await;
    }
    assert_eq!((most.load(SeqCst), chain.executions()), (3, 12));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_host_announces_itself_and_its_stop() {
    let (backend, chain) = (memory(), Probe::new("chain", async || ()));
    let host = Host::with(&backend, &[&chain], |config| config.concurrency = 7);
    host.until("the host has announced itself", |status| status.coordinator.announced > 0).await;
    let hosts = backend.hosts().await.unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!((hosts[0].host.as_str(), hosts[0].slots), ("host-1", 7));
    assert_eq!(hosts[0].workflows[0].0.as_str(), "chain");
    host.drain(Duration::ZERO).await;
    assert!(backend.hosts().await.unwrap().is_empty());
}

#[tokio::test]
async fn invalid_and_unroutable_starts_are_dead_lettered() {
    let (backend, chain) = (memory(), Probe::new("chain", async || ()));
    let host = Host::with(&backend, &[&chain], |config| {
        config.cleanup_every = Duration::from_millis(20);
        config.unroutable_grace = Duration::ZERO;
    });
    host.publish("unknown", "a", 1).await;
    let status = host
        .until("the start message is dead-lettered", |status| status.coordinator.dead_lettered == 1)
        .await;
    assert_eq!(status.coordinator.refused, 0);
    let run = host.publish("chain", "a", 1).await;
    host.completes(&run, 1).await;
    host.publish("chain", "a", 2).await;
    let status = host.until("the start message is refused", |status| status.coordinator.refused == 1).await;
    assert_eq!((status.coordinator.started, status.coordinator.in_flight), (1, 0));
    host.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn invalid_settings_are_refused() {
    let start = |set: fn(&mut SystemConfig)| {
        let engine = Engine::builder(memory()).workflow::<(), _>(Probe::new("chain", async || ())).build();
        let mut config = SystemConfig::new("host-1");
        set(&mut config);
        ActorSystem::start(Arc::new(engine.unwrap()), config, tokio::runtime::Handle::current())
    };
    let refused = start(|config| config.concurrency = 0).unwrap_err();
    assert!(matches!(refused, SystemError::Slots { what: "concurrency", slots: 0 }), "{refused}");
    assert!(matches!(start(|config| config.start_concurrency = usize::MAX), Err(SystemError::Slots { .. })));
    assert!(matches!(
        start(|config| config.sweep_every = Duration::ZERO),
        Err(SystemError::Period("sweep_every"))
    ));
}
