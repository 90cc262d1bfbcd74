//! The least that executes runs: no actors, no supervision.

use super::{
    BackendUnderTest, DEADLINE,
    workflows::{Chain, Family, Fan, Held, Narrow, Nested, Offspring, Probe, Trouble},
};
use crate::wait_until;
use futures::StreamExt;
use jetway_engine::{
    Engine, EngineConfig, TicketOutcome,
    backend::{Api, Backend, Delivery, StartRequest},
};
use jetway_state::{
    RunKey,
    codec::Encoding,
    run::{RunDeadline, StartTime, StatusView, WantedResult},
    trace::TraceHeaders,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// An engine with every workflow of the suite, and tasks that work off tickets and starts while it lives.
pub struct TestHost {
    /// The engine.
    pub engine: Arc<Engine>,
    tasks: JoinSet<()>,
}

impl TestHost {
    /// An engine that nobody works for.
    pub fn idle(tested: &BackendUnderTest, probe: &Probe) -> Self {
        Self::with(
            &tested.backend,
            probe,
            EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() },
        )
    }

    /// An engine with these bounds.
    pub fn with(backend: &Arc<dyn Backend>, probe: &Probe, config: EngineConfig) -> Self {
        let engine = Engine::builder(Arc::clone(backend))
            .config(config)
            .workflow(Chain::new(probe))
            .workflow(Fan::new(probe))
            .workflow(Held::new(probe))
            .workflow(Narrow::new(probe))
            .workflow(Family::new(probe))
            .workflow(Offspring::new(probe))
            .workflow(Nested::new())
            .workflow(Trouble::new())
            .build();
        Self { engine: Arc::new(engine.expect("the suite's workflows are sound")), tasks: JoinSet::new() }
    }

    /// This engine, which nobody works for yet.
    pub fn of(engine: Engine) -> Self {
        Self { engine: Arc::new(engine), tasks: JoinSet::new() }
    }

    /// An engine at work.
    pub async fn at_work(tested: &BackendUnderTest, probe: &Probe) -> Self {
        let mut host = Self::idle(tested, probe);
        host.work(64).await;
        host
    }

    /// Begins to work off the tickets, signals and starts of every workflow, `slots` steps of each at once.
    pub async fn work(&mut self, slots: usize) {
        for workflow in self.engine.workflows().iter() {
            let slots = Arc::new(Semaphore::new(slots));
            let backend = self.engine.backend();
            let name = workflow.name();
            let mut tickets = backend.tickets(name, slots).await.expect("tickets are handed out");
            let engine = Arc::clone(&self.engine);
            self.tasks.spawn(async move {
                let mut steps = JoinSet::new();
                while let Some(delivery) = tickets.next().await {
                    let engine = Arc::clone(&engine);
                    let delivery = delivery.expect("a ticket is delivered");
                    steps.spawn(
                        async move { engine.process_ticket(delivery, CancellationToken::new()).await },
                    );
                    while steps.try_join_next().is_some() {}
                }
            });
            let mut signals =
                backend.signals(name, Arc::new(Semaphore::new(64))).await.expect("signals are handed out");
            let engine = Arc::clone(&self.engine);
            self.tasks.spawn(async move {
                let mut applied = JoinSet::new();
                while let Some(delivery) = signals.next().await {
                    let engine = Arc::clone(&engine);
                    let delivery = delivery.expect("a signal is delivered");
                    applied.spawn(async move { engine.process_signal(delivery).await });
                    while applied.try_join_next().is_some() {}
                }
            });
            let mut starts =
                backend.starts(name, Arc::new(Semaphore::new(64))).await.expect("starts are handed out");
            let engine = Arc::clone(&self.engine);
            self.tasks.spawn(async move {
                while let Some(delivery) = starts.next().await {
                    engine.process_start(delivery.expect("a start is delivered")).await;
                }
            });
        }
    }

    /// The next ticket of a workflow, held by nobody but the caller.
    pub async fn ticket(&self, workflow: &str) -> Delivery {
        let workflow = self.engine.workflows().get(workflow).expect("a workflow of the suite");
        let slots = Arc::new(Semaphore::new(1));
        let mut tickets =
            self.engine.backend().tickets(workflow.name(), slots).await.expect("tickets are handed out");
        let delivery = tokio::time::timeout(DEADLINE, tickets.next()).await.expect("a ticket comes in time");
        delivery.expect("the stream goes on").expect("a ticket is delivered")
    }

    /// Works off one ticket.
    pub async fn work_off(&self, delivery: Delivery) -> TicketOutcome {
        self.engine.process_ticket(delivery, CancellationToken::new()).await
    }

    /// Starts a run.
    pub async fn start(&self, workflow: &str, run_id: &str, input: &impl Serialize) -> RunKey {
        self.engine.start(request(workflow, run_id, input)).await.expect("the run is started")
    }

    /// The result of a run.
    pub async fn result(&self, run: &RunKey) -> Value {
        let result = self
            .engine
            .backend()
            .done(run, WantedResult::Latest, DEADLINE)
            .await
            .expect("the result can be read");
        let Some(result) = result else { panic!("run {run} did not end: {:#?}", self.status(run).await) };
        serde_json::from_slice(&result).expect("a result is JSON")
    }

    /// The only child run of a run that waits for it, when it is there: the parent's record names it before.
    pub async fn child_of(&self, run: &RunKey) -> RunKey {
        let named = async || {
            let child = self.status(run).await.children.first().cloned()?;
            let (workflow, id) = child.split_once('/')?;
            Some(RunKey::new(workflow.parse().ok()?, id.parse().ok()?))
        };
        wait_until("it waits for its child run", DEADLINE, async || match named().await {
            Some(child) => self
                .engine
                .backend()
                .load(&child, Default::default())
                .await
                .expect("it can be read")
                .is_some(),
            None => false,
        })
        .await;
        named().await.expect("it waits for it")
    }

    /// The output of a run that completes.
    pub async fn output<O: DeserializeOwned>(&self, run: &RunKey) -> O {
        let result = self.result(run).await;
        assert_eq!(result["status"], "completed", "{result:#}");
        serde_json::from_value(result["output"].clone()).expect("the output has its type")
    }

    /// How a run stands.
    pub async fn status(&self, run: &RunKey) -> StatusView {
        let status = Api::status(&*self.engine, run.workflow.as_str(), run.run_id.as_str()).await;
        status.expect("the run is there")
    }
}

impl fmt::Debug for TestHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestHost").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// A wish to start a run.
pub(super) fn request(workflow: &str, run_id: &str, input: &impl Serialize) -> StartRequest {
    StartRequest {
        workflow: workflow.to_owned(),
        run_id: run_id.to_owned(),
        input: serde_json::to_vec(input).expect("the input is JSON").into(),
        encoding: Encoding::Json,
        start_time: StartTime::Now,
        deadline: RunDeadline::OfWorkflow,
        trace: TraceHeaders::default(),
    }
}
