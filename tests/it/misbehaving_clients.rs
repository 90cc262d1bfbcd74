//! Bytes that nobody should have sent, on every subject that somebody can write to: a host goes on.

mod newer;
mod noise;
mod raw;

use crate::support::{DEADLINE, HostProcess, jetway_json, messages, monitoring};
use anyhow::{Context, Result};
use async_nats::{Client, HeaderMap, Message, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use jetway_engine::backend::Ticket;
use jetway_state::{
    CommitId, Fingerprint, Incarnation, ItemId, RunId, RunKey, WorkflowName, codec,
    run::{Begin, RunInput, Snapshot, Status, Trace, begin},
    trace::TraceHeaders,
};
use jetway_testing::{NatsServer, try_wait_until, unique_namespace};
use serde_json::Value;
use std::{collections::BTreeSet, fs, time::Duration};
use tokio::time::{Instant, timeout};

/// Over how long the messages of an idle host are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// A host with a server of its own, so that what the server counts is about this host.
struct Host {
    server: NatsServer,
    url: String,
    ns: String,
    client: Client,
    process: HostProcess,
    /// Hears every dead letter.
    ear: Subscriber,
    /// Those that were heard.
    dead: Vec<Message>,
}

impl Host {
    async fn start(label: &str) -> Result<Self> {
        let server = NatsServer::builder().extra_config("http: \"127.0.0.1:-1\"").start().await?;
        let (url, ns) = (server.url(), unique_namespace(label));
        let process = HostProcess::start(&url, &ns, &[]).await?;
        let client = async_nats::connect(&url).await?;
        let ear = client.subscribe(format!("jetway.{ns}.dead.*.*")).await?;
        let host = Self { server, url, ns, client, process, ear, dead: Vec::new() };
        host.works().await?;
        Ok(host)
    }

    /// An ordinary run comes to its ordinary end.
    async fn works(&self) -> Result<()> {
        let done = jetway_json(&self.url, &self.ns, &["start", "chain", "--input", "0", "--wait"]).await?;
        assert_eq!(done["output"], 10);
        Ok(())
    }

    /// So does one that is started by a message, which waits for a host that is just coming back.
    async fn works_when_it_can(&self, run_id: &str) -> Result<()> {
        let mut done = self.client.subscribe(self.subject(&format!("done.chain.{run_id}"))).await?;
        let mut headers = HeaderMap::new();
        headers.insert("Jetway-Run-Id", run_id);
        self.store(self.subject("start.chain"), headers, "0").await?;
        let result =
            timeout(DEADLINE, done.next()).await.with_context(|| format!("run {run_id} does not end"))?;
        let result: Value = serde_json::from_slice(&result.context("the subscription ended")?.payload)?;
        assert_eq!(result["output"], 10);
        Ok(())
    }

    /// `jetway.<ns>.<rest>`
    fn subject(&self, rest: &str) -> String {
        format!("jetway.{}.{rest}", self.ns)
    }

    /// The subject of a key of one of the namespace's buckets.
    fn key(&self, bucket: &str, key: &str) -> String {
        format!("$KV.JETWAY_{}_{bucket}.{key}", self.ns)
    }

    /// Stores a message and waits until it is stored.
    async fn store(&self, subject: String, headers: HeaderMap, payload: impl Into<Bytes>) -> Result<()> {
        let js = jetstream::new(self.client.clone());
        js.publish_with_headers(subject, headers, payload.into()).await?.await?;
        Ok(())
    }

    /// Stores a ticket for an item of a run of `chain`.
    async fn ticket(
        &self,
        run_id: &str,
        item: &str,
        seal: impl Fn(&Ticket) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let ticket = ticket(run_id, item)?;
        let subject = self.subject(&format!("work.chain.{}.{run_id}.{item}.00000000", ticket.node));
        self.store(subject, HeaderMap::new(), seal(&ticket)?).await
    }

    /// Waits for a dead letter with that word, whose reason says so.
    async fn buried(&mut self, why: &str, reason: &str) -> Result<Message> {
        let fits = |letter: &&Message| {
            said(letter, "Jetway-Why") == why && said(letter, "Jetway-Reason").contains(reason)
        };
        if let Some(found) = self.dead.iter().find(fits) {
            return Ok(found.clone());
        }
        loop {
            let Ok(heard) = timeout(DEADLINE * 2, self.ear.next()).await else {
                let said = |letter| (said(letter, "Jetway-Why"), said(letter, "Jetway-Reason"));
                let heard: BTreeSet<_> = self.dead.iter().map(said).collect();
                anyhow::bail!("no dead letter ({why}) says {reason:?}; these say: {heard:#?}");
            };
            let letter = heard.context("the subscription ended")?;
            self.dead.push(letter.clone());
            if fits(&&letter) {
                return Ok(letter);
            }
        }
    }

    /// In megabytes, as the kernel counts it.
    fn memory(&self) -> Result<u64> {
        let pid = self.process.pid().context("the host has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kilobytes / 1024)
    }

    /// Waits until the host and its server exchange as little as an idle host does, see the tests of idle hosts.
    async fn is_idle_again(&self) -> Result<()> {
        let counters = monitoring(&self.server)?;
        let mut window = (Instant::now(), messages(&counters).await?);
        let mut rates = Vec::new();
        let idle = try_wait_until("the host is idle again", DEADLINE * 3, async || {
            if window.0.elapsed() < WINDOW {
                return false;
            }
            let Ok(now) = messages(&counters).await else { return false };
            let rate = (now - window.1) as f64 / window.0.elapsed().as_secs_f64();
            window = (Instant::now(), now);
            rates.push(rate);
            // As for a host that was never disturbed: see `idle.rs`.
            rate < 4.0
        });
        let idle = idle.await;
        idle.with_context(|| format!("messages a second, every {WINDOW:?}: {rates:.1?}"))
    }
}

fn said(letter: &Message, name: &str) -> String {
    let header = letter.headers.as_ref().and_then(|headers| headers.get(name));
    header.map(ToString::to_string).unwrap_or_default()
}

fn chain(run_id: &str) -> Result<RunKey> {
    Ok(RunKey::new(WorkflowName::new("chain")?, RunId::new(run_id)?))
}

fn ticket(run_id: &str, item: &str) -> Result<Ticket> {
    let RunKey { workflow, run_id } = chain(run_id)?;
    Ok(Ticket {
        workflow,
        run_id,
        incarnation: Incarnation::default(),
        node: "one".to_owned(),
        item: ItemId::new(item)?,
        revision: 1,
        store: jetway_state::StoreId::default(),
        woken_by: None,
        attempt: 1,
        given_back: 0,
        at: jetway_core::clock::now(),
        trace: TraceHeaders::default(),
    })
}

fn sealed_ticket(ticket: &Ticket) -> Result<Vec<u8>> {
    Ok(codec::seal(ticket, Fingerprint(1), "a ticket")?.into())
}

/// A run of `chain` that has just begun, as this build writes it.
fn sealed_run(run_id: &str, status: Status) -> Result<Vec<u8>> {
    let input = RunInput {
        node: "one".to_owned(),
        // One("", 0), as serde has it.
        payload: codec::encode(&serde_json::json!({ "One": ["", 0] }), "an item")?,
        context: codec::encode(&(), "a context")?,
    };
    let begun = Begin {
        key: chain(run_id)?,
        incarnation: Incarnation::default(),
        commit: CommitId { writer: 1, number: 1 },
        at: jetway_core::clock::now(),
        due: None,
        trace: Trace { trace_id: 1, span_id: 1, ..Trace::default() },
        input,
    };
    let snapshot = Snapshot { status, ..begin(begun).0 };
    Ok(codec::seal(&snapshot, Fingerprint(1), "a snapshot")?.into())
}
