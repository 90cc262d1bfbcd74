//! An actor system with its own runtime for the nodes.

use super::Probe;
use jetway_actors::{ActorSystem, RestartPolicy, SystemConfig, SystemStatus};
use jetway_engine::{
    Engine, EngineConfig,
    backend::{Backend, StartRequest},
};
use jetway_state::{RunId, RunKey, WorkflowName, run::WantedResult};
use jetway_testing::wait_until;
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// The deadline of every wait.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A host under test.
pub(crate) struct Host {
    system: ActorSystem,
    engine: Arc<Engine>,
    /// Dropped after the system, which needs it.
    nodes: Nodes,
}

impl Host {
    /// A host with one thread for nodes, so that a node can block all of them.
    pub(crate) fn start(backend: &Arc<dyn Backend>, workflow: &Probe) -> Self {
        Self::with(backend, &[workflow], |_config| ())
    }

    pub(crate) fn with(
        backend: &Arc<dyn Backend>,
        workflows: &[&Probe],
        set: impl FnOnce(&mut SystemConfig),
    ) -> Self {
        let delay = Duration::from_millis(1);
        let mut config = SystemConfig::new("host-1");
        config.restart = RestartPolicy { first_delay: delay, max_delay: delay, ..RestartPolicy::default() };
        set(&mut config);
        let mut engine = Engine::builder(backend.clone());
        for workflow in workflows {
            engine = engine.workflow::<(), Probe>((*workflow).clone());
        }
        let limits = EngineConfig { stale_after: Duration::from_millis(1), ..EngineConfig::default() };
        let engine = Arc::new(engine.config(limits).build().unwrap());
        let nodes = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let system = ActorSystem::start(engine.clone(), config, nodes.handle().clone()).unwrap();
        Self { system, engine, nodes: Nodes(Some(nodes)) }
    }

    /// The engine of the host.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Shuts down the runtime of the nodes while the system runs.
    pub(crate) fn end_nodes(&mut self) {
        self.nodes.end();
    }

    /// Starts a run without the coordinator.
    pub(crate) async fn start_directly(&self, workflow: &str, run_id: &str, steps: u32) -> RunKey {
        self.engine.start(request(workflow, run_id, steps)).await.unwrap()
    }

    /// Publishes a start message, as a client does.
    pub(crate) async fn publish(&self, workflow: &str, run_id: &str, steps: u32) -> RunKey {
        let request = request(workflow, run_id, steps);
        self.engine.backend().publish_start(&request).await.unwrap();
        RunKey::new(WorkflowName::new(workflow).unwrap(), RunId::new(run_id).unwrap())
    }

    /// Waits for the end of a run and returns its result.
    pub(crate) async fn result(&self, run: &RunKey) -> serde_json::Value {
        let done = self.engine.backend().done(run, WantedResult::Latest, DEADLINE).await.unwrap();
        serde_json::from_slice(&done.unwrap_or_else(|| panic!("{run} has not ended"))).unwrap()
    }

    /// Waits for the end of a run, which must complete with the output `steps`.
    pub(crate) async fn completes(&self, run: &RunKey, steps: u32) {
        let result = self.result(run).await;
        assert_eq!(result["status"], "completed", "{result}");
        assert_eq!(result["output"], steps, "{result}");
    }

    /// Waits until the status of the host satisfies `state`, and returns it.
    pub(crate) async fn until(&self, what: &str, state: impl Fn(&SystemStatus) -> bool) -> SystemStatus {
        wait_until(what, DEADLINE, async || {
            let status = self.system.observe().await;
            state(&status).then_some(status)
        })
        .await
    }
}

fn request(workflow: &str, run_id: &str, steps: u32) -> StartRequest {
    StartRequest {
        workflow: workflow.to_owned(),
        run_id: run_id.to_owned(),
        input: steps.to_string().into(),
        ..StartRequest::default()
    }
}

impl Deref for Host {
    type Target = ActorSystem;

    fn deref(&self) -> &ActorSystem {
        &self.system
    }
}

/// Shuts down without waiting for its tasks when dropped: a node that blocks its thread would block the test, and a
/// runtime must not be dropped on a thread of another one.
struct Nodes(Option<Runtime>);

impl Nodes {
    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end();
    }
}
