//! A host of one of two builds of the workflow `shop`, as `BUILD` says: `old` or `new`.
//!
//! They differ in the type between the two nodes. The second node of the old build waits at a gate, which is a file. The leases
//! are short, and the host sweeps often.

use anyhow::{Context as _, Result, bail};
use jetway::{
    Host, Namespace, NatsConfig,
    host::{EngineConfig, SystemConfig},
    prelude::*,
    telemetry::Telemetry,
};
use serde::{Deserialize, Serialize};
use std::{env, path::PathBuf, time::Duration};
use tokio::time::{interval, timeout};

/// How long a step waits at its gate.
const PATIENCE: Duration = Duration::from_secs(300);

/// An order as the old build knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    gate: PathBuf,
}

/// The new build has a field more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PricedOrder {
    gate: PathBuf,
    currency: String,
}

node! { struct Accept; context = (); input = Order; output = Order; |_ctx, order| Ok(Transition::Next(order)) }
node! {
    struct Charge; context = (); input = Order; output = String;
    |_ctx, order| {
        let open = async {
            let mut looks = interval(Duration::from_millis(10));
            while !order.gate.exists() {
                looks.tick().await;
            }
        };
        timeout(PATIENCE, open).await.map_err(|_elapsed| Error::Generic("the gate stays shut".to_owned()))?;
        Ok(Transition::Next("charged".to_owned()))
    }
}
workflow! {
    struct Old { accept: Accept, charge: Charge }
    name = "shop"; start = accept;
    edges { accept => [charge]; charge => []; }
}

node! {
    struct Price; context = (); input = Order; output = PricedOrder;
    |_ctx, order| Ok(Transition::Next(PricedOrder { gate: order.gate, currency: "EUR".to_owned() }))
}
node! {
    struct ChargePrice; context = (); input = PricedOrder; output = String;
    |_ctx, order| Ok(Transition::Next(order.currency))
}
workflow! {
    struct New { accept: Price, charge: ChargePrice }
    name = "shop"; start = accept;
    edges { accept => [charge]; charge => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    let _telemetry = Telemetry::new("build-host").init()?;
    let url = env::var("NATS_URL").context("NATS_URL is not set")?;
    let namespace = Namespace::new(&env::var("JETWAY_NAMESPACE").context("JETWAY_NAMESPACE is not set")?)?;
    let nats =
        NatsConfig { ack_wait: Duration::from_secs(3), ..NatsConfig::new(url).in_namespace(namespace) };
    let build = env::var("BUILD").context("BUILD is not set")?;
    let system = SystemConfig {
        sweep_every: Duration::from_millis(300),
        ..SystemConfig::new(format!("{build}-{}", std::process::id()))
    };
    let engine = EngineConfig { stale_after: Duration::from_millis(500), ..EngineConfig::default() };
    let host = Host::builder().nats_config(nats).system_config(system).engine_config(engine);
    let host = match build.as_str() {
        "old" => host.workflow(Old { accept: Accept {}, charge: Charge {} }),
        "new" => host.workflow(New { accept: Price {}, charge: ChargePrice {} }),
        other => bail!("BUILD is {other:?}; use old or new"),
    };
    host.build().await?.run().await?;
    Ok(())
}
