//! Runs that start later.

use super::{
    BackendUnderTest, DEADLINE, TestHost,
    host::request,
    snapshots::key,
    timers::{Log, asleep, at_work, host},
};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use jetway_engine::{
    StartError,
    backend::{Alarm, Api, Backend, BackendError, BackendErrorKind, StartRequest},
};
use jetway_state::{
    RunKey, Seen, Timestamp,
    run::{MAX_WAIT, StartTime, Status, WantedResult, control::Control},
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// A start of a run that wakes once, as soon as it starts.
fn start_at(run_id: &str, time: Timestamp) -> StartRequest {
    StartRequest { start_time: StartTime::At(time), ..request("nights", run_id, &[0]) }
}

fn later(tested: &BackendUnderTest, millis: u64) -> Timestamp {
    tested.backend.clock().now().after(Duration::from_millis(millis))
}

/// The run has started once, at its time.
async fn check(host: &TestHost, log: &Log, run: &RunKey, due: Timestamp) {
    assert_eq!(host.output::<Vec<u64>>(run).await, [0]);
    let woken = log.woken();
    assert_eq!(woken.len(), 1, "{woken:?}");
    assert!(woken[0].1 >= due, "due at {due}, and started at {}", woken[0].1);
    assert!(woken[0].1.since(due) < DEADLINE / 4, "due at {due}, and started at {}", woken[0].1);
}

async fn control(host: &TestHost, control: Control, run: &RunKey) -> Status {
    let (workflow, run_id) = (run.workflow.as_str(), run.run_id.as_str());
    Api::control(&*host.engine, control, workflow, run_id).await.expect("it is there").status
}

pub(super) async fn w44_a_run_starts_at_its_time(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let (run, due) = (key("nights", "r"), later(&tested, 4_000));
    // The second message is to the host what a redelivery of the first one is. The others change no time.
    for time in [due, due, Timestamp(0), later(&tested, 600_000)] {
        tested.backend.publish_start(&start_at("r", time)).await.expect("it is published");
        wait_until("the run exists", DEADLINE, async || {
            tested.backend.load(&run, Seen::default()).await.expect("it can be read").is_some()
        })
        .await;
        host.engine.start(start_at("r", time)).await.expect("it joins the run");
    }
    let status = host.status(&run).await;
    assert_eq!((status.run.status, status.pending[0].sleeping), (Status::Running, 1));
    let waiting_for = format!("the time of its start, {due}");
    assert_eq!(status.waiting_for, Some(waiting_for));
    assert_eq!(log.woken(), []);
    check(&host, &log, &run, due).await;
    host.engine.start(start_at("r", later(&tested, 600_000))).await.expect("it joins the run that has ended");
    assert_eq!(log.woken().len(), 1);
}

pub(super) async fn a_start_time_that_has_passed_is_no_wait(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    for (count, run_id) in ["first", "second"].into_iter().enumerate() {
        let past = Timestamp(later(&tested, 0).0 * count as u64);
        let run = host.engine.start(start_at(run_id, past)).await.expect("it is started");
        assert_eq!(host.output::<Vec<u64>>(&run).await, [0]);
        assert_eq!(log.woken().len(), count + 1);
    }
}

pub(super) async fn w44_a_bad_start_time_is_refused(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let bad = [
        StartTime::parse("soon", Timestamp(0)),
        StartTime::parse("2027-01-15T08:00:00", Timestamp(0)),
        StartTime::At(later(&tested, 60_000).after(MAX_WAIT)),
    ];
    for (number, start_time) in bad.into_iter().enumerate() {
        let run = key("nights", &format!("r{number}"));
        let start = StartRequest { start_time, ..request("nights", run.run_id.as_str(), &[0]) };
        let refused = host.engine.start(start.clone()).await.expect_err("it is refused");
        assert!(matches!(&refused, StartError::BadStartTime(_)) && refused.code() == 400, "{refused}");
        let message = tested.backend.publish_start(&start).await.expect("it is published");
        let told = tested.backend.done(&run, WantedResult::New(message), DEADLINE).await;
        let told = told.expect("it can be asked").expect("its sender is told");
        let told: Value = serde_json::from_slice(&told).expect("it is JSON");
        assert_eq!(told["error"]["kind"], "bad-start-time", "{told}");
        let reason = told["error"]["message"].as_str().expect("it has a reason");
        assert!(reason.contains("start time"), "{reason}");
        assert_eq!(tested.backend.load(&run, Seen::default()).await.expect("it can be read"), None);
    }
    assert_eq!(log.woken(), []);
}

pub(super) async fn w44_a_run_that_waits_for_its_start_takes_commands(tested: BackendUnderTest) {
    let (host, log) = at_work(&tested).await;
    let due = later(&tested, 1_500);
    let cancelled = host.engine.start(start_at("cancelled", due)).await.expect("it is started");
    assert_eq!(control(&host, Control::Cancel, &cancelled).await, Status::Cancelled);
    let paused = host.engine.start(start_at("paused", due)).await.expect("it is started");
    assert_eq!(control(&host, Control::Pause, &paused).await, Status::Paused);
    assert_eq!(control(&host, Control::Resume, &paused).await, Status::Running);
    asleep(&host, &paused, 1).await;
    assert_eq!(control(&host, Control::Pause, &paused).await, Status::Paused);
    let over = due.after(Duration::from_millis(1_000));
    wait_until("the time has passed", DEADLINE, async || tested.backend.clock().now() > over).await;
    assert_eq!(log.woken(), []);
    assert_eq!(control(&host, Control::Resume, &paused).await, Status::Running);
    check(&host, &log, &paused, over).await;
    assert_eq!(host.status(&cancelled).await.run.status, Status::Cancelled);
}

/// Cannot arm the first alarm: as if the host had died after it wrote the record.
#[derive(Debug)]
struct FirstAlarmFails {
    inner: Arc<dyn Backend>,
    asked: AtomicU32,
}

#[async_trait]
impl Interceptor for FirstAlarmFails {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(BackendError::new(BackendErrorKind::Unavailable, "by order of the test"));
        }
        self.inner.arm(alarm).await
    }
}

fn failing(tested: &BackendUnderTest) -> (Arc<dyn Backend>, Arc<Intercepted<FirstAlarmFails>>) {
    let backend = FirstAlarmFails { inner: Arc::clone(&tested.backend), asked: AtomicU32::new(0) };
    let failing = Arc::new(Intercepted(backend));
    (Arc::clone(&failing) as Arc<dyn Backend>, failing)
}

pub(super) async fn w44_a_lost_coordinator_s_alarm_is_armed_again(tested: BackendUnderTest) {
    let (backend, failing) = failing(&tested);
    let log = Log::new(&tested.backend);
    let mut host = host(&backend, &log);
    host.work(8).await;
    let due = later(&tested, 8_000);
    tested.backend.publish_start(&start_at("r", due)).await.expect("it is published");
    // The message comes again when its lease is over. Nobody sweeps.
    wait_until("the alarm is armed", DEADLINE, async || failing.0.asked.load(Ordering::SeqCst) == 2).await;
    assert!(tested.backend.clock().now() < due, "the redelivery came too late for this test");
    check(&host, &log, &key("nights", "r"), due).await;
}

pub(super) async fn w44_a_repeated_request_arms_a_lost_alarm(tested: BackendUnderTest) {
    let (backend, failing) = failing(&tested);
    let log = Log::new(&tested.backend);
    let mut host = host(&backend, &log);
    host.work(8).await;
    let start = start_at("r", later(&tested, 1_500));
    let failed = host.engine.start(start.clone()).await.expect_err("the alarm cannot be armed");
    assert!(failed.is_retryable(), "{failed}");
    let run = host.engine.start(start.clone()).await.expect("it joins the run");
    assert_eq!(failing.0.asked.load(Ordering::SeqCst), 2);
    let StartTime::At(due) = start.start_time else { panic!("it has a time") };
    check(&host, &log, &run, due).await;
}
