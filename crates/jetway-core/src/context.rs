//! The state that all nodes of a run share, and the means to cancel and limit a run within a process.

use crate::{
    clock::{Clock, SystemClock},
    signal_sender::SignalSender,
};
use jetway_state::Error;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

pub use crate::shared_state::SharedState;

/// A type that can be the context of a run: the state that all its nodes share. Every type with these traits is one.
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
/// Runs on hosts and over stores also require [`Merge`](crate::Merge).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the context of a workflow",
    note = "a context is `Default + Debug + Clone + Send + Sync` and implements serde's `Serialize` and `Deserialize`"
)]
pub trait Context: Default + DeserializeOwned + Serialize + Debug + Clone + Send + Sync {}

impl<T> Context for T where T: Default + DeserializeOwned + Serialize + Debug + Clone + Send + Sync {}

/// A context with a cancellation token, a time limit for each step, and a clock.
#[derive(Clone, Debug)]
pub struct WorkflowCtx<S: Context> {
    /// The context. Nodes get a reference to it.
    pub store: S,
    cancel: CancellationToken,
    timeout: Option<Duration>,
    clock: Arc<dyn Clock>,
    signals: Option<SignalSender>,
}

impl<S: Context> WorkflowCtx<S> {
    /// Wraps a context, with a new token, no time limit and the system clock.
    pub fn new(store: S) -> Self {
        Self {
            store,
            cancel: CancellationToken::new(),
            timeout: None,
            clock: Arc::new(SystemClock),
            signals: None,
        }
    }

    /// Another context with the same token, time limit, clock and sender of signals.
    pub fn with_context(&self, store: S) -> Self {
        let Self { cancel, timeout, clock, signals, .. } = self.clone();
        Self { store, cancel, timeout, clock, signals }
    }

    /// Replaces the cancellation token.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Replaces the clock. A run takes the times in its snapshot from it: when it started, when its items became
    /// pending, when it ended.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets a run within this process get signals from this sender.
    #[must_use]
    pub fn with_signals(self, sender: &SignalSender) -> Self {
        Self { signals: Some(sender.clone()), ..self }
    }

    pub(crate) fn signals(&self) -> Option<&SignalSender> {
        self.signals.as_ref()
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Calls `f` with the context.
    pub fn with_store<F, R>(&self, f: F) -> R
    where
        F: FnOnce(&S) -> R,
    {
        f(&self.store)
    }

    /// The token that cancels what runs with this context. Clones of the context share it.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Sets the time limit of each step.
    pub fn set_timeout(&mut self, limit: Duration) {
        self.timeout = Some(limit);
    }

    /// The time limit of each step; `None` where there is none.
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

    /// Runs `fut` until it ends, the token is cancelled or the time limit is exceeded. A cancelled token wins over a
    /// future that is ready.
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
