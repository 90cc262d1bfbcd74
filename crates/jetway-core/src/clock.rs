//! The source of the current time.

use futures::future::BoxFuture;
use jetway_state::Timestamp;
use std::{
    fmt::Debug,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A timer of the process is not set for longer: the system's time may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A clock. Code that needs the time takes one, so that tests can set it.
///
/// ```
/// use jetway_core::{Timestamp, WorkflowCtx, clock::Clock};
/// use std::sync::Arc;
///
/// #[derive(Debug)]
/// struct Fixed(u64);
///
/// impl Clock for Fixed {
///     fn now(&self) -> Timestamp {
///         Timestamp(self.0)
///     }
/// }
///
/// let ctx = WorkflowCtx::new(()).with_clock(Arc::new(Fixed(1_700_000_000_000)));
/// assert_eq!(ctx.clock().now(), Timestamp(1_700_000_000_000));
/// ```
pub trait Clock: Send + Sync + Debug {
    /// The current time, in milliseconds since the Unix epoch.
    fn now(&self) -> Timestamp;

    /// Waits until this time, and may return before it: whoever waits looks at the clock again. The default waits by the timer of
    /// the process. A clock that a test moves returns when it was moved.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time.since(self.now()).min(LONGEST_SLEEP)))
    }

    /// Waits for so long, by the timer of the process: setting the system's time changes nothing. A clock that a test moves waits until
    /// it was moved so far.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    /// The current time, as exactly as the clock knows it. Traces are more exact than milliseconds.
    fn exact(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.now().0)
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A system time before 1970 counts as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn exact(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Waits until the clock has come to a time.
pub(crate) async fn until(clock: &dyn Clock, time: Timestamp) {
    while clock.now() < time {
        clock.sleep_until(time).await;
    }
}

/// Polls a future until it ends. `None` if it takes longer than `limit` by the clock.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = clock.sleep(limit) => None,
    }
}

/// The first millisecond that is not before a time. A time before 1970 becomes 1970.
pub fn not_before(time: SystemTime) -> Timestamp {
    Timestamp::not_before(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

/// The current time of the [`SystemClock`], for tests.
pub fn now() -> Timestamp {
    SystemClock.now()
}
