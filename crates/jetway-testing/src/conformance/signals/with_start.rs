//! Signals that start their run.

use super::{BackendUnderTest, at_work, got, key, new, send, start, waits, workflows::Ask};
use crate::conformance::{TestHost, host::request};
use jetway_engine::{
    SignalAnswer,
    backend::{ApiError, NewSignal, StartRequest},
};
use jetway_state::{
    Seen,
    run::{StartTime, Verdict, control::Control},
};
use std::time::Duration;

async fn ask(host: &TestHost, run: &str, asks: &[Ask], signal: NewSignal) -> Result<SignalAnswer, ApiError> {
    host.engine.signal_with_start(request("ask", run, &asks.to_vec()), signal).await
}

fn with_id(run: &str, payload: &str, id: &str) -> NewSignal {
    NewSignal { id: Some(id.to_owned()), ..new(run, "x", payload) }
}

pub(in crate::conformance) async fn w44_a_signal_that_starts_its_run_starts_nothing_early(
    tested: BackendUnderTest,
) {
    let (host, _post) = at_work(&tested).await;
    let later = tested.backend.clock().now().after(Duration::from_secs(2));
    let start =
        StartRequest { start_time: StartTime::At(later), ..request("ask", "later", &vec![Ask::one("x")]) };
    for (started, verdict) in
        [(true, Verdict::Kept), (false, Verdict::Duplicate), (false, Verdict::Duplicate)]
    {
        let answer = host.engine.signal_with_start(start.clone(), with_id("later", "1", "a")).await;
        let answer = answer.expect("it is applied");
        assert_eq!((answer.started, answer.verdict), (started, verdict));
    }
    let status = host.status(&key("later")).await;
    assert_eq!((status.run.steps, status.mailbox.map(|mailbox| mailbox.signals)), (0, Some(1)));
    assert_eq!(got(&host, &key("later")).await, [["x=1"]]);
    assert!(tested.backend.clock().now() >= later);
}

pub(in crate::conformance) async fn a_signal_starts_its_run_or_goes_to_the_one_that_is_there(
    tested: BackendUnderTest,
) {
    let (host, _post) = at_work(&tested).await;
    let asks = [Ask::one("x").times(3)];
    let first = ask(&host, "r", &asks, with_id("r", "1", "a")).await.expect("it is applied");
    assert_eq!((first.started, first.verdict), (true, Verdict::Kept));
    waits(&host, &key("r"), 1).await;
    // Another input does not matter: the run is there.
    let second = ask(&host, "r", &[Ask::one("y")], with_id("r", "2", "b")).await.expect("it is applied");
    assert_eq!((second.started, second.verdict), (false, Verdict::Taken));
    let again = ask(&host, "r", &asks, with_id("r", "1", "a")).await.expect("it is applied");
    assert_eq!((again.started, again.verdict), (false, Verdict::Duplicate));
    waits(&host, &key("r"), 1).await;
    assert_eq!(send(&host, "r", "x", "3").await, Verdict::Taken);
    assert_eq!(got(&host, &key("r")).await, [["x=1", "x=2", "x=3"]]);
    let ended = ask(&host, "r", &asks, with_id("r", "4", "c")).await.expect_err("it has ended");
    assert!(ended.code == 409 && ended.message.starts_with("run_ended"), "{ended}");
    let again = ask(&host, "r", &asks, with_id("r", "1", "a")).await.expect("it has had it");
    assert_eq!(again.verdict, Verdict::Duplicate);
}

pub(in crate::conformance) async fn a_wrong_signal_starts_no_run(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    for (name, payload, word) in [("unheard", "1", "unknown_signal"), ("note", "1", "bad_payload")] {
        let refused =
            ask(&host, "r", &[Ask::one("x")], new("r", name, payload)).await.expect_err("it is refused");
        assert!(refused.code == 400 && refused.message.starts_with(word), "{refused}");
    }
    let refused = host.engine.signal_with_start(request("ask", "r", &"no list"), new("r", "x", "1")).await;
    assert_eq!(refused.map_err(|error| error.code), Err(400));
    assert_eq!(tested.backend.load(&key("r"), Seen::default()).await.expect("it can be read"), None);
    // A signal from the store comes behind the one of the start.
    ask(&host, "r", &[Ask::one("x").times(2)], new("r", "x", "1")).await.expect("it is applied");
    send(&host, "r", "x", "2").await;
    assert_eq!(got(&host, &key("r")).await, [["x=1", "x=2"]]);
}

pub(in crate::conformance) async fn many_signals_start_one_run(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let asks = [Ask::one("x").times(8)];
    let sent = (0..8).map(|number| ask(&host, "r", &asks, new("r", "x", &number.to_string())));
    let answers = futures::future::join_all(sent).await;
    let started = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.started)).count();
    assert_eq!(started, 1, "{answers:?}");
    let mut all: Vec<String> = got(&host, &key("r")).await.concat();
    all.sort_unstable();
    assert_eq!(all, (0..8).map(|number| format!("x={number}")).collect::<Vec<_>>());
    // A run that ends before it takes the signal of its start says so.
    let run = start(&host, "s", &[Ask::one("y")]).await;
    waits(&host, &run, 1).await;
    let kept = ask(&host, "s", &asks, new("s", "x", "1")).await.expect("it is applied");
    assert_eq!(kept.verdict, Verdict::Kept);
    host.engine.control(&run, Control::Cancel).await.expect("it can be told");
}
