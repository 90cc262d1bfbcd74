//! Injects random faults.

use crate::{
    Error,
    fleet::{ACK_WAIT, Fleet, VerifyHost},
    runs::Runs,
    ticket_replay::TicketReplay,
};
use jetway_engine::backend::BackendError;
use jetway_nats::{NatsBackend, faults};
use rand::{Rng, RngExt, seq::IndexedRandom};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Kills a host (`kill -9`) and starts it again.
    KillHost,
    /// Pauses a host process (`SIGSTOP`) for longer than its leases, then resumes it.
    PauseHost,
    /// Closes the connections of a host.
    Cut,
    /// Blocks the connections of a host for some time, without closing them.
    Hold,
    /// Delays the connections of a host for some time.
    Delay,
    /// Removes all tickets of a run.
    RemoveTickets,
    /// Removes the alarms and the wake-ups of a run.
    RemoveAlarms,
    /// Deletes the stream of alarms.
    DeleteAlarmStream,
    /// Publishes tickets again, some of them late.
    DuplicateTickets,
    /// Kills the server and starts it again on its store.
    KillServer,
    /// Pauses the server for a moment.
    PauseServer,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::KillHost,
        Self::PauseHost,
        Self::Cut,
        Self::Hold,
        Self::Delay,
        Self::RemoveTickets,
        Self::RemoveAlarms,
        Self::DeleteAlarmStream,
        Self::DuplicateTickets,
        Self::KillServer,
        Self::PauseServer,
    ];

    /// The name of this kind in a summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillHost => "hosts killed",
            Self::PauseHost => "hosts paused longer than their leases",
            Self::Cut => "connections cut",
            Self::Hold => "connections blocked",
            Self::Delay => "connections delayed",
            Self::RemoveTickets => "runs with tickets removed",
            Self::RemoveAlarms => "runs with alarms removed",
            Self::DeleteAlarmStream => "streams of alarms deleted",
            Self::DuplicateTickets => "tickets duplicated",
            Self::KillServer => "servers killed",
            Self::PauseServer => "servers paused",
        }
    }
}

/// Injects faults while runs are in progress. The name is that of Jepsen.
#[derive(Debug)]
pub struct Nemesis<'a, R> {
    rng: R,
    faults: &'a [Fault],
    backend: &'a NatsBackend,
    runs: &'a Runs,
    replay: TicketReplay,
    /// The number of injected faults of each kind.
    pub injected: BTreeMap<Fault, u64>,
    /// The repairs that are due at these times.
    repairs: Vec<(Instant, Repair)>,
}

/// The end of a fault.
#[derive(Debug, Clone, Copy)]
enum Repair {
    StartHost(usize),
    ResumeHost(usize),
    Connection(usize),
    Server,
}

impl<'a, R: Rng> Nemesis<'a, R> {
    /// Chooses from these kinds of faults.
    pub fn new(rng: R, faults: &'a [Fault], backend: &'a NatsBackend, runs: &'a Runs) -> Self {
        Self {
            rng,
            faults,
            backend,
            runs,
            replay: TicketReplay::default(),
            injected: BTreeMap::new(),
            repairs: Vec::new(),
        }
    }

    /// Injects one fault after the other until `end`.
    ///
    /// # Errors
    /// A process cannot be killed, stopped or started.
    pub async fn inject_until(&mut self, fleet: &mut Fleet, end: Instant) -> Result<(), Error> {
        let Some(first) = self.faults.first().copied() else {
            sleep_until(end).await;
            return Ok(());
        };
        loop {
            let pause = Duration::from_millis(self.rng.random_range(150..900));
            let next = Instant::now() + pause;
            if next >= end {
                sleep_until(end).await;
                return Ok(());
            }
            sleep_until(next).await;
            self.repair_due(fleet).await?;
            let fault = self.faults.choose(&mut self.rng).copied().unwrap_or(first);
            let injected = self.inject(fault, fleet).await?;
            *self.injected.entry(fault).or_default() += injected;
        }
    }

    /// Ends the faults whose repair is due.
    async fn repair_due(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        let now = Instant::now();
        for (_, repair) in self.repairs.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>() {
            match repair {
                Repair::StartHost(index) => fleet.hosts[index].start()?,
                Repair::ResumeHost(index) => fleet.hosts[index].resume()?,
                Repair::Connection(index) => {
                    fleet.hosts[index].proxy.release();
                    fleet.hosts[index].proxy.delay(Duration::ZERO);
                }
                Repair::Server => fleet.server.resume()?,
            }
        }
        Ok(())
    }

    /// Returns the number of faults: 0 if no host or no run is there for it.
    async fn inject(&mut self, fault: Fault, fleet: &mut Fleet) -> Result<u64, Error> {
        match fault {
            Fault::RemoveTickets => return self.remove_tickets().await,
            Fault::RemoveAlarms => return self.remove_alarms().await,
            Fault::DeleteAlarmStream => return self.delete_alarm_stream().await,
            Fault::DuplicateTickets => {
                return self.replay.publish(&mut self.rng, self.backend, self.runs).await;
            }
            Fault::KillServer => {
                self.repairs.retain(|(_, repair)| !matches!(repair, Repair::Server));
                fleet.server.kill().await?;
                fleet.server.restart().await?;
                return Ok(1);
            }
            Fault::PauseServer => {
                fleet.server.pause().await?;
                self.repair_later(100..1500, Repair::Server);
                return Ok(1);
            }
            _ => {}
        }
        let up: Vec<usize> = (0..fleet.hosts.len()).filter(|index| fleet.hosts[*index].is_up()).collect();
        let Some(index) = up.choose(&mut self.rng).copied() else {
            return Ok(0);
        };
        self.break_host(fault, index, &mut fleet.hosts[index]).await?;
        Ok(1)
    }

    async fn break_host(&mut self, fault: Fault, index: usize, host: &mut VerifyHost) -> Result<(), Error> {
        match fault {
            Fault::KillHost => {
                host.kill().await?;
                self.repair_later(0..1500, Repair::StartHost(index));
            }
            Fault::PauseHost => {
                host.pause()?;
                let lease = u64::try_from(ACK_WAIT.as_millis()).unwrap_or(u64::MAX);
                self.repair_later(lease + 500..lease + 2500, Repair::ResumeHost(index));
            }
            Fault::Cut => host.proxy.cut().await,
            Fault::Hold => {
                host.proxy.hold();
                self.repair_later(500..5000, Repair::Connection(index));
            }
            Fault::Delay => {
                host.proxy.delay(Duration::from_millis(self.rng.random_range(5..150)));
                self.repair_later(500..4000, Repair::Connection(index));
            }
            Fault::RemoveTickets
            | Fault::RemoveAlarms
            | Fault::DeleteAlarmStream
            | Fault::DuplicateTickets
            | Fault::KillServer
            | Fault::PauseServer => {}
        }
        Ok(())
    }

    fn repair_later(&mut self, millis: std::ops::Range<u64>, repair: Repair) {
        let pause = Duration::from_millis(self.rng.random_range(millis));
        self.repairs.push((Instant::now() + pause, repair));
    }

    async fn remove_tickets(&mut self) -> Result<u64, Error> {
        let Some(run) = self.runs.any_in_flight(&mut self.rng) else {
            return Ok(0);
        };
        self.runs.tickets_removed(&run);
        count(faults::lose_tickets(self.backend, &run).await.map(|_removed| 1))
    }

    async fn remove_alarms(&mut self) -> Result<u64, Error> {
        let removed = faults::lose_alarms(self.backend, self.rng.random_range(0..usize::MAX)).await;
        if let Ok(Some(run)) = &removed {
            self.runs.tickets_removed(run);
        }
        count(removed.map(|run| u64::from(run.is_some())))
    }

    async fn delete_alarm_stream(&self) -> Result<u64, Error> {
        let deleted = faults::lose_all_alarms(self.backend).await;
        self.runs.all_alarms_removed();
        count(deleted.map(|()| 1))
    }
}

/// The number of injected faults: 0 if the server does not answer, since another fault may have stopped it.
fn count(injected: Result<u64, BackendError>) -> Result<u64, Error> {
    match injected {
        Err(error) if error.is_retryable() => Ok(0),
        injected => Ok(injected?),
    }
}
