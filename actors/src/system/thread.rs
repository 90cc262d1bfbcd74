//! The thread of the supervisors.

use crate::supervisor::{Fatal, Supervision};
use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::{runtime, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long the thread may take to stop. After that it is detached, and an error is logged.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A thread with an actix system.
#[derive(Debug)]
pub(super) struct SystemThread {
    handle: Mutex<Option<thread::JoinHandle<()>>>,
    closing: CancellationToken,
    ended: CancellationToken,
}

impl SystemThread {
    /// Starts a thread that runs `body`, which must end when the supervision is closed. A panic is fatal.
    pub(super) fn start<B>(
        supervision: &Supervision,
        body: impl FnOnce() -> B + Send + 'static,
    ) -> io::Result<Self>
    where
        B: Future<Output = ()>,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let Supervision { fatal, closing, .. } = supervision.clone();
        let ended = CancellationToken::new();
        let at_end = ended.clone().drop_guard();
        let main = move || {
            let run = || actix::System::with_tokio_rt(|| runtime).block_on(body());
            if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(run)) {
                fatal.send_replace(Some(Fatal::of_system(payload.as_ref())));
            }
            drop(at_end);
        };
        let handle = thread::Builder::new().name("jetway-actors".to_owned()).spawn(main)?;
        Ok(Self { handle: Mutex::new(Some(handle)), closing, ended })
    }

    /// Stops everything on the thread, and the thread. Further calls have no effect.
    pub(super) async fn end(&self) {
        self.closing.cancel();
        if timeout(END_LIMIT, self.ended.cancelled()).await.is_ok() {
            self.join();
        } else {
            tracing::error!("thread of the actor system did not stop in time: it is detached");
            self.handle().take();
        }
    }

    /// Stops everything on the thread, and waits for it. Returns false if it was stopped before.
    pub(super) fn end_blocking(&self) -> bool {
        self.closing.cancel();
        self.join()
    }

    fn join(&self) -> bool {
        let Some(handle) = self.handle().take() else {
            return false;
        };
        if handle.join().is_err() {
            tracing::error!("thread of the actor system panicked");
        }
        true
    }

    fn handle(&self) -> MutexGuard<'_, Option<thread::JoinHandle<()>>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
