//! [`TestClock`]: a clock that a test moves.

use futures::future::BoxFuture;
use jetway_core::clock::Clock;
use jetway_state::{Timestamp, run::Later};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// A clock that stands still until a test moves it. A run that waits for 30 days is tested in milliseconds.
///
/// Clones are the same clock. Give it to a run in memory with [`WorkflowCtx::with_clock`](jetway_core::WorkflowCtx::with_clock), or
/// to a memory backend with `MemoryBackend::with_clock`. A server has its own clock, so this one is for memory alone.
///
/// ```
/// use jetway_core::{Delay, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::workflow;
/// use jetway_testing::TestClock;
/// use std::{sync::Arc, time::Duration};
///
/// workflow! { pub struct Reminder { month: Delay<String> } start = month; edges { month => []; } }
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let clock = TestClock::new();
/// let ctx = WorkflowCtx::new(()).with_clock(Arc::new(clock.clone()));
/// let month = Duration::from_hours(30 * 24);
/// let reminder = Reminder { month: Delay::new(month) };
/// let run = tokio::spawn(async move { reminder.run(&ctx, "pay the rent".to_owned()).await });
///
/// assert_eq!(clock.next_waiter().await, clock.now_after(month));
/// clock.advance(month);
/// assert_eq!(run.await.expect("it ends"), Ok("pay the rent".to_owned()));
/// # });
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestClock {
    now: Arc<watch::Sender<Timestamp>>,
    /// The times that somebody waits for, in no order.
    waiters: Arc<watch::Sender<Vec<Timestamp>>>,
}

impl TestClock {
    /// A clock that stands at the beginning of 2027.
    pub fn new() -> Self {
        Self::at(Timestamp(1_798_761_600_000))
    }

    /// A clock that stands at this time.
    pub fn at(time: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(time)), waiters: Arc::default() }
    }

    /// Moves the clock on, and wakes those who wait for a time that has come.
    pub fn advance(&self, duration: Duration) {
        self.now.send_modify(|now| *now = now.after(duration));
    }

    /// The time that is `duration` from now.
    pub fn now_after(&self, duration: Duration) -> Timestamp {
        self.now.borrow().after(duration)
    }

    /// Waits until somebody waits for a later time. Returns the first of these times. A test that moves the clock before its run
    /// waits only delays the wait.
    pub async fn next_waiter(&self) -> Timestamp {
        let mut waiters = self.waiters.subscribe();
        loop {
            let next = waiters.borrow_and_update().iter().filter(|time| **time > self.now()).min().copied();
            match next {
                Some(time) => return time,
                // This clock holds the sender, so it never ends.
                None if waiters.changed().await.is_err() => std::future::pending().await,
                None => {}
            }
        }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let mut now = self.now.subscribe();
        let waiting = Waiting::new(&self.waiters, time);
        Box::pin(async move {
            // The clock may be gone, and then nobody can move it.
            if now.wait_for(|now| *now >= time).await.is_err() {
                std::future::pending::<()>().await;
            }
            drop(waiting);
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(Later::After(duration).due(self.now()))
    }
}

/// Somebody who waits for a time, until it is dropped.
struct Waiting {
    waiters: Arc<watch::Sender<Vec<Timestamp>>>,
    time: Timestamp,
}

impl Waiting {
    fn new(waiters: &Arc<watch::Sender<Vec<Timestamp>>>, time: Timestamp) -> Self {
        waiters.send_modify(|times| times.push(time));
        Self { waiters: Arc::clone(waiters), time }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.send_modify(|times| {
            if let Some(position) = times.iter().position(|time| *time == self.time) {
                times.swap_remove(position);
            }
        });
    }
}
