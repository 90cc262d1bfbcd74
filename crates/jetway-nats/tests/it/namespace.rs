//! Setting up a namespace, and its number of replicas.

use crate::{
    signals::signal,
    support::{DEADLINE, FINGERPRINT, config, config_for, connect, run, ticket},
};
use async_nats::jetstream;
use futures::StreamExt as _;
use jetway_engine::backend::{
    Alarm, Alarms as _, BackendErrorKind, HostInfo, Hosts as _, Signals as _, StartRequest, Starts as _,
    TicketQueue as _,
};
use jetway_nats::{NatsBackend, NatsConfig, Provisioning, set_up};
use jetway_state::{
    Incarnation,
    codec::Encoding,
    run::{RunDeadline, StartTime},
    trace::TraceHeaders,
};
use jetway_testing::{NatsCluster, shared_server, wait_until};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

fn start() -> StartRequest {
    StartRequest {
        workflow: "pay".to_owned(),
        run_id: "a".to_owned(),
        input: "1".into(),
        encoding: Encoding::Json,
        start_time: StartTime::Now,
        deadline: RunDeadline::OfWorkflow,
        trace: TraceHeaders::default(),
    }
}

fn host_info() -> HostInfo {
    HostInfo {
        host: "a".to_owned(),
        workflows: Vec::new(),
        slots: 1,
        started_at: String::new(),
        version: String::new(),
        no_room_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_a_namespace_is_set_up_once() {
    let config = config("setup").await;
    let client = || connect(NatsConfig { provisioning: Provisioning::Trust, ..config.clone() });
    let refused = client().await.publish_start(&start()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured, "{refused}");
    let command = format!("`jetway setup --namespace {}`", config.namespace);
    assert!(refused.to_string().contains(&command), "{refused}");

    let first = set_up(config.clone()).await.unwrap();
    assert_eq!((first.created.len(), first.replicas), (9, 1), "{first:?}");
    assert_eq!((first.changed.len(), first.unchanged.len(), first.left.len()), (0, 0, 0), "{first:?}");
    let again = set_up(config.clone()).await.unwrap();
    assert_eq!((again.created.len(), again.unchanged.len()), (0, 9), "{again:?}");
    client().await.publish_start(&start()).await.unwrap();
    connect(NatsConfig { provisioning: Provisioning::Check, ..config.clone() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_tickets_are_published_when_their_stream_is_made_anew() {
    let config = config("anew").await;
    set_up(config.clone()).await.unwrap();
    let jetstream = jetstream::new(async_nats::connect(shared_server().await.url()).await.unwrap());
    let name = format!("JETWAY_{}_WORK", config.namespace);
    jetstream.delete_stream(&name).await.unwrap();
    let report = set_up(config.clone()).await.unwrap();
    assert_eq!(report.created, std::slice::from_ref(&name));
    let stream = jetstream.get_stream(&name).await.unwrap();
    assert!(!stream.cached_info().config.metadata.contains_key("jetway-tickets-missing"));
    connect(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_replicas_without_a_cluster_change_nothing() {
    let config = config("alone").await;
    set_up(config.clone()).await.unwrap();
    let three = NatsConfig { replicas: Some(3), ..config.clone() };
    let refused = set_up(three.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::Misconfigured, "{refused}");
    assert!(refused.to_string().contains("a cluster of at least 3 servers"), "{refused}");
    let refused = NatsBackend::connect(three).await.unwrap_err();
    assert!(refused.to_string().contains("jetway setup --replicas 3"), "{refused}");
    let report = set_up(NatsConfig { replicas: Some(1), ..config }).await.unwrap();
    assert_eq!((report.created.len(), report.unchanged.len()), (0, 9), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f8_replicas_are_recorded_and_followed() {
    let mut cluster = NatsCluster::start(3).await.unwrap();
    let mut config = config_for(cluster.server(0), "cluster");
    config.servers = cluster.urls().into();
    config.announce_every = Duration::from_millis(500);
    wait_until("the cluster has a leader", DEADLINE, async || set_up(config.clone()).await.is_ok()).await;
    let host = connect(config.clone()).await;
    assert_eq!(host.durability().await.unwrap().replicas, 1);
    let info = host_info();
    host.announce(&info).await.unwrap();
    // One alarm waits for its time, and one has rung, but no host forwards it.
    let now = host.clock().now();
    let alarm = |due, id| Alarm { due, ticket: ticket(&run(id), "i1"), build: FINGERPRINT };
    let far = alarm(now.after(Duration::from_secs(3600)), "far");
    for alarm in [far.clone(), alarm(now, "rung")] {
        host.arm(alarm).await.unwrap();
    }
    // One signal waits to be applied, and one for its run.
    let waits = host.publish_signal(&signal(&run("far"), "paid", "1")).await.unwrap();
    host.put_off(&waits, far.due).await.unwrap();
    wait_until("the alarm rings", DEADLINE, async || host.queues().await.unwrap().wakes.len() == 1).await;
    let announcing = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        loop {
            pace.tick().await;
            host.announce(&info).await.unwrap();
        }
    };
    let three = NatsConfig { replicas: Some(3), ..config.clone() };
    let report = tokio::select! {
        report = set_up(three.clone()) => report.unwrap(),
        () = announcing => unreachable!(),
    };
    assert_eq!((report.changed.len(), report.replicas), (9, 3), "{report:?}");
    let again = set_up(config.clone()).await.unwrap();
    assert_eq!((again.unchanged.len(), again.replicas), (9, 3), "{again:?}");
    let queues = host.queues().await.unwrap();
    assert_eq!(queues.alarms.get("pay"), Some(&1), "the alarm is copied");
    assert_eq!(queues.signals_put_off.get("pay"), Some(&1), "{queues:?}");
    let found = host.stored_signals(&run("far"), 0, 10).await.unwrap();
    assert_eq!((found.len(), found[0].sequence), (1, waits.sequence));
    let mut tickets = host.tickets(&run("rung").workflow, Arc::new(Semaphore::new(4))).await.unwrap();
    let rung = timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(rung.ticket.run(), run("rung"));
    rung.lease.ack().await.unwrap();
    host.disarm(&run("far"), Incarnation::default(), Some(far.due)).await.unwrap();
    let soon = host.clock().now().after(Duration::from_millis(300));
    host.arm(Alarm { due: soon, ..far }).await.unwrap();
    let rung = timeout(DEADLINE, tickets.next()).await.unwrap().unwrap().unwrap();
    assert!(rung.ticket.run() == run("far") && rung.ticket.at >= soon, "{rung:?}");
    drop(tickets);

    // A stream that disappears comes back with three.
    let jetstream = jetstream::new(async_nats::connect(cluster.server(1).url()).await.unwrap());
    let name = format!("JETWAY_{}_DEAD", config.namespace);
    jetstream.delete_stream(&name).await.unwrap();
    let follower = connect(config.clone()).await;
    assert_eq!(follower.durability().await.unwrap().replicas, 3);
    assert_eq!(jetstream.get_stream(&name).await.unwrap().cached_info().config.num_replicas, 3);
    connect(three).await;

    // And back, for which the hosts need not be asked.
    let report = set_up(NatsConfig { replicas: Some(1), ..config.clone() }).await.unwrap();
    assert_eq!((report.changed.len(), report.replicas), (9, 1), "{report:?}");
    connect(config).await;
}
