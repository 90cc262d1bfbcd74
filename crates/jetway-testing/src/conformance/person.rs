//! Items whose attempts are used up, and that wait for a person.

use super::{BackendUnderTest, DEADLINE, TestHost};
use crate::wait_until;
use jetway_core::{Exhausted, Failure, RetryPolicy, Transition, step};
use jetway_engine::{
    Engine, EngineConfig,
    api::{ApiError, RetryQuery, RetryView},
    backend::{Api, Backend},
};
use jetway_macros::{node, workflow};
use jetway_state::{
    Error, ItemId, RunKey,
    run::{Status, StatusView, control::Control},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A bank that is closed at first, and the attempts that were made: the payment, and the number of the attempt.
#[derive(Debug, Clone, Default)]
struct Bank {
    open: Arc<AtomicBool>,
    made: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl Bank {
    /// Each once: a ticket of its time and one of its slot may both execute an item, and one of them commits it.
    fn made(&self) -> Vec<(u32, u32)> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        made.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn calls(&self) -> usize {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

node! {
    struct Payments {};
    input = u32; output = u32;
    |_ctx, payments| { Ok(Transition::NextAll((0..payments).collect())) }
}

node! {
    /// Payments with an odd number need the bank.
    struct Pay { bank: Bank };
    input = u32; output = u32;
    |_ctx, payment| {
        let attempt = step().map_or(0, |step| step.attempt());
        self.bank.made.lock().unwrap_or_else(PoisonError::into_inner).push((payment, attempt));
        match payment % 2 == 1 && !self.bank.open.load(Ordering::SeqCst) {
            true => Err(Error::Generic("the bank is closed".to_owned())),
            false => Ok(Transition::Next(payment)),
        }
    }
}

node! {
    struct Sum {};
    input = Vec<u32>; output = u32;
    |_ctx, payments| { Ok(Transition::Next(payments.iter().sum())) }
}

node! {
    struct Later {};
    input = Failure<u32>; output = u32;
    |_ctx, _failure| { Ok(Transition::Next(1000)) }
}

workflow! {
    struct Wages { payments: Payments, #[at_most = 2] pay: Pay, #[gather] sum: Sum, patience: RetryPolicy }
    name = "wages";
    start = payments;
    retry = patience;
    edges { payments => [pay]; pay => [sum]; sum => []; }
}

workflow! {
    /// Where a failure is handled, nobody is asked.
    struct Handled { pay: Pay, later: Later }
    name = "handled";
    start = pay;
    retry = patience();
    edges { pay => []; pay on_failure => [later]; later => []; }
}

fn patience() -> RetryPolicy {
    RetryPolicy::attempts(2).first(Duration::from_millis(20)).exhausted(Exhausted::Pause)
}

fn host(backend: &Arc<dyn Backend>, bank: &Bank) -> TestHost {
    let pay = || Pay { bank: bank.clone() };
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(Wages { payments: Payments {}, pay: pay(), sum: Sum {}, patience: patience() })
        .workflow(Handled { pay: pay(), later: Later {} })
        .build();
    TestHost::of(engine.expect("the workflows are sound"))
}

async fn at_work(tested: &BackendUnderTest) -> (TestHost, Bank) {
    let bank = Bank::default();
    let mut host = host(&tested.backend, &bank);
    host.work(16).await;
    (host, bank)
}

/// Waits until nothing of the run goes on without a person.
async fn waiting(host: &TestHost, run: &RunKey, items: usize) -> StatusView {
    wait_until("the items wait for a person", DEADLINE, async || {
        let status = host.status(run).await;
        let pending: usize = status.pending.iter().map(|pending| pending.items).sum();
        let waiting = status.waiting_for_person.len();
        waiting == items && pending == items
    })
    .await;
    host.status(run).await
}

async fn retry(host: &TestHost, run: &RunKey, item: Option<ItemId>) -> Result<RetryView, ApiError> {
    Api::retry(&*host.engine, run.workflow.as_str(), run.run_id.as_str(), RetryQuery { item }).await
}

pub(super) async fn an_item_waits_for_a_person_and_its_siblings_go_on(tested: BackendUnderTest) {
    let (host, bank) = at_work(&tested).await;
    let run = host.start("wages", "r", &6).await;
    let status = waiting(&host, &run, 3).await;
    assert_eq!(status.run.status, Status::Running);
    assert_eq!(bank.made(), [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (3, 2), (4, 1), (5, 1), (5, 2)]);
    let waiting_for = status.waiting_for.expect("it says so");
    assert!(waiting_for.contains("a person") && waiting_for.contains("the bank is closed"), "{waiting_for}");
    let first = &status.waiting_for_person[0];
    let error = first.error.as_ref().expect("an error");
    assert_eq!((first.node.as_deref(), error.attempt), (Some("pay"), 2));
    // While the bank is closed, one of them is tried in vain, as often as at first.
    let before = bank.calls();
    let one = retry(&host, &run, Some(first.item.clone())).await.expect("it waits");
    assert_eq!((one.status, one.items), (Status::Running, vec![first.item.clone()]));
    wait_until("it was tried again", DEADLINE, async || bank.calls() >= before + 2).await;
    waiting(&host, &run, 3).await;
    bank.open.store(true, Ordering::SeqCst);
    let all = retry(&host, &run, None).await.expect("they wait");
    assert_eq!(all.items.len(), 3);
    assert_eq!(host.output::<u32>(&run).await, 15);
}

pub(super) async fn a_retry_of_what_waits_for_nobody_is_refused(tested: BackendUnderTest) {
    let (host, bank) = at_work(&tested).await;
    let none = RunKey::new("wages".parse().expect("a name"), "none".parse().expect("a name"));
    assert_eq!(retry(&host, &none, None).await.expect_err("there is no run").code, 404);
    bank.open.store(true, Ordering::SeqCst);
    let run = host.start("wages", "r", &2).await;
    assert_eq!(host.output::<u32>(&run).await, 1);
    let refused = retry(&host, &run, None).await.expect_err("it has ended");
    assert_eq!(refused.code, 409);
    assert!(refused.message.contains("the run has ended, completed"), "{refused}");
}

pub(super) async fn a_run_that_waits_for_a_person_takes_commands(tested: BackendUnderTest) {
    let (host, bank) = at_work(&tested).await;
    let run = host.start("wages", "r", &2).await;
    let status = waiting(&host, &run, 1).await;
    let other = ItemId::new("other").expect("an id");
    let refused = retry(&host, &run, Some(other)).await.expect_err("it waits for nobody");
    assert!(refused.message.contains("item other does not wait for a person"), "{refused}");
    Api::control(&*host.engine, Control::Pause, "wages", "r").await.expect("it is there");
    bank.open.store(true, Ordering::SeqCst);
    let asked = retry(&host, &run, Some(status.waiting_for_person[0].item.clone())).await;
    assert_eq!(asked.expect("it waits").status, Status::Paused);
    Api::control(&*host.engine, Control::Resume, "wages", "r").await.expect("it is there");
    assert_eq!(host.output::<u32>(&run).await, 1);
    bank.open.store(false, Ordering::SeqCst);
    let run = host.start("wages", "cancelled", &2).await;
    waiting(&host, &run, 1).await;
    let cancelled = Api::control(&*host.engine, Control::Cancel, "wages", "cancelled").await;
    assert_eq!(cancelled.expect("it is there").status, Status::Cancelled);
}

pub(super) async fn a_failure_that_is_handled_waits_for_nobody(tested: BackendUnderTest) {
    let (host, bank) = at_work(&tested).await;
    let run = host.start("handled", "r", &1).await;
    assert_eq!(host.output::<u32>(&run).await, 1000);
    assert_eq!(bank.made(), [(1, 1), (1, 2)]);
}
