//! A host whose machine has a wrong clock: the tests start it under libfaketime.
//!
//! It sweeps and cleans up often, so that what it would do too early or too late is soon seen. With `CLOCK_HOST_TRUSTS_ITSELF` it
//! takes every time from its machine, as no host may.

use anyhow::{Context as _, Result};
use jetway::{
    Counter, Host, Namespace, NatsConfig, SystemClock,
    host::{EngineConfig, SystemConfig},
    prelude::*,
    telemetry::Telemetry,
};
use jetway_tests::clocks::{GRACE, STALE_AFTER};
use serde::{Deserialize, Serialize};
use std::{env, path::PathBuf, sync::Arc, time::Duration};
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
    struct Gated { pass: Pass }
    name = "gated"; context = Counter; start = pass;
    edges { pass => []; }
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
        .build()
        .await?
        .run()
        .await?;
    Ok(())
}
