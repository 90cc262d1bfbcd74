//! A runtime beside the caller's.

use std::io;
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// A small runtime of our own, so that what lives on it goes on whatever the caller's runtime is busy with. Ends without
/// waiting when it is dropped, so it may be dropped within another runtime.
#[derive(Debug)]
pub(crate) struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    /// A runtime with so many threads of that name.
    pub(crate) fn new(name: &str, threads: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes this the runtime that things which are made now live on.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    /// Carries out `task` on this runtime; the caller waits for it, and stops it by not waiting any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = self.0.as_ref().ok_or_else(|| io::Error::other("the runtime has ended"))?;
        AbortOnDropHandle::new(runtime.spawn(task)).await.map_err(io::Error::other)
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
