//! The in-memory backend with injected faults.

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use jetway_engine::{
    backend::{
        Backend, BackendError, BackendErrorKind, Delivery, Results as _, RunResult, Ticket, TicketQueue as _,
    },
    memory::MemoryBackend,
};
use jetway_state::{Fingerprint, Timestamp, WorkflowName};
use jetway_testing::interceptor::{Intercepted, Interceptor};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, Semaphore};

/// A fault of a stream of tickets.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Opening it fails with this error.
    Refused(BackendErrorKind),
    /// Its first item is this error.
    Errs(BackendErrorKind),
    /// It ends without an item.
    Ends,
    /// It panics when notified.
    Panics(Arc<Notify>),
}

/// How the backend handles a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ResultFault {
    /// It is stored.
    None,
    /// It is lost without an error.
    Lost,
    /// The first one is lost without an error, and later ones are stored.
    FirstLost,
    /// It is refused: no space is left.
    Refused,
}

/// The in-memory backend with injected faults.
pub(crate) type FaultyBackend = Intercepted<Faults>;

/// Which faults are injected.
#[derive(Debug)]
pub(crate) struct Faults {
    inner: MemoryBackend,
    streams: Mutex<VecDeque<Fault>>,
    lost: Mutex<u32>,
    results: Mutex<ResultFault>,
    power_cut: Arc<Notify>,
}

impl Faults {
    /// The first streams of tickets have these faults, one each; all others work.
    pub(crate) fn streams(faults: impl IntoIterator<Item = Fault>) -> FaultyBackend {
        Intercepted(Self::new(faults, 0))
    }

    /// Loses the first `publications` publications of tickets.
    pub(crate) fn losing(publications: u32) -> FaultyBackend {
        Intercepted(Self::new([], publications))
    }

    fn new(faults: impl IntoIterator<Item = Fault>, lost: u32) -> Self {
        Self {
            inner: MemoryBackend::new(),
            streams: Mutex::new(faults.into_iter().collect()),
            lost: Mutex::new(lost),
            results: Mutex::new(ResultFault::None),
            power_cut: Arc::default(),
        }
    }

    /// Sets how results are handled from now on.
    pub(crate) fn results(&self, fault: ResultFault) {
        *self.results.lock().unwrap() = fault;
    }

    /// How results are handled now.
    pub(crate) fn current_results(&self) -> ResultFault {
        *self.results.lock().unwrap()
    }

    /// Reports to the host that tickets may be lost.
    pub(crate) fn report_power_cut(&self) {
        self.power_cut.notify_one();
    }
}

fn error(kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind, "by order of the test")
}

#[async_trait]
impl Interceptor for Faults {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    async fn publish(&self, tickets: Vec<(Ticket, Fingerprint)>) -> Result<(), BackendError> {
        {
            let mut lost = self.lost.lock().unwrap();
            if *lost > 0 {
                *lost -= 1;
                return Ok(());
            }
        }
        self.inner.publish(tickets).await
    }

    async fn tickets(
        &self,
        workflow: &WorkflowName,
        slots: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Delivery, BackendError>>, BackendError> {
        let fault = self.streams.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(Fault::Errs(kind)) => Ok(stream::iter([Err(error(kind))]).boxed()),
            Some(Fault::Ends) => Ok(stream::empty().boxed()),
            Some(Fault::Panics(when)) => {
                let panics = stream::once(async move {
                    when.notified().await;
                    panic!("by order of the test")
                });
                let working = self.inner.tickets(workflow, slots).await?;
                Ok(stream::select(working, panics).boxed())
            }
            None => self.inner.tickets(workflow, slots).await,
        }
    }

    fn ticket_loss_events(&self) -> BoxStream<'static, Timestamp> {
        let power_cut = self.power_cut.clone();
        stream::unfold(power_cut, async |power_cut| {
            power_cut.notified().await;
            Some((jetway_core::clock::now(), power_cut))
        })
        .boxed()
    }

    async fn publish_done(&self, result: RunResult) -> Result<(), BackendError> {
        let fault = {
            let mut fault = self.results.lock().unwrap();
            let next = if *fault == ResultFault::FirstLost { ResultFault::None } else { *fault };
            std::mem::replace(&mut *fault, next)
        };
        match fault {
            ResultFault::None => self.inner.publish_done(result).await,
            ResultFault::Lost | ResultFault::FirstLost => Ok(()),
            ResultFault::Refused => Err(error(BackendErrorKind::NoRoom)),
        }
    }
}
