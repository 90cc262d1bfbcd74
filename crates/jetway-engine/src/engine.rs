//! The engine: its parts, and what hosts call.

mod builder;
mod requests;

pub use builder::{BuildError, EngineBuilder};

use crate::{
    api::{ApiError, SignalAnswer},
    backend::{Backend, BackendError, Delivery, NewSignal, SignalDelivery, StartDelivery, StartRequest},
    config::EngineConfig,
    dispatch::{Dispatcher, RetriedRun},
    registry::Registry,
    signal_with_start::signal_with_start,
    signals::{Applier, SignalOutcome},
    starts::{StartError, StartOutcome, Starter},
    sweeper::{Sweep, SweepReport, Sweeper},
    worker::{TicketOutcome, Worker},
};
use jetway_core::clock::Clock;
use jetway_state::{
    ItemId, RunKey,
    run::{
        NotRetried,
        control::{Control, ControlResult},
    },
};
use std::{fmt, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Executes runs against a backend. One for each host, shared by its actors.
pub struct Engine {
    backend: Arc<dyn Backend>,
    registry: Arc<Registry>,
    config: Arc<EngineConfig>,
    clock: Arc<dyn Clock>,
    dispatcher: Arc<Dispatcher>,
    starter: Arc<Starter>,
    signals: Arc<Applier>,
    worker: Worker,
    sweep: Sweep,
}

impl Engine {
    /// Configures a new engine.
    pub fn builder(backend: Arc<dyn Backend>) -> EngineBuilder {
        EngineBuilder::new(backend)
    }

    /// The backend that stores snapshots, tickets, starts and results.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The limits of the engine.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// The clock of the engine.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The workflows that the engine can run.
    pub fn workflows(&self) -> &Registry {
        &self.registry
    }

    /// Starts a run. When this returns, the first snapshot of the run is written and its first item has a ticket. A second
    /// start with the same run id and input returns the same run.
    ///
    /// # Errors
    /// See [`StartError`]. The run does not exist then, or it exists already and is unchanged.
    pub async fn start(&self, request: StartRequest) -> Result<RunKey, StartError> {
        self.starter.start(request).await.map(|(run, _incarnation)| run)
    }

    /// Handles one start message: starts its run, or moves the message to the dead letters, then acks it.
    pub async fn process_start(&self, delivery: StartDelivery) -> StartOutcome {
        jetway_state::hop!("Engine::process_start");
        self.starter.process_start(delivery).await
    }

    /// Runs the item of a ticket and commits its outcome, then continues with its only successor under the same ticket as
    /// long as there is one. Acks the ticket, or gives it back when `cancel` is cancelled.
    ///
    /// The caller extends the lease meanwhile.
    pub async fn process_ticket(&self, delivery: Delivery, cancel: CancellationToken) -> TicketOutcome {
        jetway_state::hop!("Engine::process_ticket");
        self.worker.process_ticket(delivery, cancel).await
    }

    /// Handles one signal that was sent as a message: applies all stored signals of its run, or moves it to the dead letters, then
    /// acks it.
    pub async fn process_signal(&self, delivery: SignalDelivery) -> SignalOutcome {
        jetway_state::hop!("Engine::process_signal");
        self.signals.process_signal(delivery).await
    }

    /// Stores a signal, applies it to its run, and says what has become of it.
    ///
    /// # Errors
    /// An error for the client, which begins with a word: `not_found`, `unknown_signal`, `bad_payload`, `mailbox_full`, `run_ended` or
    /// `other_incarnation`. Nothing has changed then. After an error of the backend the signal may be applied: with an id, sending it
    /// again is safe.
    pub async fn signal(&self, signal: NewSignal) -> Result<SignalAnswer, ApiError> {
        self.signals.request(signal).await
    }

    /// Starts a run that has a signal in its mailbox from the begin, or sends the signal to the run that has the id, whatever its input
    /// was.
    ///
    /// # Errors
    /// An error for the client, as those of a start and of a [signal](Self::signal). With an id, sending it again is safe.
    pub async fn signal_with_start(
        &self,
        start: StartRequest,
        signal: NewSignal,
    ) -> Result<SignalAnswer, ApiError> {
        signal_with_start(&self.starter, &self.signals, start, signal).await
    }

    /// Cancels, terminates, pauses or resumes a run, also of a workflow that this host does not serve. `None` if there is no such run.
    ///
    /// # Errors
    /// An error of the backend. Repeating the command is safe, and completes what a crashed host left open.
    pub async fn control(
        &self,
        run: &RunKey,
        control: Control,
    ) -> Result<Option<ControlResult>, BackendError> {
        self.dispatcher.control(run, control).await
    }

    /// Tries an item of a run again, or all that wait for a person, also of a workflow that this host does not serve. They count
    /// their attempts from anew. `None` if there is no such run.
    ///
    /// # Errors
    /// An error of the backend.
    pub async fn retry_items(
        &self,
        run: &RunKey,
        item: Option<&ItemId>,
    ) -> Result<Option<Result<RetriedRun, NotRetried>>, BackendError> {
        self.dispatcher.retry_items(run, item).await
    }

    /// Checks the runs that were not written for a while. A pending item without a ticket gets one, unless the ticket under
    /// which it was committed still exists. The effects of the end of a cancelled run are carried out once more: nobody
    /// held a ticket for them. Costs nothing for runs that make progress.
    ///
    /// # Errors
    /// An error of the backend. The next sweep continues where this one stopped.
    pub async fn sweep(&self, sweeper: &mut Sweeper) -> Result<SweepReport, BackendError> {
        self.sweep.sweep(sweeper).await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("workflows", &self.registry)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
