//! Runs that wait for signals.

mod put_off;
mod with_start;
mod workflows;

use super::{BackendUnderTest, DEADLINE, TestHost, host::request, late_ack::Unacked};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, future::join_all};
use jetway_engine::{
    SignalAnswer, SignalOutcome,
    backend::{
        Api, ApiError, Backend, BackendError, DeadLetter, NewSignal, SignalDelivery, StartRequest, Ticket,
    },
};
use jetway_state::{
    Fingerprint, Incarnation, RunId, RunKey, WorkflowName,
    run::{StartTime, Status, Verdict, control::Control},
};
pub(super) use put_off::{
    w38_a_signal_before_the_run_comes_before_a_later_one,
    w38_a_signal_before_the_run_is_there_for_its_first_wait, w38_signals_before_the_run_are_taken_in_order,
    w42_copies_of_a_signal_are_put_off_once,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
pub(super) use with_start::{
    a_signal_starts_its_run_or_goes_to_the_one_that_is_there, a_wrong_signal_starts_no_run,
    many_signals_start_one_run, w44_a_signal_that_starts_its_run_starts_nothing_early,
};
use workflows::{Ask, host};

/// A backend that keeps the dead letters of the hosts of a test, and loses tickets if it is told to.
#[derive(Debug)]
struct Post {
    inner: Arc<dyn Backend>,
    letters: Mutex<Vec<DeadLetter>>,
    /// How often a dead letter was stored.
    stored: AtomicUsize,
    loses_tickets: AtomicBool,
}

impl Post {
    fn of(tested: &BackendUnderTest) -> Arc<Intercepted<Self>> {
        let (inner, letters) = (Arc::clone(&tested.backend), Mutex::default());
        let (stored, loses_tickets) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Intercepted(Self { inner, letters, stored, loses_tickets }))
    }

    /// Why the dead letters are there, and their payloads.
    fn letters(&self) -> Vec<(String, Bytes)> {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.iter().map(|letter| (letter.why.clone(), letter.payload.clone())).collect()
    }

    /// One that is stored twice counts once.
    fn keep(&self, letter: &DeadLetter) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.iter().all(|other| (&other.id, &other.why) != (&letter.id, &letter.why)) {
            letters.push(letter.clone());
        }
    }

    fn whys(&self) -> Vec<String> {
        self.letters().into_iter().map(|(why, _)| why).collect()
    }
}

#[async_trait]
impl Interceptor for Post {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        if self.loses_tickets.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.publish(tickets).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), BackendError> {
        self.keep(&letter);
        self.stored.fetch_add(1, Ordering::SeqCst);
        self.inner.dead_letter(letter).await
    }
}

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Arc<Intercepted<Post>>) {
    let post = Post::of(tested);
    let backend: Arc<dyn Backend> = Arc::clone(&post) as _;
    let mut host = host(&backend);
    host.work(64).await;
    (host, post)
}

fn key(run: &str) -> RunKey {
    RunKey::new(WorkflowName::new("ask").expect("good"), RunId::new(run).expect("good"))
}

fn new(run: &str, name: &str, payload: &str) -> NewSignal {
    NewSignal {
        run: key(run),
        name: name.to_owned(),
        id: None,
        incarnation: None,
        content_type: None,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

async fn send(host: &TestHost, run: &str, name: &str, payload: &str) -> Verdict {
    let answer: SignalAnswer = host.engine.signal(new(run, name, payload)).await.expect("it is applied");
    assert!(answer.applied && answer.name == name && answer.run_id.as_str() == run);
    answer.verdict
}

async fn refused(host: &TestHost, signal: NewSignal) -> (u16, String) {
    let ApiError { code, message } = host.engine.signal(signal).await.expect_err("it is refused");
    (code, message)
}

async fn publish(tested: &BackendUnderTest, signal: NewSignal) {
    tested.backend.publish_signal(&signal).await.expect("it is stored");
}

async fn start(host: &TestHost, run: &str, asks: &[Ask]) -> RunKey {
    host.start("ask", run, &asks.to_vec()).await
}

async fn waits(host: &TestHost, run: &RunKey, items: usize) {
    wait_until("the run waits", DEADLINE, async || {
        host.status(run).await.pending.iter().map(|pending| pending.sleeping).sum::<usize>() == items
    })
    .await;
}

/// What each of the asking items got.
async fn got(host: &TestHost, run: &RunKey) -> Vec<Vec<String>> {
    host.output(run).await
}

/// Takes the next signal out of the store, and holds it.
async fn take_signal(backend: &dyn Backend) -> SignalDelivery {
    let workflow = WorkflowName::new("ask").expect("good");
    let mut signals =
        backend.signals(&workflow, Arc::new(Semaphore::new(1))).await.expect("they are handed out");
    let next = tokio::time::timeout(DEADLINE, signals.next()).await.expect("a signal comes in time");
    next.expect("the stream goes on").expect("a signal is delivered")
}

pub(super) async fn w38_a_signal_before_the_first_step_is_kept(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    let runs: Vec<_> = (0..40).map(|number| format!("r{number}")).collect();
    // The signal comes before the start, at the same time, and after it.
    join_all(runs.iter().enumerate().map(|(number, run)| {
        let (tested, host) = (&tested, &host);
        async move {
            let input = vec![Ask::one("x")];
            let started = async {
                let start = request("ask", run, &input);
                tested.backend.publish_start(&start).await.expect("it is published");
            };
            let sent = publish(tested, new(run, "x", &number.to_string()));
            match number % 3 {
                0 => {
                    sent.await;
                    started.await;
                }
                1 => drop(tokio::join!(started, sent)),
                _ => {
                    host.engine.start(request("ask", run, &input)).await.expect("it is started");
                    sent.await;
                }
            }
        }
    }))
    .await;
    for (number, run) in runs.iter().enumerate() {
        assert_eq!(got(&host, &key(run)).await, [[format!("x={number}")]]);
    }
    assert_eq!(post.0.whys(), Vec::<String>::new());
}

/// The ticket that the signal brings is refused as long as the one exists under which the item began to wait.
pub(super) async fn w38_a_signal_before_the_ack_of_a_wait_is_taken(tested: BackendUnderTest) {
    let post = Post::of(&tested);
    let mut host = host(&(Arc::clone(&post) as Arc<dyn Backend>));
    let run = start(&host, "r", &[Ask::one("x"), Ask::one("x")]).await;
    host.work_off(host.ticket("ask").await).await;
    let mut unacked = Vec::new();
    for _ in 0..2 {
        unacked.push(Unacked::of(&host, host.ticket("ask").await).await);
    }
    for payload in ["1", "2"] {
        assert!(send(&host, "r", "x", payload).await.is_accepted());
    }
    host.work(64).await;
    for each in unacked {
        each.ack().await;
    }
    let mut got = got(&host, &run).await;
    got.sort();
    assert_eq!(got, [["x=1"], ["x=2"]]);
}

pub(super) async fn w39_a_loop_takes_many_signals_in_order(tested: BackendUnderTest) {
    const MANY: usize = 120;
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x").times(MANY)]).await;
    for number in 0..MANY {
        match number % 2 {
            0 => publish(&tested, new("r", "x", &number.to_string())).await,
            _ => assert!(send(&host, "r", "x", &number.to_string()).await.is_accepted()),
        }
    }
    let wanted: Vec<_> = (0..MANY).map(|number| format!("x={number}")).collect();
    assert_eq!(got(&host, &run).await, [wanted]);
}

pub(super) async fn w40_a_signal_after_the_deadline_is_kept_for_the_next_wait(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    // Waits for `x` in vain, then for `y`, then for `x` again, and ends.
    let run = start(&host, "r", &[Ask::within("x", 400).then(&["y", "x"])]).await;
    waits(&host, &run, 1).await;
    wait_until("the run waits for y", DEADLINE, async || {
        host.status(&run).await.waiting_for.is_some_and(|why| why.starts_with("signal \"y\", for node"))
    })
    .await;
    assert_eq!(send(&host, "r", "x", "6").await, Verdict::Kept);
    assert_eq!(send(&host, "r", "x", "7").await, Verdict::Kept);
    let mailbox = host.status(&run).await.mailbox.expect("it holds signals");
    assert_eq!((mailbox.signals, mailbox.names["x"]), (2, 2));
    assert_eq!(send(&host, "r", "y", "1").await, Verdict::Taken);
    assert_eq!(got(&host, &run).await, [["-", "y=1", "x=6"]]);
    wait_until("the other one is reported", DEADLINE, async || post.0.whys() == ["never_taken"]).await;
    assert_eq!(&post.0.letters()[0].1[..], [7], "CBOR");
}

pub(super) async fn w41_a_signal_and_a_deadline_have_one_winner(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    let runs: Vec<_> = (0..30).map(|number| format!("r{number}")).collect();
    let mut signals = 0;
    let ends = join_all(runs.iter().map(|run| {
        let host = &host;
        async move {
            let key = start(host, run, &[Ask::within("x", 300)]).await;
            // On a machine that is busy, the deadline may pass before anybody looks.
            let due = wait_until("the run waits, or has ended", DEADLINE, async || {
                let status = host.status(&key).await;
                let due = status.pending.iter().find_map(|pending| pending.due.as_deref());
                let due = due.and_then(jetway_state::Timestamp::parse);
                due.or_else(|| status.run.status.is_terminal().then(|| host.engine.clock().now()))
            })
            .await;
            // As near to the deadline as this clock allows.
            while host.engine.clock().now() < due.before(Duration::from_millis(2)) {
                host.engine.clock().sleep_until(due.before(Duration::from_millis(2))).await;
            }
            let answer = host.engine.signal(new(run, "x", "1")).await;
            (got(host, &key).await, answer)
        }
    }))
    .await;
    for (got, answer) in ends {
        match (got[0][0].as_str(), answer.map(|answer| answer.verdict)) {
            ("x=1", Ok(Verdict::Taken)) => {}
            ("-", Ok(Verdict::Kept)) => signals += 1,
            ("-", Err(error)) => assert!(error.message.starts_with("run_ended"), "{error}"),
            other => panic!("both of them or none: {other:?}"),
        }
    }
    wait_until("what is left is reported", DEADLINE, async || {
        post.0.whys().iter().filter(|why| *why == "never_taken").count() == signals
    })
    .await;
}

pub(super) async fn w42_one_id_is_one_signal(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x").times(3)]).await;
    let with_id = |payload| NewSignal { id: Some("order-1".to_owned()), ..new("r", "x", payload) };
    let first = host.engine.signal(with_id("1")).await.expect("it is applied");
    assert!(matches!(first.verdict, Verdict::Taken | Verdict::Kept));
    publish(&tested, with_id("1")).await;
    let again = host.engine.signal(with_id("1")).await.expect("it is applied");
    assert_eq!(again.verdict, Verdict::Duplicate);
    for payload in ["2", "2"] {
        publish(&tested, new("r", "x", payload)).await;
    }
    assert_eq!(got(&host, &run).await, [["x=1", "x=2", "x=2"]]);
}

pub(super) async fn w43_what_is_wrong_is_refused_and_changes_nothing(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x")]).await;
    waits(&host, &run, 1).await;
    let before = tested.backend.load(&run, Default::default()).await.expect("it can be read");
    let (unknown, bad) = (new("r", "z", "1"), new("r", "note", "{\"text\": \"a\", \"marks\": [1, \"b\"]}"));
    let (code, message) = refused(&host, unknown.clone()).await;
    assert!(
        code == 400 && message.starts_with("unknown_signal: ") && message.contains("note, x, y"),
        "{message}"
    );
    let (code, message) = refused(&host, bad.clone()).await;
    assert!(
        code == 400 && message.starts_with("bad_payload: ") && message.contains("at marks[1]"),
        "{message}"
    );
    for payload in ["", "{", "\"text\"", "[".repeat(300_000).as_str()] {
        let (code, message) = refused(&host, new("r", "x", payload)).await;
        assert!(code == 400 && message.starts_with("bad_payload: "), "{message}");
    }
    let large = format!("{{\"text\": {:?}, \"marks\": []}}", "x".repeat(300_000));
    let (code, message) = refused(&host, new("r", "note", &large)).await;
    assert!(code == 400 && message.contains("the limit is 262144"), "{message}");
    assert_eq!(refused(&host, new("r", "a b", "1")).await.0, 400);
    let other = NewSignal { incarnation: Some(Incarnation::from_random(7)), ..new("r", "x", "1") };
    let (code, message) = refused(&host, other.clone()).await;
    assert!(code == 409 && message.starts_with("other_incarnation: "), "{message}");
    let (code, message) = refused(&host, new("nobody", "x", "1")).await;
    assert!(code == 404 && message.starts_with("not_found: "), "{message}");
    for signal in [unknown, bad.clone(), other] {
        publish(&tested, signal).await;
    }
    wait_until("they are dead letters", DEADLINE, async || post.0.letters().len() == 3).await;
    let mut whys = post.0.whys();
    whys.sort_unstable();
    assert_eq!(whys, ["bad_payload", "other_incarnation", "unknown_signal"]);
    assert!(post.0.letters().contains(&("bad_payload".to_owned(), bad.payload)), "with their payloads");
    assert_eq!(tested.backend.load(&run, Default::default()).await.expect("it can be read"), before);
    assert_eq!(send(&host, "r", "x", "1").await, Verdict::Taken);
    assert_eq!(got(&host, &run).await, [["x=1"]]);
    let (code, message) = refused(&host, new("r", "x", "1")).await;
    assert!(code == 409 && message.starts_with("run_ended: "), "{message}");
    publish(&tested, new("r", "x", "9")).await;
    wait_until("it is a dead letter", DEADLINE, async || post.0.whys().contains(&"run_ended".to_owned()))
        .await;
}

pub(super) async fn w43_a_signal_that_is_stored_twice_is_one_dead_letter(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x")]).await;
    waits(&host, &run, 1).await;
    assert_eq!(send(&host, "r", "x", "1").await, Verdict::Taken);
    assert_eq!(got(&host, &run).await, [["x=1"]]);
    let signal = NewSignal { id: Some("nine".to_owned()), ..new("r", "x", "9") };
    let stored = tested.backend.publish_signal(&signal).await.expect("it is stored");
    // As by a host that puts it off, and is lost before it acks the first one.
    tested.backend.put_off(&stored, stored.sent_at).await.expect("it is put off");
    wait_until("both are refused", DEADLINE, async || post.0.stored.load(Ordering::SeqCst) == 2).await;
    assert_eq!(post.0.whys(), ["run_ended"]);
}

pub(super) async fn w43_a_full_mailbox_refuses(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x")]).await;
    waits(&host, &run, 1).await;
    let note = format!("{{\"text\": {:?}, \"marks\": []}}", "x".repeat(100_000));
    for _ in 0..2 {
        assert_eq!(send(&host, "r", "note", &note).await, Verdict::Kept);
    }
    let (code, message) = refused(&host, new("r", "note", &note)).await;
    assert!(code == 409 && message.starts_with("mailbox_full: "), "{message}");
    assert_eq!(send(&host, "r", "x", "1").await, Verdict::Taken, "somebody waits for it");
    assert_eq!(got(&host, &run).await, [["x=1"]]);
}

pub(super) async fn w44_a_signal_starts_nothing_early(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let later = tested.backend.clock().now().after(Duration::from_secs(2));
    let request: StartRequest = request("ask", "later", &vec![Ask::one("x")]);
    let run = host.engine.start(StartRequest { start_time: StartTime::At(later), ..request }).await;
    let run = run.expect("it is started");
    assert_eq!(send(&host, "later", "x", "1").await, Verdict::Kept);
    let status = host.status(&run).await;
    assert_eq!((status.run.steps, status.mailbox.map(|mailbox| mailbox.signals)), (0, Some(1)));
    assert_eq!(got(&host, &run).await, [["x=1"]]);
    assert!(tested.backend.clock().now() >= later);
}

pub(super) async fn w45_the_item_that_waited_longest_gets_the_signal(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x"), Ask::one("x"), Ask::of_all(&["x", "y"])]).await;
    waits(&host, &run, 3).await;
    for number in 1..=3 {
        assert_eq!(send(&host, "r", "x", &number.to_string()).await, Verdict::Taken);
    }
    assert_eq!(send(&host, "r", "y", "4").await, Verdict::Taken);
    let got = got(&host, &run).await;
    let mut all: Vec<_> = got.iter().flatten().cloned().collect();
    all.sort_unstable();
    assert_eq!(all, ["x=1", "x=2", "x=3", "y=4"], "no broadcast");
    assert_eq!(got[2].len(), 2);
}

pub(super) async fn a_paused_run_takes_signals(tested: BackendUnderTest) {
    let (host, _post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::one("x")]).await;
    waits(&host, &run, 1).await;
    Api::control(&*host.engine, Control::Pause, "ask", "r").await.expect("it is there");
    assert_eq!(send(&host, "r", "x", "1").await, Verdict::Taken);
    assert_eq!(host.status(&run).await.run.status, Status::Paused);
    Api::control(&*host.engine, Control::Resume, "ask", "r").await.expect("it is there");
    assert_eq!(got(&host, &run).await, [["x=1"]]);
}

pub(super) async fn w40_a_cancelled_run_reports_what_it_kept(tested: BackendUnderTest) {
    let (host, post) = at_work(&tested).await;
    let run = start(&host, "r", &[Ask::of_all(&["x", "y"])]).await;
    waits(&host, &run, 1).await;
    assert_eq!(send(&host, "r", "x", "1").await, Verdict::Taken);
    assert_eq!(send(&host, "r", "x", "2").await, Verdict::Kept);
    Api::control(&*host.engine, Control::Cancel, "ask", "r").await.expect("it is there");
    assert_eq!(post.0.letters().len(), 2, "no step has taken them: {:?}", post.0.letters());
    assert_eq!(host.result(&run).await["status"], "cancelled");
}

/// The coordinator that applied a signal is lost before it publishes the ticket.
pub(super) async fn a_lost_coordinator_s_signal_is_taken_up(tested: BackendUnderTest) {
    let post = Post::of(&tested);
    let backend: Arc<dyn Backend> = Arc::clone(&post) as _;
    let mut host = host(&backend);
    let run = start(&host, "r", &[Ask::one("x")]).await;
    host.work_off(host.ticket("ask").await).await;
    assert_eq!(host.status(&run).await.pending[0].sleeping, 1);
    publish(&tested, new("r", "x", "1")).await;
    post.0.loses_tickets.store(true, Ordering::SeqCst);
    let delivery = take_signal(&*tested.backend).await;
    let lease = Arc::clone(&delivery.lease);
    let outcome =
        host.engine.process_signal(SignalDelivery { lease: Arc::new(Lost(lease)), ..delivery }).await;
    assert!(matches!(outcome, SignalOutcome::Applied(_, Verdict::Taken)), "{outcome:?}");
    post.0.loses_tickets.store(false, Ordering::SeqCst);
    host.work(8).await;
    assert_eq!(got(&host, &run).await, [["x=1"]], "its message is delivered again");
}

/// A lease whose host is gone before it acks.
#[derive(Debug)]
struct Lost(Arc<dyn jetway_engine::backend::Lease>);

#[async_trait]
impl jetway_engine::backend::Lease for Lost {
    async fn extend(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn ack(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn nak(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn duration(&self) -> Duration {
        self.0.duration()
    }
}

/// An attempt that saw the deadline is under way when a host whose clock is behind gives the signal to its item.
pub(super) async fn an_attempt_that_knows_less_is_made_again(tested: BackendUnderTest) {
    let post = Post::of(&tested);
    let backend: Arc<dyn Backend> = Arc::clone(&post) as _;
    let gate = workflows::Gate::default();
    let host = workflows::host_with(&backend, &gate, None);
    let run = start(&host, "r", &[Ask::within("x", 600).slow()]).await;
    host.work_off(host.ticket("ask").await).await;
    waits(&host, &run, 1).await;
    let (engine, alarm) = (Arc::clone(&host.engine), host.ticket("ask").await);
    let cancel = tokio_util::sync::CancellationToken::new();
    let attempt = tokio::spawn(async move { engine.process_ticket(alarm, cancel).await });
    gate.entered(1).await;
    let behind = workflows::host_with(&backend, &gate, Some(Duration::from_secs(3600)));
    let stored = tested.backend.publish_signal(&new("r", "x", "1")).await.expect("it is stored");
    assert_eq!(stored.name, "x");
    let outcome = behind.engine.process_signal(take_signal(&*tested.backend).await).await;
    assert!(matches!(outcome, SignalOutcome::Applied(_, Verdict::Taken)), "{outcome:?}");
    gate.open();
    attempt.await.expect("it ends");
    let mut host = host;
    host.work(8).await;
    assert_eq!(got(&host, &run).await, [["x=1"]]);
    assert_eq!(post.0.whys(), Vec::<String>::new());
}
