//! Options for starting a run.

use jetway_state::RunId;
use uuid::Uuid;

/// Options for starting a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// The run id; `None` for a random one. Starting twice with the same id and the same input gives one run. An id that
    /// the caller can reproduce, such as an order number, therefore makes a start safe to repeat.
    pub run_id: Option<RunId>,
}

impl StartOptions {
    /// Options with this run id.
    pub fn named(run_id: RunId) -> Self {
        Self { run_id: Some(run_id) }
    }

    pub(super) fn id(&self) -> String {
        match &self.run_id {
            Some(id) => id.to_string(),
            None => Uuid::new_v4().simple().to_string(),
        }
    }
}
