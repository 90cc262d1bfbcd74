//! Results and dead letters.

use crate::support::{DEADLINE, backend, client, heard, result, run};
use async_nats::{HeaderMap, jetstream};
use jetway_engine::backend::{DeadLetter, Results};
use jetway_state::run::WantedResult;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_result_is_read_at_once() {
    let backend = backend("done").await;
    backend.publish_done(result(&run("a"), "{\"a\":1}")).await.unwrap();
    for wait in [Duration::ZERO, DEADLINE] {
        let done = backend.done(&run("a"), WantedResult::Latest, wait).await.unwrap();
        assert_eq!(done.as_deref(), Some(b"{\"a\":1}".as_slice()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_result_returns_it() {
    let backend = Arc::new(backend("wait").await);
    let waiters: Vec<_> = (0..20)
        .map(|number| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move {
                backend.done(&run(&format!("r{number}")), WantedResult::Latest, DEADLINE).await
            })
        })
        .collect();
    assert_eq!(backend.done(&run("r0"), WantedResult::Latest, Duration::ZERO).await.unwrap(), None);
    for number in 0..20 {
        backend.publish_done(result(&run(&format!("r{number}")), &number.to_string())).await.unwrap();
    }
    for (number, waiter) in waiters.into_iter().enumerate() {
        let done = timeout(DEADLINE, waiter).await.unwrap().unwrap().unwrap();
        assert_eq!(done.as_deref(), Some(number.to_string().as_bytes()));
    }
}

/// Subscribers receive the first message of a batch when it is published. The stream has it when the batch is committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_sent_before_it_was_stored_is_found() {
    let backend = Arc::new(backend("early").await);
    let client = client().await;
    let namespace = backend.namespace().to_string();
    let publish = async |run: &str, number: &str, headers: &[(&str, &str)]| {
        let mut all = HeaderMap::new();
        all.insert("Nats-Batch-Id", "early");
        all.insert("Nats-Batch-Sequence", number);
        all.insert("Jetway-Incarnation", "0000000000000000");
        headers.iter().for_each(|(name, value)| all.insert(*name, *value));
        let subject = format!("jetway.{namespace}.done.{}.{run}", self::run("a").workflow);
        client.publish_with_headers(subject, all, "1".into()).await.unwrap();
        heard(&client).await;
    };
    publish("a", "1", &[]).await;
    let waiter = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { backend.done(&run("a"), WantedResult::Latest, DEADLINE).await }
    });
    tokio::pin!(waiter);
    let early = timeout(Duration::from_millis(50), &mut waiter).await;
    assert!(early.is_err(), "{early:?}");
    publish("b", "2", &[("Nats-Batch-Commit", "1")]).await;
    let done = timeout(DEADLINE / 2, waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(done.as_deref(), Some(b"1".as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_result_times_out() {
    let backend = backend("never").await;
    let start = Instant::now();
    assert_eq!(
        backend.done(&run("a"), WantedResult::Latest, Duration::from_millis(300)).await.unwrap(),
        None
    );
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_result_of_a_run_stays() {
    let backend = backend("first").await;
    backend.publish_done(result(&run("a"), "1")).await.unwrap();
    backend.publish_done(result(&run("a"), "2")).await.unwrap();
    assert_eq!(
        backend.done(&run("a"), WantedResult::Latest, Duration::ZERO).await.unwrap().as_deref(),
        Some(b"1".as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_stored_once_with_headers_and_payload() {
    let backend = backend("dead").await;
    let letter = DeadLetter {
        workflow: "p*y".to_owned(),
        why: "bad-input".to_owned(),
        reason: "no number".to_owned(),
        subject: "jetway.x.start.pay".to_owned(),
        headers: vec![("Nats-Rollup".to_owned(), "all".to_owned()), ("A".to_owned(), "b".to_owned())],
        payload: "bytes".into(),
        id: "start-7".to_owned(),
    };
    backend.dead_letter(letter.clone()).await.unwrap();
    backend.dead_letter(letter.clone()).await.unwrap();
    backend.dead_letter(DeadLetter { id: "start-8".to_owned(), ..letter }).await.unwrap();
    let jetstream = jetstream::new(client().await);
    let dead = jetstream.get_stream(format!("JETWAY_{}_DEAD", backend.namespace())).await.unwrap();
    assert_eq!(dead.cached_info().state.messages, 2);
    let kept = dead.get_raw_message(1).await.unwrap();
    assert_eq!(kept.subject.as_str(), format!("jetway.{}.dead.p_y.bad-input", backend.namespace()));
    assert_eq!(kept.payload.as_ref(), b"bytes");
    assert_eq!(kept.headers.get("Jetway-Original-Nats-Rollup").unwrap().as_str(), "all");
    assert_eq!(kept.headers.get("A").unwrap().as_str(), "b");
    assert_eq!(kept.headers.get("Jetway-Reason").unwrap().as_str(), "no number");
}
