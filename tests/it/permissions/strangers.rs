//! The ways by which a starter could make the server or a host act for it.

use super::{Enforced, Logins};
use crate::support::DEADLINE;
use anyhow::{Context, Result};
use async_nats::{Client, HeaderMap, jetstream};
use futures::StreamExt as _;
use tokio::time::timeout;

/// Starts a run and waits for its result.
async fn finish(enforced: &Enforced, client: &Client, id: &str, reply: Option<&str>) -> Result<()> {
    let mut done = client.subscribe(enforced.subject(&format!("done.chain.{id}"))).await?;
    client.flush().await?;
    let mut headers = HeaderMap::new();
    headers.insert("Jetway-Run-Id", id);
    let subject = enforced.subject("start.chain");
    match reply {
        Some(reply) => {
            client.publish_with_reply_and_headers(subject, reply.to_owned(), headers, "0".into()).await?;
        }
        None => client.publish_with_headers(subject, headers, "0".into()).await?,
    }
    timeout(DEADLINE, done.next()).await?.context("a result")?;
    Ok(())
}

async fn messages(jetstream: &jetstream::Context, stream: &str) -> Result<u64> {
    Ok(jetstream.get_stream(stream).await?.cached_info().state.messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_no_answer_to_a_starter_reaches_jetstream() -> Result<()> {
    let enforced = Enforced::start(Logins::Passwords, &[]).await?;
    let _host = enforced.host().await?;
    let client = enforced.client("starter").await?;
    let operator = jetstream::new(enforced.client("operator").await?);
    finish(&enforced, &client, "kept", None).await?;
    let ns = &enforced.namespace;
    let before = messages(&operator, &format!("KV_JETWAY_{ns}_RUNS")).await?;
    assert!(before > 0);
    for reply in [
        format!("$JS.API.STREAM.PURGE.KV_JETWAY_{ns}_RUNS"),
        format!("$JS.API.STREAM.DELETE.KV_JETWAY_{ns}_RUNS"),
        format!("$JS.API.STREAM.PURGE.JETWAY_{ns}_DONE"),
        enforced.subject("start.chain"),
    ] {
        let unknown = enforced.subject("api.status.chain.none");
        client.publish_with_reply(unknown, reply, "".into()).await?;
    }
    client.flush().await?;
    // A later request of the same connection is answered, so the earlier ones were, too.
    client.request(enforced.subject("api.status.chain.kept"), "".into()).await?;
    finish(&enforced, &client, "last", None).await?;
    assert_eq!(messages(&operator, &format!("KV_JETWAY_{ns}_RUNS")).await?, before + 1);
    assert_eq!(messages(&operator, &format!("JETWAY_{ns}_DONE")).await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_no_acknowledgement_to_a_starter_is_stored() -> Result<()> {
    let enforced = Enforced::start(
        Logins::Nkeys,
        &["--workflow", "chain", "--workflow", "corpus", "--workflow", "nap", "--workflow", "order"],
    )
    .await?;
    let _host = enforced.host().await?;
    let client = enforced.client("starter").await?;
    let operator = jetstream::new(enforced.client("operator").await?);
    let ns = &enforced.namespace;
    let forged = [
        (format!("KV_JETWAY_{ns}_RUNS"), format!("$KV.JETWAY_{ns}_RUNS.chain.admin-1")),
        (format!("JETWAY_{ns}_DONE"), enforced.subject("done.chain.admin-1")),
        (format!("JETWAY_{ns}_WORK"), enforced.subject("work.chain.one.admin-1.start.00000000")),
        (format!("KV_JETWAY_{ns}_HOSTS"), format!("$KV.JETWAY_{ns}_HOSTS.admin-1")),
        (format!("JETWAY_{ns}_DEAD"), enforced.subject("dead.chain.admin-1")),
    ];
    for (number, (_, reply)) in forged.iter().enumerate() {
        finish(&enforced, &client, &format!("run-{number}"), Some(reply)).await?;
    }
    for (stream, subject) in forged {
        let found = operator.get_stream(&stream).await?.get_last_raw_message_by_subject(&subject).await;
        assert!(found.is_err(), "the server stored its acknowledgement: {found:?}");
    }
    Ok(())
}
