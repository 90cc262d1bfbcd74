//! Signals that were sent before their runs were there.

use super::{Ask, at_work, got, key, new, publish, send, start, take_signal};
use crate::conformance::{BackendUnderTest, host::request};
use jetway_engine::backend::{StartRequest, StoredSignal};
use jetway_state::run::{StartTime, Verdict};
use std::time::Duration;

/// Longer than any case waits.
const LONG: Duration = Duration::from_secs(50);

/// A signal for which a host has found no run, and that comes again after a time.
async fn put_off(tested: &BackendUnderTest, payload: &str, pause: Duration) -> StoredSignal {
    publish(tested, new("r", "x", payload)).await;
    let delivery = take_signal(&*tested.backend).await;
    let signal = StoredSignal { id: Some(format!("payment-{payload}")), ..delivery.signal };
    let due = tested.backend.clock().now().after(pause);
    tested.backend.put_off(&signal, due).await.expect("it is put off");
    delivery.lease.ack().await.expect("it is acked");
    signal
}

/// The pauses grow, so that of an older signal is longer.
pub(in crate::conformance) async fn w38_signals_before_the_run_are_taken_in_order(tested: BackendUnderTest) {
    put_off(&tested, "1", LONG).await;
    put_off(&tested, "2", Duration::from_secs(1)).await;
    put_off(&tested, "3", LONG).await;
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x").times(4)]).await;
    publish(&tested, new("r", "x", "4")).await;
    assert_eq!(got(&host, &run).await, [["x=1", "x=2", "x=3", "x=4"]]);
    let left = tested.backend.put_off_signals(&key("r"), 10).await.expect("they can be read");
    assert_eq!(left, [], "the run has them");
}

pub(in crate::conformance) async fn w38_a_signal_before_the_run_is_there_for_its_first_wait(
    tested: BackendUnderTest,
) {
    put_off(&tested, "1", Duration::from_secs(1)).await;
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::within("x", 100), Ask::within("x", 2500)]).await;
    let mut got = got(&host, &run).await;
    got.sort();
    assert_eq!(got, [vec!["-"], vec!["x=1"]], "it is taken once");
}

pub(in crate::conformance) async fn w38_a_signal_before_the_run_comes_before_a_later_one(
    tested: BackendUnderTest,
) {
    put_off(&tested, "1", LONG).await;
    let (host, _post) = at_work(&tested).await;
    let later = tested.backend.clock().now().after(Duration::from_secs(2));
    let request: StartRequest = request("ask", "r", &vec![Ask::one("x").times(2)]);
    let run = host.engine.start(StartRequest { start_time: StartTime::At(later), ..request }).await;
    let run = run.expect("it is started");
    assert_eq!(send(&host, "r", "x", "2").await, Verdict::Kept);
    let mailbox = host.status(&run).await.mailbox.expect("it holds signals");
    assert_eq!(mailbox.signals, 2, "both are there");
    assert_eq!(got(&host, &run).await, [["x=1", "x=2"]]);
}

/// A host that is lost after it has put a signal off leaves a copy of it, which is put off as well.
pub(in crate::conformance) async fn w42_copies_of_a_signal_are_put_off_once(tested: BackendUnderTest) {
    let signal = put_off(&tested, "1", LONG).await;
    for _ in 0..3 {
        let due = tested.backend.clock().now().after(LONG);
        tested.backend.put_off(&signal, due).await.expect("it is put off already");
    }
    put_off(&tested, "2", LONG).await;
    let there = tested.backend.put_off_signals(&key("r"), 10).await.expect("they can be read");
    let ids: Vec<_> = there.iter().filter_map(|signal| signal.id.as_deref()).collect();
    assert_eq!(ids, ["payment-1", "payment-2"]);
}
