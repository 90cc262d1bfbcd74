//! A host whose machine has a wrong clock: the tests start it under libfaketime.
//!
//! It sweeps and cleans up often, so that what it would do too early or too late is soon seen. With `CLOCK_HOST_TRUSTS_ITSELF` it
//! takes every time from its machine, as no host may.

use anyhow::{Context as _, Result};
use jetway::{
    BackoffStrategy, ChildRun, Counter, Failure, Host, Namespace, NatsConfig, RetryError, RetryPolicy,
    SystemClock,
    host::{EngineConfig, SystemConfig},
    prelude::*,
    step,
    telemetry::Telemetry,
};
use jetway_tests::clocks::{GRACE, STALE_AFTER};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{interval, timeout};

/// How long a step waits at its gate.
const PATIENCE: Duration = Duration::from_secs(300);

/// A step that waits until a file exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Gate {
    open: PathBuf,
}

node! {
    struct Measure; context = Counter; input = String; output = usize;
    |tally, text| { tally.increment(); Ok(Transition::Next(text.len())) }
}
node! {
    struct Spread; context = Counter; input = usize; output = usize;
    |tally, number| { tally.increment(); Ok(Transition::NextAll(vec![number; 8])) }
}
node! {
    struct Add; context = Counter; input = Vec<usize>; output = usize;
    |tally, numbers| { tally.increment(); Ok(Transition::Next(numbers.iter().sum())) }
}
node! {
    struct Pass; context = Counter; input = Gate; output = bool;
    |tally, gate| {
        tally.increment();
        let open = async {
            let mut looks = interval(Duration::from_millis(10));
            while !gate.open.exists() {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, open).await.map_err(|_elapsed| Error::Generic("the gate stays shut".to_owned()))?;
        Ok(Transition::Next(true))
    }
}
node! {
    struct Copy; context = Counter; input = usize; output = usize;
    |tally, number| { tally.increment(); Ok(Transition::Next(number)) }
}

workflow! {
    /// An input of any size, which lies beside the record if it is large.
    struct Large { measure: Measure }
    name = "large"; context = Counter; start = measure;
    edges { measure => []; }
}
workflow! {
    /// Branches, which several hosts execute.
    struct Wide { spread: Spread, copy: Copy, #[gather] add: Add }
    name = "wide"; context = Counter; start = spread;
    edges { spread => [copy]; copy => [add]; add => []; }
}
workflow! {
    /// One step behind a gate.
    #[derive(Clone)]
    struct Gated { pass: Pass }
    name = "gated"; context = Counter; start = pass;
    edges { pass => []; }
}

node! {
    /// Fails as often as the input says, and then succeeds.
    struct Flaky; context = Counter; input = usize; output = usize;
    |tally, failures| {
        let key = step().map(|step| step.idempotency_key()).unwrap_or_default();
        let call = {
            let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
            let call = calls.entry(key).or_insert(0);
            *call += 1;
            *call
        };
        if call <= failures {
            return Err(Error::Generic(format!("the service is down at call {call}")));
        }
        tally.increment();
        Ok(Transition::Next(call))
    }
}
node! {
    struct Rescue; context = Counter; input = Failure<usize>; output = usize;
    |tally, _failure| { tally.increment(); Ok(Transition::Next(7)) }
}

workflow! {
    /// One step with retries.
    struct Retried { policy: RetryPolicy, #[retry = policy] flaky: Flaky }
    name = "retried"; context = Counter; start = flaky;
    edges { flaky => []; }
}
workflow! {
    /// One step that fails, and another one that handles it.
    struct Rescued { flaky: Flaky, rescue: Rescue }
    name = "rescued"; context = Counter; start = flaky;
    edges { flaky => []; flaky on_failure => [rescue]; rescue => []; }
}
workflow! {
    /// A child run for each branch.
    struct Family { spread: Spread, child: ChildRun<Counter, Small>, #[gather] add: Add }
    name = "family"; context = Counter; start = spread;
    edges { spread => [child]; child => [add]; add => []; }
}
workflow! {
    /// Two steps, one after the other.
    #[derive(Clone)]
    struct Small { copy: Copy, again: Copy }
    name = "small"; context = Counter; start = copy;
    edges { copy => [again]; again => []; }
}
workflow! {
    /// A child run behind a gate.
    struct Waiting { child: ChildRun<Counter, Gated> }
    name = "waiting"; context = Counter; start = child;
    edges { child => []; }
}

/// How often each step called [`Flaky`].
static CALLS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn policy() -> RetryPolicy {
    let delay = Duration::from_millis(5);
    RetryPolicy::new(3, delay, delay, BackoffStrategy::Linear, RetryError::All)
}

#[tokio::main]
async fn main() -> Result<()> {
    let _telemetry = Telemetry::new("clock-host").init()?;
    let url = env::var("NATS_URL").context("NATS_URL is not set")?;
    let namespace = Namespace::new(&env::var("JETWAY_NAMESPACE").context("JETWAY_NAMESPACE is not set")?)?;
    let mut nats =
        NatsConfig { ack_wait: Duration::from_secs(3), ..NatsConfig::new(url).in_namespace(namespace) };
    if env::var_os("CLOCK_HOST_TRUSTS_ITSELF").is_some() {
        nats.clock = Some(Arc::new(SystemClock));
    }
    let system = SystemConfig {
        sweep_every: Duration::from_millis(500),
        cleanup_every: Duration::from_millis(200),
        unroutable_grace: GRACE,
        // So that all hosts get work.
        concurrency: 4,
        ..SystemConfig::new(format!("clock-host-{}", std::process::id()))
    };
    let engine = EngineConfig { stale_after: STALE_AFTER, ..EngineConfig::default() };
    Host::builder()
        .nats_config(nats)
        .system_config(system)
        .engine_config(engine)
        .workflow(Large { measure: Measure {} })
        .workflow(Wide { spread: Spread {}, copy: Copy {}, add: Add {} })
        .workflow(Gated { pass: Pass {} })
        .workflow(Retried { policy: policy(), flaky: Flaky {} })
        .workflow(Rescued { flaky: Flaky {}, rescue: Rescue {} })
        .workflow(Small { copy: Copy {}, again: Copy {} })
        .workflow(Family {
            spread: Spread {},
            child: ChildRun::new(Small { copy: Copy {}, again: Copy {} }),
            add: Add {},
        })
        .workflow(Waiting { child: ChildRun::new(Gated { pass: Pass {} }) })
        .build()
        .await?
        .run()
        .await?;
    Ok(())
}
