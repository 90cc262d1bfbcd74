//! A Tokio runtime next to the caller's.

use std::{io, pin::Pin};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// A future whose type is known here only.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A small runtime whose tasks run even while the caller's runtime is blocked. Dropping it does not wait for its tasks,
/// so it may be dropped inside another runtime.
#[derive(Debug)]
pub(crate) struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    /// Creates a runtime with this many threads of this name.
    pub(crate) fn new(name: &str, threads: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes this the current runtime until the guard is dropped.
    #[cfg(feature = "otel")]
    pub(crate) fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    /// The runtime, for tasks that something else starts.
    #[cfg(feature = "otel")]
    pub(crate) fn handle(&self) -> io::Result<tokio::runtime::Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(shut_down)
    }

    /// Runs `task` on this runtime and waits for it. Dropping the returned future aborts the task.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = self.0.as_ref().ok_or_else(shut_down)?;
        AbortOnDropHandle::new(runtime.spawn(task)).await.map_err(io::Error::other)
    }
}

fn shut_down() -> io::Error {
    io::Error::other("the background runtime is shut down")
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
