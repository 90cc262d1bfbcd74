//! [`SignalSender`]: sends signals to a run within this process.

use crate::signal::SignalType;
use jetway_state::{
    Error, StoreId, Timestamp,
    codec::Encoding,
    json,
    run::{ArrivedSignal, SignalPlace, signal_id_hash},
};
use serde::Serialize;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// How many signals wait for a run that does not take them, at most.
const MAX_WAITING: usize = 1000;

/// Sends signals to a run within this process. Clones send to the same run.
///
/// Give it to the context of the run with [`WorkflowCtx::with_signals`](crate::WorkflowCtx::with_signals). On hosts, clients send
/// signals.
///
/// ```
/// use jetway_core::{Answered, SignalSender, WaitForSignal, Workflow, WorkflowCtx};
/// # extern crate jetway_core as jetway;
/// # use jetway_macros::workflow;
///
/// workflow! { pub struct Ask { ask: WaitForSignal<String, u32> } start = ask; edges { ask => []; } }
///
/// # fn main() {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
/// let ask = Ask { ask: WaitForSignal::new("answer") };
/// let sender = SignalSender::new(Workflow::<()>::signals(&ask));
/// let ctx = WorkflowCtx::new(()).with_signals(&sender);
/// sender.send("answer", &42).expect("it is a number");
/// assert!(sender.send("answer", &"no number").is_err());
/// let answered = ask.run(&ctx, "what?".to_owned()).await;
/// assert_eq!(answered, Ok(Answered { input: "what?".to_owned(), answer: Some(42) }));
/// # });
/// # }
/// ```
#[derive(Clone)]
pub struct SignalSender {
    types: Arc<Vec<SignalType>>,
    shared: Arc<Shared>,
    store: StoreId,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    sent: Notify,
}

#[derive(Default)]
struct Queue {
    sent: u64,
    waiting: VecDeque<ArrivedSignal>,
}

impl SignalSender {
    /// Sends signals to a run of a workflow with these [signals](crate::Workflow::signals).
    pub fn new(signals: Vec<SignalType>) -> Self {
        Self { types: Arc::new(signals), shared: Arc::default(), store: StoreId(rand::random()) }
    }

    /// Sends a signal. It is kept until a node waits for it.
    ///
    /// # Errors
    /// [`Error::Generic`] where no node of the workflow declares the signal, [`Error::Codec`] where the value is not of its type,
    /// [`Error::Limit`] where a thousand signals wait for the run.
    pub fn send<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), Error> {
        self.add(name, value, None)
    }

    /// The same with an id: of several signals with one id, the run takes the first.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_once<T: Serialize + ?Sized>(&self, name: &str, value: &T, id: &str) -> Result<(), Error> {
        self.add(name, value, Some(signal_id_hash(id)))
    }

    fn add<T: Serialize + ?Sized>(&self, name: &str, value: &T, id: Option<u64>) -> Result<(), Error> {
        let known = self.types.iter().find(|signal| signal.name() == name).ok_or_else(|| {
            Error::Generic(format!("no node of the workflow waits for a signal named {name:?}"))
        })?;
        let text = json::write(value, &format_args!("payload of signal {name:?}"))?;
        let payload = Ok(known.read(&text, Encoding::Json)?);
        let mut queue = self.queue();
        if queue.waiting.len() >= MAX_WAITING {
            return Err(Error::Limit(format!("{MAX_WAITING} signals wait for the run to take them")));
        }
        queue.sent += 1;
        let (sequence, name, at) = (queue.sent, name.to_owned(), Timestamp::default());
        let place = SignalPlace::First;
        queue.waiting.push_back(ArrivedSignal { sequence, place, name, id, incarnation: None, at, payload });
        drop(queue);
        self.shared.sent.notify_one();
        Ok(())
    }

    /// The signals that were sent since the last call, in their order, and their store.
    pub(crate) fn take(&self, now: Timestamp) -> (StoreId, Vec<ArrivedSignal>) {
        let sent = std::mem::take(&mut self.queue().waiting);
        (self.store, sent.into_iter().map(|signal| ArrivedSignal { at: now, ..signal }).collect())
    }

    /// Waits until a signal is sent.
    pub(crate) async fn sent(&self) {
        self.shared.sent.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent even if a thread panicked while it held the lock.
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SignalSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalSender").field("signals", &self.types).finish_non_exhaustive()
    }
}
