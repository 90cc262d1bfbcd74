//! What is told of cancelled runs, in memory: all hosts share one board.

use super::MemoryBackend;
use crate::backend::{BackendError, CancelNews, Cancels};
use async_trait::async_trait;
use jetway_state::{Incarnation, RunKey};

#[async_trait]
impl Cancels for MemoryBackend {
    async fn tell_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError> {
        self.cancels.tell(run, incarnation);
        Ok(())
    }

    fn hear_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> CancelNews {
        self.cancels.hear(run, incarnation)
    }
}
