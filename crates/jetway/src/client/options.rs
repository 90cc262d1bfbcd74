//! How a run is started.

use jetway_state::RunId;
use uuid::Uuid;

/// How a run is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// The run's id; a random one where there is none. Starting twice with one id and the same input gives one run, so
    /// an id that the caller can name again, such as that of an order, makes starting safe to repeat.
    pub run_id: Option<RunId>,
}

impl StartOptions {
    /// A run of that id.
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
