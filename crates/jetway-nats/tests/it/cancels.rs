//! Cancelled runs: how hosts hear of them, and what is left on the server.

use crate::support::{DEADLINE, client, config, connect, run, workflow};
use bytes::Bytes;
use jetway_core::Transition;
use jetway_engine::{
    Engine,
    backend::{Backend, CancelNews, Cancels as _, Results as _, TicketQueue as _},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    Incarnation,
    run::{WantedResult, control::Control},
};
use jetway_testing::{conformance::TestHost, wait_until};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

node! { struct Doze {}; input = u32; output = u32; |_ctx, x| { Ok(Transition::NextAfter(Duration::from_secs(600), x)) } }
node! { struct Work {}; input = u32; output = u32; |_ctx, x| { Ok(Transition::Next(x)) } }
node! { struct Undo {}; input = u32; output = (); |_ctx, _x| { Ok(Transition::Next(())) } }

workflow! {
    struct Stay { doze: Doze, work: Work, undo: Undo }
    name = "stay";
    start = doze;
    edges { doze => [work]; work => []; work on_cancel => [undo]; undo => []; }
}

async fn is_told(news: &CancelNews) {
    wait_until("the host hears of it", DEADLINE, async || news.is_new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_hears_that_a_run_is_cancelled() {
    let config = config("told").await;
    let (teller, hearer) = (connect(config.clone()).await, connect(config).await);
    let _tickets = hearer.tickets(&workflow(), Arc::new(Semaphore::new(1))).await.unwrap();
    let [old, new] = [1, 2].map(Incarnation::from_random);
    let (mut news, earlier, own) = (
        hearer.hear_cancelled(&run("a"), new),
        hearer.hear_cancelled(&run("a"), old),
        teller.hear_cancelled(&run("a"), new),
    );
    teller.tell_cancelled(&run("a"), new).await.unwrap();
    is_told(&news).await;
    assert!(own.is_new() && !earlier.is_new());
    // What says nothing, or nothing that is known, does not end the subscription.
    news.see();
    let (client, namespace) = (client().await, hearer.namespace());
    for (subject, payload) in [
        ("pay.cancel", Bytes::new()),
        ("pay.cancel", Bytes::from_static(b"{\"run_id\": \"a b\"}")),
        ("pay.cancel", Bytes::from(vec![b' '; 100_000])),
        ("no such.cancel", Bytes::from_static(b"{}")),
    ] {
        let subject = format!("jetway.{namespace}.event.{}", subject.replace(' ', "_"));
        client.publish(subject, payload).await.unwrap();
    }
    client.flush().await.unwrap();
    teller.tell_cancelled(&run("a"), new).await.unwrap();
    is_told(&news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w37_no_alarm_of_a_cancelled_run_is_left() {
    let backend = Arc::new(connect(config("purged").await).await);
    let shared: Arc<dyn Backend> = Arc::clone(&backend) as Arc<dyn Backend>;
    let stay = Stay { doze: Doze {}, work: Work {}, undo: Undo {} };
    let mut host = TestHost::of(Engine::builder(shared).workflow(stay).build().unwrap());
    host.work(4).await;
    let run = host.start("stay", "r", &1_u32).await;
    let alarms = async || backend.stream_counts().await.unwrap().alarms;
    wait_until("the run sleeps", DEADLINE, async || alarms().await == 1).await;
    host.engine.control(&run, Control::Cancel).await.unwrap().unwrap();
    assert!(backend.done(&run, WantedResult::Latest, DEADLINE).await.unwrap().is_some());
    // Neither that of its sleep nor that of the limit of its clean-up.
    wait_until("no alarm is left", DEADLINE, async || alarms().await == 0).await;
}
