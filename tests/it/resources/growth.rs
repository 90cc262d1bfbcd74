//! A context that grows without end.

use super::{
    process::HostProcess,
    support::{Setup, goes_on, key, limit, named},
};
use crate::support::DEADLINE;
use anyhow::Result;
use jetway::{
    Client, NatsConfig,
    client::{Json, Status},
};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use jetway_tests::resources::Growth;

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_growing_context_is_warned_of_and_fails_its_run() -> Result<()> {
    let server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("growth"));
    let host = HostProcess::start(&url, &ns).await?;
    let client = Client::connect_with(NatsConfig::new(&url).in_namespace(ns.parse()?)).await?;
    client.start("grow", &Growth { bytes: 10_000, steps: 1_000_000 }, &named("endless")?).await?;
    // Another run goes on all the while.
    client.start("grow", &Growth { bytes: 10, steps: 300 }, &named("modest")?).await?;
    let sentence = limit(&client.result(&key("grow", "endless")?, DEADLINE).await?)?;
    assert!(sentence.contains("most of it is context (9"), "{sentence}");
    let modest = client.result(&key("grow", "modest")?, DEADLINE).await?;
    assert_eq!((modest.status, modest.output.as_ref().map(Json::get)), (Status::Completed, Some("300")));
    let warned = "snapshot is larger than half of its limit";
    wait_until("the warning is in the log", DEADLINE, async || host.said(warned) > 0).await;
    assert_eq!(host.said(warned), 1, "one warning for a run is enough");
    goes_on(&client, "after").await
}

/// The record of the failure has to fit where the record of the run just did.
#[tokio::test(flavor = "multi_thread")]
async fn p9_a_run_with_a_snapshot_at_the_limit_can_fail() -> Result<()> {
    let setup = Setup::new("brim").await?;
    let size = async |id: &str, bytes: usize, steps: u32| {
        setup.start("grow", &Growth { bytes, steps }, &named(id)?).await?;
        limit(&setup.result(&key("grow", id)?, DEADLINE).await?)
    };
    // The rest of the snapshot takes a few hundred bytes: one of these contexts is as large as it may be after two steps.
    for rest in (0..1200).step_by(80) {
        let sentence = size(&format!("brim-{rest}"), (983_040 - rest) / 2, 1_000).await?;
        assert!(sentence.contains("983040"), "{sentence}");
    }
    goes_on(&setup, "after").await
}
