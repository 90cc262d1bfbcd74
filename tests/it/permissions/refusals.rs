//! What each role is refused.

use super::{Enforced, Logins};
use anyhow::Result;
use std::time::Duration;
use tokio::time::timeout;

/// Subjects that no user but those of hosts and operators may publish to.
fn of_the_engine(enforced: &Enforced) -> Vec<String> {
    let ns = &enforced.namespace;
    vec![
        format!("$JS.API.STREAM.PURGE.KV_JETWAY_{ns}_RUNS"),
        format!("$JS.API.STREAM.MSG.GET.JETWAY_{ns}_DONE"),
        "$JS.API.INFO".to_owned(),
        format!("$KV.JETWAY_{ns}_RUNS.chain.admin-1"),
        format!("$KV.JETWAY_{ns}_HOSTS.host-1"),
        format!("$KV.JETWAY_{ns}_BEATS.chain.admin-1.0000000000000000.start"),
        enforced.subject("work.chain.one.admin-1.start.00000000"),
        enforced.subject("timer.1.chain.admin-1.00000000.0"),
        enforced.subject("wake.chain.admin-1.00000000"),
        enforced.subject("done.chain.admin-1"),
        enforced.subject("dead.chain.why"),
    ]
}

/// The user may publish to none of these.
async fn publishes_none(enforced: &Enforced, role: &str, subjects: &[String]) -> Result<()> {
    let client = enforced.client(role).await?;
    for subject in subjects {
        client.publish(subject.clone(), "".into()).await?;
        client.flush().await?;
        enforced.refuses("Publish", subject).await;
    }
    Ok(())
}

async fn subscribes_to_none(enforced: &Enforced, role: &str, subjects: &[String]) -> Result<()> {
    let client = enforced.client(role).await?;
    for subject in subjects {
        let _subscription = client.subscribe(subject.clone()).await?;
        client.flush().await?;
        enforced.refuses("Subscription", subject).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_starter_is_refused_everything_else() -> Result<()> {
    let enforced = Enforced::start(
        Logins::Passwords,
        &["--workflow", "chain", "--workflow", "nap", "--workflow", "order"],
    )
    .await?;
    let mut refused = of_the_engine(&enforced);
    let others = [
        "start.other",
        "api.start.other",
        "api.status.other.x",
        "api.output.other.x",
        "signal.other.x.paid",
        "signal.chain.x.paid.1",
        "later.chain.x.paid.1.2",
        "api.signal.other.x.paid",
    ];
    let verbs = [
        "api.cancel.chain.x",
        "api.terminate.chain.x",
        "api.pause.chain.x",
        "api.resume.chain.x",
        "api.retry.chain.x",
        "api.runs",
        "api.workflows",
    ];
    refused.extend(others.into_iter().chain(verbs).map(|subject| enforced.subject(subject)));
    refused.push(format!("jetway.{}x.start.chain", enforced.namespace));
    publishes_none(&enforced, "starter", &refused).await?;
    let ns = &enforced.namespace;
    let heard =
        ["done.other.*", "done.>", "start.*", "work.>", "api.>"].map(|subject| enforced.subject(subject));
    subscribes_to_none(&enforced, "starter", &heard).await?;
    let keys = [format!("$KV.JETWAY_{ns}_RUNS.>"), ">".to_owned(), "$SYS.>".to_owned()];
    subscribes_to_none(&enforced, "starter", &keys).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_worker_deletes_no_stream_and_starts_nothing() -> Result<()> {
    let enforced =
        Enforced::start(Logins::Nkeys, &["--workflow", "chain", "--workflow", "nap", "--workflow", "order"])
            .await?;
    let ns = &enforced.namespace;
    let streams =
        ["START", "WORK", "TIMERS", "SIGNAL", "DONE", "DEAD"].map(|stream| format!("JETWAY_{ns}_{stream}"));
    let buckets = ["RUNS", "HOSTS", "STORE_STATE"].map(|bucket| format!("KV_JETWAY_{ns}_{bucket}"));
    let mut refused: Vec<_> =
        streams.iter().chain(&buckets).map(|stream| format!("$JS.API.STREAM.DELETE.{stream}")).collect();
    let streams = streams.iter().filter(|stream| !stream.ends_with("DONE"));
    refused.extend(streams.map(|stream| format!("$JS.API.CONSUMER.DELETE.{stream}.work_chain")));
    for stream in ["START", "WORK", "SIGNAL", "DONE", "DEAD"] {
        refused.push(format!("$JS.API.STREAM.PURGE.JETWAY_{ns}_{stream}"));
    }
    refused.extend([
        format!("$JS.API.STREAM.UPDATE.KV_JETWAY_{ns}_RUNS"),
        format!("$JS.API.STREAM.UPDATE.JETWAY_{ns}_WORK"),
        "$JS.API.STREAM.CREATE.OTHER".to_owned(),
        "$JS.API.STREAM.LIST".to_owned(),
        format!("$JS.API.CONSUMER.MSG.NEXT.JETWAY_{ns}_WORK.work_other"),
        format!("$JS.API.CONSUMER.MSG.NEXT.JETWAY_{ns}_START.start_other"),
        format!("$JS.API.CONSUMER.DURABLE.CREATE.JETWAY_{ns}_WORK.x"),
        format!("$JS.API.CONSUMER.CREATE.JETWAY_{ns}_WORK.work_chain.jetway.{ns}.work.other.>"),
        format!("$JS.ACK.JETWAY_{ns}_WORK.work_other.1.1.1.1.1"),
        format!("$JS.API.CONSUMER.MSG.NEXT.JETWAY_{ns}_TIMERS.wake_other"),
        format!("$JS.API.CONSUMER.CREATE.JETWAY_{ns}_TIMERS.wake_chain.jetway.{ns}.wake.other.>"),
        format!("$JS.ACK.JETWAY_{ns}_TIMERS.wake_other.1.1.1.1.1"),
        format!("$JS.API.CONSUMER.MSG.NEXT.JETWAY_{ns}_SIGNAL.signal_other"),
        format!("$JS.ACK.JETWAY_{ns}_SIGNAL.signal_other.1.1.1.1.1"),
        enforced.subject("wake.chain.x.00000000"),
        enforced.subject("api.signal.chain.x.paid"),
        format!("$JS.API.STREAM.PURGE.KV_JETWAY_{ns}x_RUNS"),
        format!("$KV.JETWAY_{ns}x_RUNS.chain.run"),
        enforced.subject("start.chain"),
        enforced.subject("api.start.chain"),
        enforced.subject("api.cancel.chain.x"),
        "$SYS.REQ.SERVER.PING".to_owned(),
    ]);
    publishes_none(&enforced, "worker", &refused).await?;
    let heard = [format!("$KV.JETWAY_{ns}_RUNS.>"), enforced.subject("start.>"), ">".to_owned()];
    subscribes_to_none(&enforced, "worker", &heard).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_an_operator_has_its_namespace_alone() -> Result<()> {
    let enforced = Enforced::start(Logins::Passwords, &[]).await?;
    let ns = &enforced.namespace;
    let refused = [
        "$JS.API.STREAM.DELETE.OTHER".to_owned(),
        format!("$JS.API.STREAM.DELETE.KV_JETWAY_{ns}x_RUNS"),
        format!("jetway.{ns}x.start.chain"),
        format!("$KV.JETWAY_{ns}x_RUNS.chain.run"),
        "$SYS.REQ.SERVER.PING".to_owned(),
    ];
    publishes_none(&enforced, "operator", &refused).await?;
    subscribes_to_none(&enforced, "operator", &[">".to_owned()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_starter_has_no_jetstream() -> Result<()> {
    let enforced = Enforced::start(Logins::Passwords, &[]).await?;
    let jetstream = async_nats::jetstream::new(enforced.client("starter").await?);
    let stream = format!("JETWAY_{}_DONE", enforced.namespace);
    let read = timeout(Duration::from_secs(2), jetstream.get_stream(&stream)).await;
    assert!(!matches!(read, Ok(Ok(_))), "a starter reads {stream}");
    enforced.refuses("Publish", &format!("$JS.API.STREAM.INFO.{stream}")).await;
    Ok(())
}
