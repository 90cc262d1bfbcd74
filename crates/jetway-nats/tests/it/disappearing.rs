//! Streams, buckets and consumers that somebody removes while hosts are at work: they are made again.

use crate::support::{DEADLINE, client, config, connect};
use async_nats::jetstream::{self, Context};
use futures::StreamExt as _;
use jetway_engine::{
    Engine, Sweeper,
    backend::{Backend, DeadLetter, HostInfo, Hosts as _},
};
use jetway_nats::{NatsBackend, NatsConfig, NatsStores, Provisioning};
use jetway_state::{RunKey, Seen};
use jetway_testing::{
    conformance::{BackendUnderTest, Probe, TestHost},
    wait_until,
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// Two hosts of one namespace, which sweep when their backends tell of a loss.
struct TwoHosts {
    hosts: [TestHost; 2],
    backends: [Arc<NatsBackend>; 2],
    jetstream: Context,
    namespace: String,
    _sweeps: JoinSet<()>,
}

async fn sweep_after_losses(engine: Arc<Engine>) {
    let (mut sweeper, mut losses) = (Sweeper::default(), engine.backend().ticket_loss_events());
    while let Some(since) = losses.next().await {
        sweeper.suspect_loss(since, engine.clock().now());
        if let Err(error) = engine.sweep(&mut sweeper).await {
            panic!("the sweep after a loss fails: {error}");
        }
    }
}

impl TwoHosts {
    async fn at_work(label: &str, probe: &Probe) -> Self {
        let config = NatsConfig { ack_wait: Duration::from_secs(2), ..config(label).await };
        let namespace = config.namespace.to_string();
        let backends = [Arc::new(connect(config.clone()).await), Arc::new(connect(config).await)];
        let mut sweeps = JoinSet::new();
        let mut hosts = Vec::new();
        for backend in &backends {
            let backend: Arc<dyn Backend> = backend.clone();
            let host = TestHost::at_work(&BackendUnderTest::new(backend), probe).await;
            sweeps.spawn(sweep_after_losses(Arc::clone(&host.engine)));
            hosts.push(host);
        }
        let hosts = hosts.try_into().expect("there are two");
        Self { hosts, backends, jetstream: jetstream::new(client().await), namespace, _sweeps: sweeps }
    }

    fn name(&self, suffix: &str) -> String {
        match suffix {
            "RUNS" | "HOSTS" => format!("KV_JETWAY_{}_{suffix}", self.namespace),
            _ => format!("JETWAY_{}_{suffix}", self.namespace),
        }
    }

    async fn remove(&self, suffix: &str) {
        self.jetstream.delete_stream(self.name(suffix)).await.unwrap();
    }

    async fn is_back(&self, suffix: &str) {
        let name = self.name(suffix);
        wait_until("the stream is made again", DEADLINE, async || {
            self.jetstream.get_stream(&name).await.is_ok()
        })
        .await;
    }

    /// A run that is started by one host.
    async fn completes(&self, host: usize, id: &str) {
        let input = serde_json::to_vec(&0).unwrap();
        let subject = format!("jetway.{}.start.chain3", self.namespace);
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jetway-Run-Id", id);
        // As any client does that repeats what was not acknowledged.
        wait_until("the start is stored", DEADLINE, async || {
            let sent =
                self.jetstream.publish_with_headers(subject.clone(), headers.clone(), input.clone().into());
            sent.await.ok()?.await.ok()
        })
        .await;
        let run = RunKey::new("chain3".parse().unwrap(), id.parse().unwrap());
        assert_eq!(self.hosts[host].output::<u64>(&run).await, 3);
    }
}

async fn made_again(label: &str, suffix: &str) {
    let two = TwoHosts::at_work(label, &Probe::open()).await;
    two.completes(0, "before").await;
    two.remove(suffix).await;
    two.is_back(suffix).await;
    two.completes(0, "after").await;
    two.completes(1, "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_stream_of_starts_is_made_again() {
    made_again("nostart", "START").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_what_was_made_again_is_told_later() {
    let two = TwoHosts::at_work("told", &Probe::open()).await;
    assert_eq!(two.backends[0].streams_made_again().await.unwrap(), [""; 0]);
    two.remove("DONE").await;
    two.is_back("DONE").await;
    let told = two.backends[1].streams_made_again().await.unwrap();
    let [sentence] = &told[..] else { panic!("not one: {told:?}") };
    assert!(
        sentence.starts_with(&two.name("DONE")) && sentence.contains("results of runs are lost"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_stream_of_tickets_is_made_again() {
    made_again("nowork", "WORK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_bucket_of_runs_is_made_again() {
    made_again("noruns", "RUNS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_stream_of_results_is_made_again() {
    made_again("nodone", "DONE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_stream_of_dead_letters_is_made_again() {
    let two = TwoHosts::at_work("nodead", &Probe::open()).await;
    two.remove("DEAD").await;
    let letter = DeadLetter {
        workflow: "chain3".to_owned(),
        why: "test".to_owned(),
        id: "1".to_owned(),
        ..DeadLetter::default()
    };
    let backend: &dyn Backend = &*two.backends[0];
    backend.dead_letter(letter).await.unwrap();
    let mut dead = two.jetstream.get_stream(two.name("DEAD")).await.unwrap();
    assert_eq!(dead.info().await.unwrap().state.messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_bucket_of_hosts_is_made_again() {
    let two = TwoHosts::at_work("nohosts", &Probe::open()).await;
    let host = HostInfo {
        host: "one".to_owned(),
        workflows: Vec::new(),
        slots: 1,
        started_at: String::new(),
        version: String::new(),
        no_room_at: None,
    };
    two.backends[0].announce(&host).await.unwrap();
    two.remove("HOSTS").await;
    wait_until("the host is announced again", DEADLINE, async || {
        two.backends[0].announce(&host).await.is_ok()
    })
    .await;
    assert_eq!(two.backends[1].hosts().await.unwrap(), [host]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_an_idle_host_makes_all_streams_again() {
    let two = TwoHosts::at_work("noall", &Probe::open()).await;
    for suffix in ["DEAD", "DONE", "RUNS", "HOSTS", "WORK", "TIMERS", "SIGNAL", "START"] {
        two.remove(suffix).await;
    }
    for suffix in ["START", "WORK", "TIMERS", "SIGNAL", "RUNS", "DONE", "DEAD", "HOSTS"] {
        two.is_back(suffix).await;
    }
    two.completes(0, "after").await;
    two.completes(1, "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_consumer_is_made_again() {
    let two = TwoHosts::at_work("nocons", &Probe::open()).await;
    two.completes(0, "before").await;
    for (suffix, consumer) in [("WORK", "work_chain3"), ("TIMERS", "wake_chain3"), ("START", "start_chain3")]
    {
        let stream = two.jetstream.get_stream(two.name(suffix)).await.unwrap();
        stream.delete_consumer(consumer).await.unwrap();
    }
    two.completes(0, "after").await;
    two.completes(1, "later").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_lost_tickets_are_published_again() {
    let probe = Probe::closed();
    let two = TwoHosts::at_work("losttickets", &probe).await;
    let mut runs = Vec::new();
    for number in 0..8 {
        runs.push(two.hosts[0].start("chain3", &format!("r{number}"), &0).await);
    }
    wait_until("all of them are at work", DEADLINE, async || probe.executed() == 8).await;
    two.remove("WORK").await;
    for run in &runs {
        wait_until("the ticket is published again", DEADLINE, async || {
            let items = two.backends[1].as_ref() as &dyn Backend;
            items.items_with_tickets(run, None).await.is_ok_and(|items| !items.is_empty())
        })
        .await;
    }
    probe.let_through(1000);
    for run in &runs {
        assert_eq!(two.hosts[1].output::<u64>(run).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_attempts_of_runs_that_are_gone_end() {
    let probe = Probe::closed();
    let two = TwoHosts::at_work("lostruns", &probe).await;
    let run = two.hosts[0].start("chain3", "r", &0).await;
    wait_until("it is at work", DEADLINE, async || probe.executed() == 1).await;
    two.remove("RUNS").await;
    two.is_back("RUNS").await;
    for backend in &two.backends {
        wait_until("the run is gone", DEADLINE, async || {
            let backend: &dyn Backend = &**backend;
            backend.load(&run, Seen::default()).await.is_ok_and(|found| found.is_none())
        })
        .await;
    }
    probe.let_through(1000);
    wait_until("its ticket is settled", DEADLINE, async || {
        let backend: &dyn Backend = &*two.backends[1];
        backend.items_with_tickets(&run, None).await.is_ok_and(|items| items.is_empty())
    })
    .await;
    let again = two.hosts[1].start("chain3", "r", &10).await;
    assert_eq!(two.hosts[1].output::<u64>(&again).await, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_the_streams_of_stores_are_made_again() {
    let config = config("nostores").await;
    let namespace = config.namespace.to_string();
    let stores = NatsStores::connect(config, "pay").await.unwrap();
    let jetstream = jetstream::new(client().await);
    let names = [
        format!("KV_JETWAY_{namespace}_STORE_STATE"),
        format!("JETWAY_{namespace}_STORE_ITEMS"),
        format!("JETWAY_{namespace}_DEAD"),
    ];
    for name in &names {
        jetstream.delete_stream(name).await.unwrap();
    }
    for name in &names {
        wait_until("the stream is made again", DEADLINE, async || jetstream.get_stream(name).await.is_ok())
            .await;
    }
    drop(stores);
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_host_that_may_not_make_streams_goes_on_later() {
    let config = config("maynot").await;
    let maker = connect(config.clone()).await;
    let checking = NatsConfig { provisioning: Provisioning::Check, ..config.clone() };
    drop(maker);
    let backend: Arc<dyn Backend> = Arc::new(connect(config.clone()).await);
    let maker = TestHost::at_work(&BackendUnderTest::new(backend), &Probe::open()).await;
    let checker: Arc<dyn Backend> = Arc::new(connect(checking).await);
    let checker = TestHost::at_work(&BackendUnderTest::new(checker), &Probe::open()).await;
    drop(maker);
    let jetstream = jetstream::new(client().await);
    let name = format!("JETWAY_{}_WORK", config.namespace);
    jetstream.delete_stream(&name).await.unwrap();
    let before = Instant::now();
    wait_until("some time passes", DEADLINE, async || before.elapsed() > Duration::from_secs(2)).await;
    assert!(jetstream.get_stream(&name).await.is_err(), "who may not make it has made it");
    let backend: Arc<dyn Backend> = Arc::new(connect(config).await);
    let _maker = TestHost::at_work(&BackendUnderTest::new(backend), &Probe::open()).await;
    let run = checker.start("chain3", "r", &0).await;
    assert_eq!(checker.output::<u64>(&run).await, 3);
}
