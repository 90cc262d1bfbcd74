//! Cases in which a step fails outside of its node. Hosts and steps over stores give the same answer: the run fails, and
//! says why.
//!
//! Each case has two columns: `..` on hosts over a backend, and `stores::pipeline::..` over stores.

use super::{BackendUnderTest, DEADLINE, TestHost, host::request};
use async_trait::async_trait;
use jetway_core::{Merge, SharedState, Transition, WorkItem, Workflow, WorkflowCtx};
use jetway_engine::{Engine, EngineConfig};
use jetway_macros::{Merge as DeriveMerge, node, workflow};
use jetway_state::{Error, RunKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::{collections::VecDeque, fmt, future::pending, sync::Arc, time::Duration};
use tokio::sync::Barrier;

/// The time limit of the cases about limits.
pub(super) const LIMIT: Duration = Duration::from_millis(50);

/// A value that panics where two changes of it meet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Brittle(u32);

impl Merge for Brittle {
    fn merge(&mut self, _other: Self) {
        panic!("brittle values do not merge");
    }
}

/// The context of [`Odd`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, DeriveMerge)]
pub(super) struct OddContext {
    brittle: SharedState<Brittle>,
}

/// Where a step of [`Odd`] fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// Two branches change the context at the same time, and their changes cannot be merged.
    Merge,
    /// The output panics while it is encoded.
    Output,
}

/// An output that cannot always be encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OddOutput(Fault);

impl Serialize for OddOutput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, Fault::Output, "this output cannot be encoded");
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for OddOutput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self(Fault::Merge))
    }
}

node! {
    pub(super) struct Double {};
    context = OddContext; input = Fault; output = (Fault, u32);
    |_ctx, fault| { Ok(Transition::NextAll(vec![(fault, 1), (fault, 2)])) }
}

node! {
    /// Changes the context after every branch has seen it.
    pub(super) struct Change { meet: Arc<Barrier> };
    context = OddContext; input = (Fault, u32); output = OddOutput;
    |ctx, branch| {
        let (fault, number) = branch;
        self.meet.wait().await;
        if fault == Fault::Merge {
            ctx.brittle.set(Brittle(number)).await;
        }
        Ok(Transition::Next(OddOutput(fault)))
    }
}

workflow! {
    /// Two branches that run at the same time.
    pub(super) struct Odd { double: Double, change: Change }
    name = "odd";
    context = OddContext;
    start = double;
    edges { double => [change]; change => []; }
}

impl Odd {
    pub(super) fn new() -> Self {
        Self { double: Double {}, change: Change { meet: Arc::new(Barrier::new(2)) } }
    }
}

/// The only work item of [`Endless`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EndlessItem(String);

impl fmt::Display for EndlessItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("endless")
    }
}

impl WorkItem for EndlessItem {
    fn instance_id(&self) -> String {
        self.0.clone()
    }

    fn is_terminal(&self) -> bool {
        true
    }

    fn node(&self) -> String {
        "endless".to_owned()
    }

    fn with_instance_id(self, id: String) -> Self {
        Self(id)
    }
}

/// A workflow that is written by hand: its node looks at no limit and never ends.
#[derive(Debug, Clone)]
pub(super) struct Endless;

#[async_trait]
impl Workflow<()> for Endless {
    type Input = u32;
    type Output = u32;
    type WorkItem = EndlessItem;

    fn name(&self) -> &'static str {
        "endless"
    }

    fn start_work_item(&self, _input: u32) -> EndlessItem {
        EndlessItem("start".to_owned())
    }

    async fn process_work_item<'a>(
        &'a self,
        _ctx: &'a WorkflowCtx<()>,
        _item: EndlessItem,
        _queue: &mut VecDeque<EndlessItem>,
    ) -> Result<Option<u32>, Error> {
        pending().await
    }

    fn to_dot(&self) -> &'static str {
        "digraph endless {}"
    }
}

async fn result(tested: &BackendUnderTest, workflow: &str, input: &impl Serialize) -> Value {
    let engine = Engine::builder(Arc::clone(&tested.backend))
        .config(EngineConfig { step_timeout: Some(LIMIT), ..EngineConfig::default() })
        .workflow(Odd::new())
        .workflow(Endless)
        .build()
        .expect("the workflows are sound");
    let mut host = TestHost::of(engine);
    host.work(8).await;
    let run: RunKey = host.engine.start(request(workflow, "r", input)).await.expect("the run is started");
    host.result(&run).await
}

fn assert_failed(result: &Value, kind: &str, message: &str) {
    assert_eq!((&result["status"], &result["error"]["kind"]), (&json!("failed"), &json!(kind)), "{result:#}");
    let told = result["error"]["message"].as_str().unwrap_or_default();
    assert!(told.contains(message), "{told}");
}

pub(super) async fn p6_a_change_that_cannot_be_merged_fails(tested: BackendUnderTest) {
    let result = result(&tested, "odd", &Fault::Merge).await;
    assert_failed(&result, "panic", "brittle values do not merge");
}

pub(super) async fn an_output_that_cannot_be_encoded_fails(tested: BackendUnderTest) {
    let result = result(&tested, "odd", &Fault::Output).await;
    assert_failed(&result, "panic", "this output cannot be encoded");
}

pub(super) async fn a_node_that_keeps_no_limit_is_dropped(tested: BackendUnderTest) {
    let result = tokio::time::timeout(DEADLINE, result(&tested, "endless", &1)).await;
    assert_failed(&result.expect("the node is dropped"), "timeout", "timed out");
}
