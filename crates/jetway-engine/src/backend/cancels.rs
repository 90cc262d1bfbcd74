//! Telling all hosts that a run is cancelled.

use super::BackendError;
use async_trait::async_trait;
use jetway_state::{Incarnation, RunKey};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Tells all hosts that a run is cancelled, so that they look at its record.
///
/// It is a hint: it may get lost, or be forged. The record of the run says whether it is cancelled.
#[async_trait]
pub trait Cancels: Send + Sync {
    /// Tells all hosts, this one too, that a run is being cancelled, or has been.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn tell_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> Result<(), BackendError>;

    /// Hears what is told of a run from now on.
    fn hear_cancelled(&self, run: &RunKey, incarnation: Incarnation) -> CancelNews;
}

/// A run, as the board knows it.
type Key = (RunKey, Incarnation);

/// Who listens to what is told of a run.
struct Listeners {
    told: watch::Sender<()>,
    count: usize,
}

/// Who listens on this host. Clones are the same board: a backend puts on it what it is told.
#[derive(Clone, Default)]
pub struct CancelBoard {
    listeners: Arc<Mutex<HashMap<Key, Listeners>>>,
}

impl CancelBoard {
    /// Puts it on the board that a run is cancelled. Nothing is kept if nobody listens.
    pub fn tell(&self, run: &RunKey, incarnation: Incarnation) {
        if let Some(listeners) = self.locked().get(&(run.clone(), incarnation)) {
            listeners.told.send_replace(());
        }
    }

    /// Listens to what is told of a run from now on.
    pub fn hear(&self, run: &RunKey, incarnation: Incarnation) -> CancelNews {
        let key = (run.clone(), incarnation);
        let mut listeners = self.locked();
        let of_run = listeners
            .entry(key.clone())
            .or_insert_with(|| Listeners { told: watch::Sender::new(()), count: 0 });
        of_run.count += 1;
        CancelNews { told: of_run.told.subscribe(), board: self.clone(), key }
    }

    /// The number of runs that somebody listens for.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No code that holds this lock can panic half-way through a change, so a poisoned lock holds good data.
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Listeners>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelBoard").field("runs", &self.len()).finish()
    }
}

/// What is told of one run, for as long as it is kept.
pub struct CancelNews {
    told: watch::Receiver<()>,
    board: CancelBoard,
    key: Key,
}

impl CancelNews {
    /// Whether something was told that is not [seen](Self::see).
    pub fn is_new(&self) -> bool {
        self.told.has_changed().unwrap_or(false)
    }

    /// Takes note of what was told.
    pub fn see(&mut self) {
        self.told.mark_unchanged();
    }

    /// Another listener, which has seen the same. It hears for as long as this one is kept.
    pub(crate) fn listener(&self) -> watch::Receiver<()> {
        self.told.clone()
    }
}

impl Drop for CancelNews {
    fn drop(&mut self) {
        let mut listeners = self.board.locked();
        if let Some(of_run) = listeners.get_mut(&self.key) {
            of_run.count = of_run.count.saturating_sub(1);
            if of_run.count == 0 {
                listeners.remove(&self.key);
            }
        }
    }
}

impl fmt::Debug for CancelNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelNews").field("run", &self.key.0).field("is_new", &self.is_new()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{RunId, WorkflowName};

    fn run(id: &str) -> RunKey {
        RunKey::new(WorkflowName::new("w").unwrap(), RunId::new(id).unwrap())
    }

    #[tokio::test]
    async fn listeners_hear_of_their_run_alone() {
        let board = CancelBoard::default();
        let [old, new] = [1, 2].map(Incarnation::from_random);
        board.tell(&run("a"), new);
        let (mut mine, other) = (board.hear(&run("a"), new), board.hear(&run("b"), new));
        let (earlier, mut listener) = (board.hear(&run("a"), old), mine.listener());
        assert!(!mine.is_new(), "it was told before");
        board.tell(&run("a"), new);
        listener.changed().await.unwrap();
        assert!(mine.is_new() && !other.is_new() && !earlier.is_new());
        mine.see();
        assert!(!mine.is_new());
        drop((mine, other));
        assert_eq!(board.len(), 1);
        drop(earlier);
        assert!(board.is_empty());
    }
}
