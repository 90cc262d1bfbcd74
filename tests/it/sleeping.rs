//! Runs that sleep while clocks, hosts and the server fail: with the workflow `nap`.

use crate::support::{DEADLINE, HostProcess, faketime, jetway_json, messages, monitoring};
use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, stream::Config};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jetway::{
    Client, NatsConfig, RunId,
    client::{StartOptions, StartedRun, Status},
};
use jetway_testing::{NATS_CONF, NatsServer, unique_namespace, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// How late a step may be on a busy machine. A wrong clock makes it later by hours, or early.
const LATE: u64 = 15_000;

/// How many messages a second a host may send and receive while its runs sleep.
const CALM: f64 = 5.0;

/// A server with a namespace, and a client of it.
struct Fixture {
    server: NatsServer,
    ns: String,
    client: Client,
}

impl Fixture {
    async fn new(label: &str, server: NatsServer) -> Result<Self> {
        let ns = unique_namespace(label);
        let config = NatsConfig::new(server.url()).in_namespace(ns.parse()?);
        // A host makes the streams.
        HostProcess::without_corpus(&server.url(), &ns).await?.kill().await?;
        Ok(Self { client: Client::connect_with(config).await?, server, ns })
    }

    async fn host(&self, environment: &[(&str, &str)]) -> Result<HostProcess> {
        HostProcess::start(&self.server.url(), &self.ns, environment).await
    }

    /// Starts a run that sleeps for so many seconds.
    async fn nap(&self, id: &str, seconds: u64) -> Result<StartedRun> {
        let options = StartOptions::named(RunId::new(id)?);
        let input = json!({ "for": format!("{seconds}s") });
        Ok(self.client.publish_start("nap", &input, &options).await?)
    }

    async fn sleeps(&self, run: &StartedRun) {
        wait_until("the run sleeps", DEADLINE, async || {
            self.client.status(&run.key).await.is_ok_and(|status| !status.waits.is_empty())
        })
        .await;
    }

    /// Waits for the end of a nap, and checks it: two steps, and at the right time by the clock of the server.
    async fn woken(&self, run: &StartedRun) -> Result<()> {
        let done = self.client.result(run, DEADLINE).await?;
        ensure!(done.status == Status::Completed, "run {} is {}: {:?}", run.key, done.status, done.error);
        let output: Value = serde_json::from_str(done.output.context("an output")?.get())?;
        let millis = |name: &str| output[name].as_u64().with_context(|| format!("{name} of {output}"));
        let (asked, slept) = (millis("asked_ms")?, millis("slept_ms")?);
        ensure!((asked..=asked + LATE).contains(&slept), "run {} slept for {slept} of {asked} ms", run.key);
        ensure!(done.steps == 2, "run {} has {} steps", run.key, done.steps);
        Ok(())
    }

    async fn stream(&self, suffix: &str) -> Result<jetstream::stream::Stream> {
        let jetstream = jetstream::new(async_nats::connect(self.server.url()).await?);
        Ok(jetstream.get_stream(format!("JETWAY_{}_{suffix}", self.ns)).await?)
    }

    async fn stored(&self, suffix: &str) -> Result<u64> {
        Ok(self.stream(suffix).await?.cached_info().state.messages)
    }

    /// How many messages are with a host that has not acknowledged them.
    async fn unacknowledged(&self) -> Result<usize> {
        let mut found = 0;
        for suffix in ["WORK", "TIMERS", "START"] {
            let mut consumers = self.stream(suffix).await?.consumers();
            while let Some(consumer) = consumers.try_next().await? {
                found += consumer.num_ack_pending;
            }
        }
        Ok(found)
    }
}

async fn passes(time: Duration) {
    let began = Instant::now();
    wait_until("time passes", DEADLINE, async || began.elapsed() >= time).await;
}

/// The time of the server decides, and nothing polls.
#[tokio::test(flavor = "multi_thread")]
async fn w28_a_changed_clock_changes_no_wake_up() -> Result<()> {
    let Some(faketime) = faketime().await? else { return Ok(()) };
    let server = NatsServer::builder().extra_config("http: \"127.0.0.1:-1\"").start().await?;
    let counters = monitoring(&server)?;
    let fixture = Fixture::new("clock", server).await?;
    let folder = tempfile::tempdir()?;
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0")?;
    let environment = faketime.environment_from(&clock);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _host = fixture.host(&environment).await?;
    for (id, changed) in [("back", "-7200"), ("forward", "+7200"), ("right", "+0")] {
        let run = fixture.nap(id, 15).await?;
        fixture.sleeps(&run).await;
        fs::write(&clock, changed)?;
        // A host that has just come looks at its streams.
        let mut rates = Vec::new();
        while rates.len() < 3 && rates.last().is_none_or(|rate| *rate >= CALM) {
            let (before, began) = (messages(&counters).await?, Instant::now());
            passes(Duration::from_secs(4)).await;
            rates.push((messages(&counters).await? - before) as f64 / began.elapsed().as_secs_f64());
        }
        assert!(
            rates.last().is_some_and(|rate| *rate < CALM),
            "messages a second after the clock was set {id}: {rates:.1?}"
        );
        fixture.woken(&run).await.with_context(|| format!("the clock was set {id}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn w28_a_host_that_was_stopped_wakes_what_is_due() -> Result<()> {
    let fixture = Fixture::new("stopped", NatsServer::start().await?).await?;
    let host = fixture.host(&[]).await?;
    let pid = i32::try_from(host.pid().context("it runs")?)?;
    let pid = Pid::from_raw(pid).context("a process")?;
    let run = fixture.nap("n1", 3).await?;
    fixture.sleeps(&run).await;
    kill_process(pid, Signal::STOP)?;
    passes(Duration::from_secs(8)).await;
    assert_eq!(fixture.stored("DONE").await?, 0, "a stopped host has finished the run");
    kill_process(pid, Signal::CONT)?;
    fixture.woken(&run).await
}

/// Neither the hosts that die nor the naps that are due together delay a fresh run, or lose a nap.
#[tokio::test(flavor = "multi_thread")]
async fn w29_thousands_of_naps_are_due_while_all_hosts_are_down() -> Result<()> {
    // The benchmark `jetway-sleep` wakes ten thousand.
    const NAPS: usize = 3_000;
    const SECONDS: u64 = 30;
    let fixture = &Fixture::new("naps", NatsServer::start().await?).await?;
    let hosts = async || {
        let (url, ns) = (fixture.server.url(), &fixture.ns);
        tokio::try_join!(HostProcess::with_slots(&url, ns, 8), HostProcess::with_slots(&url, ns, 8))
    };
    let (one, other) = hosts().await?;
    let ids = stream::iter(0..NAPS).map(|number| format!("n{number}"));
    let naps = ids.map(|id| async {
        let id = id;
        fixture.nap(&id, SECONDS).await
    });
    let naps: Vec<StartedRun> = naps.buffered(256).try_collect().await?;
    let asleep = async || fixture.stored("TIMERS").await.is_ok_and(|alarms| alarms == NAPS as u64);
    wait_until("all runs sleep", DEADLINE, asleep).await;
    wait_until("nothing is unacknowledged", DEADLINE, async || {
        fixture.unacknowledged().await.ok() == Some(0)
    })
    .await;
    assert_eq!(fixture.stored("WORK").await?, 0, "a run that sleeps has a ticket");
    tokio::try_join!(one.kill(), other.kill())?;
    passes(Duration::from_secs(SECONDS)).await;
    assert_eq!(fixture.stored("DONE").await?, 0, "a run has ended without a host");

    let hosts = hosts().await?;
    let began = Instant::now();
    let options = StartOptions::named(RunId::new("fresh")?);
    let fresh = fixture.client.publish_start("chain", &0, &options).await?;
    let done = fixture.client.result(&fresh, DEADLINE).await?;
    assert_eq!(done.status, Status::Completed);
    let (fresh_after, ended) = (began.elapsed(), fixture.stored("DONE").await?);
    println!("the fresh run ended after {fresh_after:?}, and {ended} naps before");
    assert!(ended < NAPS as u64, "the fresh run waited for all naps");
    let results = stream::iter(&naps).map(|run| async move { fixture.client.result(run, DEADLINE).await });
    let mut results = results.buffer_unordered(64);
    while let Some(done) = results.try_next().await? {
        assert_eq!((done.status, done.steps), (Status::Completed, 2), "{}: {:?}", done.run_id, done.error);
    }
    println!("all naps ended after {:?}", began.elapsed());
    drop(hosts);
    Ok(())
}

/// The server drops what it cannot store when it is due. The sweep finds it.
#[tokio::test(flavor = "multi_thread")]
async fn w26_timers_that_are_due_while_the_store_is_full_ring_later() -> Result<()> {
    let config = NATS_CONF.replace("max_memory_store:", "max_file_store: 20MB\n  max_memory_store:");
    ensure!(config != NATS_CONF, "the configuration has another form");
    let fixture = Fixture::new("full", NatsServer::builder().config(config).start().await?).await?;
    let host = fixture.host(&[]).await?;
    let jetstream = jetstream::new(async_nats::connect(fixture.server.url()).await?);
    jetstream.create_stream(Config { name: "FILLER".to_owned(), ..Config::default() }).await?;
    let mut naps = Vec::new();
    for number in 0..3 {
        naps.push(fixture.nap(&format!("n{number}"), 10).await?);
    }
    for run in &naps {
        fixture.sleeps(run).await;
    }
    for bytes in [500_000, 50_000, 5_000, 100] {
        while jetstream.publish("FILLER", vec![0; bytes].into()).await?.await.is_ok() {}
    }
    passes(Duration::from_secs(12)).await;
    wait_until("the host cannot announce itself", DEADLINE, async || {
        !host.log_lines("cannot announce").is_empty()
    })
    .await;
    assert_eq!(fixture.stored("DONE").await?, 0, "a run has ended without room for it");
    jetstream.delete_stream("FILLER").await?;
    for run in &naps {
        let done = fixture.client.result(run, DEADLINE).await?;
        assert_eq!((done.status, done.steps), (Status::Completed, 2), "{:?}", done.error);
    }
    wait_until("doctor says that the store was full", DEADLINE, async || {
        let doctor = jetway_json(&fixture.server.url(), &fixture.ns, &["doctor"]).await;
        doctor.is_ok_and(|doctor| doctor.to_string().contains("the server had no room for a write of host-"))
    })
    .await;
    drop(host);
    Ok(())
}
