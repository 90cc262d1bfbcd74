//! A chain of steps, each of which calls a hook of the test.

use super::DEADLINE;
use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use jetway_core::{WorkItem, Workflow, WorkflowCtx};
use jetway_state::Error;
use jetway_testing::wait_until;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

type Hook = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A workflow named `name`. Its input is the number of steps; every step runs the hook. The output is the input.
#[derive(Clone)]
pub(crate) struct Probe {
    name: &'static str,
    hook: Hook,
    ignores_cancellation: bool,
    executions: Arc<AtomicU32>,
}

impl Probe {
    pub(crate) fn new<F>(name: &'static str, hook: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            name,
            hook: Arc::new(move || Box::pin(hook())),
            ignores_cancellation: false,
            executions: Arc::default(),
        }
    }

    /// The same workflow with nodes that ignore their cancellation token.
    pub(crate) fn ignoring_cancellation(self) -> Self {
        Self { ignores_cancellation: true, ..self }
    }

    /// Waits until `steps` steps have started.
    pub(crate) async fn has_started(&self, steps: u32) {
        wait_until("the steps have started", DEADLINE, async || self.executions() >= steps).await;
    }

    /// The number of steps that have started.
    pub(crate) fn executions(&self) -> u32 {
        self.executions.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Item {
    Step { id: String, of: u32, left: u32 },
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Step { id, of, left } = self;
        write!(f, "{id}: {left} of {of} left")
    }
}

impl WorkItem for Item {
    fn instance_id(&self) -> String {
        let Self::Step { id, .. } = self;
        id.clone()
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Step { left: 1, .. })
    }

    fn with_instance_id(self, id: String) -> Self {
        let Self::Step { of, left, .. } = self;
        Self::Step { id, of, left }
    }
}

#[async_trait]
impl Workflow<()> for Probe {
    type Input = u32;
    type Output = u32;
    type WorkItem = Item;

    fn name(&self) -> &'static str {
        self.name
    }

    fn start_work_item(&self, of: u32) -> Item {
        Item::Step { id: "start".to_owned(), of, left: of }
    }

    async fn process_work_item<'a>(
        &'a self,
        ctx: &'a WorkflowCtx<()>,
        item: Item,
        queue: &mut VecDeque<Item>,
    ) -> Result<Option<u32>, Error> {
        let Item::Step { id, of, left } = item;
        self.executions.fetch_add(1, Ordering::SeqCst);
        if self.ignores_cancellation {
            (self.hook)().await;
        } else {
            ctx.run_future((self.hook)().map(Ok)).await?;
        }
        if left == 1 {
            return Ok(Some(of));
        }
        queue.push_back(Item::Step { id: format!("{id}-{left}"), of, left: left - 1 });
        Ok(None)
    }

    fn to_dot(&self) -> &'static str {
        "digraph { step -> step }"
    }
}
