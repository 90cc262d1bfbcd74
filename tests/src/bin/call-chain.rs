//! A host that prints through which functions a start message, a ticket, a result and a signal pass: see the test `architecture`.
//!
//! The test publishes two start messages. The first run occupies the only slot for steps until the second start message
//! is handled, so that no two messages are in the host at the same time. The host prints `ready` when it waits for the
//! second one, and again when that run has ended. Then the test starts a run that waits for a signal, and one that occupies
//! the slot. The host prints `ready` when it waits for the signal, and the recorded hops as JSON at the end.

use anyhow::{Context as _, Result};
use jetway::{
    Host, Namespace, NatsConfig, SignalType, WaitFor,
    host::{EngineConfig, SystemConfig},
    prelude::*,
};
use jetway_state::call_chain::{self, Hop, recorded};
use serde_json::{Value, json};
use std::{env, fmt::Display, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{interval, timeout},
};

/// How long the messages of one phase may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The last function on the way of a message.
const ACK: &str = "MessageLease::ack";

/// A permit for each first step that has begun, and for each that may end.
static BEGUN: Semaphore = Semaphore::const_new(0);
static MAY_END: Semaphore = Semaphore::const_new(0);

node! {
    struct First; input = u64; output = u64;
    |_ctx, number| {
        BEGUN.add_permits(1);
        MAY_END.acquire().await.map_err(|closed| Error::Generic(closed.to_string()))?.forget();
        Ok(Transition::Next(number))
    }
}
node! { struct Last; input = u64; output = u64; |_ctx, number| Ok(Transition::Next(number)) }

workflow! {
    /// Two steps, each under a ticket of its own.
    struct Pair { first: First, last: Last }
    name = "pair"; start = first;
    edges { first => [last]; last => []; }
}

/// Waits for a signal, or occupies the slot.
#[derive(Debug, Clone)]
struct Listen;

#[async_trait::async_trait]
impl Node for Listen {
    type Input = bool;
    type Output = bool;

    async fn process(&self, _ctx: &(), waits: bool) -> Result<Transition<bool>, Error> {
        if waits && step().and_then(|step| step.answer()).is_none() {
            return Ok(Transition::WaitFor(WaitFor::signal("heard")));
        }
        if !waits {
            BEGUN.add_permits(1);
            MAY_END.acquire().await.map_err(|closed| Error::Generic(closed.to_string()))?.forget();
        }
        Ok(Transition::Next(waits))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<()>("heard")]
    }
}

workflow! {
    /// One step, which waits for a signal.
    struct Listener { listen: Listen }
    name = "listener"; start = listen;
    edges { listen => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    call_chain::start();
    let nats = NatsConfig::new(env::var("NATS_URL").context("NATS_URL is not set")?);
    let namespace = Namespace::new(&env::var("JETWAY_NAMESPACE").context("JETWAY_NAMESPACE is not set")?)?;
    let host = Host::builder()
        .nats_config(nats.in_namespace(namespace))
        .system_config(SystemConfig { concurrency: 1, ..SystemConfig::new("call-chain") })
        .engine_config(EngineConfig { steps_per_ticket: 1, ..EngineConfig::default() })
        .workflow(Pair { first: First {}, last: Last {} })
        .workflow(Listener { listen: Listen })
        .build()
        .await?
        .start()
        .await?;
    BEGUN.acquire().await?.forget();
    let before = acked(0, 1).await?.len();
    say("ready");
    let start = acked(before, 1).await?;
    MAY_END.add_permits(2);
    // The step that occupies the slot ends. After it there is one first step, and two last ones.
    let steps = acked(before + start.len(), 4).await?;
    let mut tickets = steps.split_inclusive(|hop| hop.function == ACK).skip(1);
    let ticket = tickets.next().context("there is no first step")?;
    let end = tickets.find_map(end_of_run).context("no run has ended")?;
    let signal = signal(before + start.len() + steps.len()).await?;
    let chains = [("start", &start[..]), ("ticket", ticket), ("result", end), ("signal", &signal)];
    let chains: Value = chains.into_iter().map(|(name, hops)| (name.to_owned(), list(hops))).collect();
    say(chains);
    host.drain().await;
    Ok(())
}

/// The hops of a signal. A run waits for it, and another one occupies the slot for the step that it leads to.
async fn signal(from: usize) -> Result<Vec<Hop>> {
    say("ready");
    // The second first step of the other workflow has begun, too.
    BEGUN.acquire_many(2).await?.forget();
    // Two starts, and the ticket of the run that waits.
    let before = from + acked(from, 3).await?.len();
    say("ready");
    let signal = acked(before, 1).await?;
    MAY_END.add_permits(1);
    Ok(signal)
}

/// Waits until `messages` more messages are acked. Returns the hops after the first `from` ones.
async fn acked(from: usize, messages: usize) -> Result<Vec<Hop>> {
    let hops = async {
        let mut looks = interval(Duration::from_millis(10));
        loop {
            looks.tick().await;
            let hops = recorded().split_off(from);
            if hops.iter().filter(|hop| hop.function == ACK).count() >= messages {
                return hops;
            }
        }
    };
    timeout(LIMIT, hops).await.with_context(|| format!("{messages} messages are not acked: {:?}", recorded()))
}

/// The hops from the rule that ends the run to the last one before the ack. `None` if the ticket ends no run.
fn end_of_run(ticket: &[Hop]) -> Option<&[Hop]> {
    ticket.iter().find(|hop| hop.function == "end")?;
    let from = ticket.iter().position(|hop| hop.function == "Step::end_if_done")?;
    ticket.get(from..ticket.len() - 1)
}

fn list(hops: &[Hop]) -> Value {
    hops.iter().map(|hop| json!([hop.file, hop.function])).collect()
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn say(line: impl Display) {
    println!("{line}");
}
