//! A starter: any NATS client, through the imports of its account.

use super::{Enforced, Logins};
use crate::support::DEADLINE;
use anyhow::{Context, Result};
use async_nats::{HeaderMap, Message};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;

fn json(message: &Message) -> Result<Value> {
    serde_json::from_slice(&message.payload)
        .with_context(|| format!("no JSON: {:?} {:?}", message.payload, message.headers))
}

fn header(name: &str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers
}

/// Everything that a starter does with the workflow `chain`.
async fn uses_every_right(enforced: &Enforced) -> Result<()> {
    let client = enforced.client("starter").await?;
    let mut done = client.subscribe(enforced.subject("done.chain.*")).await?;
    client.flush().await?;
    // A plain publish.
    let subject = enforced.subject("start.chain");
    client.publish_with_headers(subject.clone(), header("Jetway-Run-Id", "plain"), "0".into()).await?;
    let result = json(&timeout(DEADLINE, done.next()).await?.context("a result")?)?;
    assert_eq!((result["run_id"].as_str(), result["output"].as_i64()), (Some("plain"), Some(10)));
    // A publish that the server acknowledges, as a JetStream client sends it.
    let acknowledged =
        client.request_with_headers(subject, header("Jetway-Run-Id", "stored"), "1".into()).await?;
    let stream = format!("JETWAY_{}_START", enforced.namespace);
    assert_eq!(json(&acknowledged)?["stream"], stream.as_str());
    let result = json(&timeout(DEADLINE, done.next()).await?.context("a result")?)?;
    assert_eq!(result["output"], 11);
    // A request, and its result.
    let start = enforced.subject("api.start.chain");
    let request = async_nats::Request::new()
        .headers(header("Jetway-Wait", "30s"))
        .payload("2".into())
        .timeout(Some(DEADLINE));
    let result = json(&client.send_request(start, request).await?)?;
    assert_eq!(result["output"], 12, "{result}");
    let id = result["run_id"].as_str().context("a run id")?;
    for (method, field, value) in [("status", "status", "completed"), ("output", "text", "12")] {
        let subject = enforced.subject(&format!("api.{method}.chain.{id}"));
        assert_eq!(json(&client.request(subject, "".into()).await?)?[field], value, "{method}");
    }
    // A signal, which the server acknowledges.
    let signal = enforced.subject(&format!("signal.chain.{id}.paid"));
    let acknowledged = client.request_with_headers(signal, header("Nats-Msg-Id", "a"), "1".into()).await?;
    assert_eq!(json(&acknowledged)?["stream"], format!("JETWAY_{}_SIGNAL", enforced.namespace));
    // An error comes through the import too.
    let unknown = client.request(enforced.subject("api.status.chain.none"), "".into()).await?;
    let code = unknown.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code"));
    assert_eq!(code.map(ToString::to_string).as_deref(), Some("404"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_starter_uses_its_rights_through_the_import() -> Result<()> {
    let one = ["--workflow", "chain", "--workflow", "corpus", "--workflow", "nap", "--workflow", "order"];
    let other_account = ["--json", "--account", "ENGINE", "--inbox-prefix", "_INBOX_team"];
    for (logins, arguments) in
        [(Logins::Passwords, &[][..]), (Logins::Nkeys, &one), (Logins::Passwords, &other_account)]
    {
        let enforced = Enforced::start(logins, arguments).await?;
        let _host = enforced.host().await?;
        uses_every_right(&enforced).await.with_context(|| format!("{arguments:?}"))?;
        enforced.refused_nothing().with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}
