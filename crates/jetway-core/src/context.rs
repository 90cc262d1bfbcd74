//! The state that all nodes of a run share.

use jetway_state::Error;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, future::Future, time::Duration};
use tokio_util::sync::CancellationToken;

pub use crate::shared_state::SharedState;

/// What a type needs so that runs can carry it as their context. Every type that has these traits is a context.
///
/// ```
/// use jetway_core::{Context, Counter, SharedState, WorkflowCtx};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Default, Serialize, Deserialize)]
/// struct Seen {
///     pages: Counter,
///     title: SharedState<String>,
/// }
///
/// fn carried<C: Context>(context: C) -> WorkflowCtx<C> {
///     WorkflowCtx::new(context)
/// }
///
/// assert!(!carried(Seen::default()).is_cancelled());
/// ```
///
/// Runs on hosts and over stores also ask for [`Merge`](crate::Merge).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the context of a workflow",
    note = "a context is `Default + Debug + Clone + Send + Sync` and implements serde's `Serialize` and `Deserialize`"
)]
pub trait Context: Default + DeserializeOwned + Serialize + Debug + Clone + Send + Sync {}

impl<T> Context for T where T: Default + DeserializeOwned + Serialize + Debug + Clone + Send + Sync {}

/// A context together with the means to stop the run: a cancellation token and a time limit for each step.
#[derive(Clone, Debug)]
pub struct WorkflowCtx<S: Context> {
    /// The context itself, which nodes see by reference.
    pub store: S,
    cancel: CancellationToken,
    timeout: Option<Duration>,
}

impl<S: Context> WorkflowCtx<S> {
    /// Wraps a context; nothing is cancelled and there is no time limit.
    pub fn new(store: S) -> Self {
        Self { store, cancel: CancellationToken::new(), timeout: None }
    }

    /// The same token and time limit around another context.
    pub fn with_context(&self, store: S) -> Self {
        Self { store, cancel: self.cancel.clone(), timeout: self.timeout }
    }

    /// The same context and time limit, cancelled by `cancel`.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Calls `f` with the context.
    pub fn with_store<F, R>(&self, f: F) -> R
    where
        F: FnOnce(&S) -> R,
    {
        f(&self.store)
    }

    /// The token that cancels what runs with this context. Clones share it.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Limits the time of each step.
    pub fn set_timeout(&mut self, limit: Duration) {
        self.timeout = Some(limit);
    }

    /// The time limit of each step.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Cancels what runs with this context.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Waits until [`cancel`](Self::cancel) is called.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Runs `fut` under the token and the time limit. A cancelled token wins over a future that is ready.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Timeout`], or the future's own error.
    pub async fn run_future<R, F>(&self, fut: F) -> Result<R, Error>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let limit = self.timeout;
        let timed = async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, fut).await.unwrap_or(Err(Error::Timeout(limit))),
                None => fut.await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::Cancelled),
            done = timed => done,
        }
    }
}
