//! What goes wrong, by chance.

use crate::{
    Error,
    fleet::{ACK_WAIT, Fleet, VerifyHost},
    runs::Runs,
    tickets,
};
use jetway_nats::NatsBackend;
use rand::{Rng, RngExt, seq::IndexedRandom};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A host is killed (`kill -9`), and started again.
    KillHost,
    /// A host process is stopped for longer than its leases last, and goes on.
    StopHost,
    /// The connection of a host is cut.
    Cut,
    /// The line of a host passes nothing on for a while.
    Hold,
    /// The line of a host is slow for a while.
    Delay,
    /// All tickets of a run are taken away.
    LoseTickets,
    /// Tickets are published once more, some of them late.
    DoubleTickets,
    /// The server is killed, and started again on its store.
    KillServer,
    /// The server is stopped for a moment.
    StopServer,
}

impl Fault {
    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillHost => "hosts killed",
            Self::StopHost => "hosts stopped beyond their leases",
            Self::Cut => "connections cut",
            Self::Hold => "connections held up",
            Self::Delay => "connections slowed down",
            Self::LoseTickets => "runs robbed of their tickets",
            Self::DoubleTickets => "tickets doubled",
            Self::KillServer => "servers killed",
            Self::StopServer => "servers stopped",
        }
    }
}

/// Breaks things while runs are under way.
#[derive(Debug)]
pub struct Nemesis<'a, R> {
    rng: R,
    faults: &'a [Fault],
    backend: &'a NatsBackend,
    runs: &'a Runs,
    captured: tickets::Captured,
    /// How often each fault was made.
    pub made: BTreeMap<Fault, u64>,
    /// What is mended at that time.
    mending: Vec<(Instant, Mend)>,
}

/// What ends a fault.
#[derive(Debug, Clone, Copy)]
enum Mend {
    StartHost(usize),
    GoOn(usize),
    Line(usize),
    Server,
}

impl<'a, R: Rng> Nemesis<'a, R> {
    /// Makes faults out of these.
    pub fn new(rng: R, faults: &'a [Fault], backend: &'a NatsBackend, runs: &'a Runs) -> Self {
        Self {
            rng,
            faults,
            backend,
            runs,
            captured: tickets::Captured::default(),
            made: BTreeMap::new(),
            mending: Vec::new(),
        }
    }

    /// Makes one fault after the other until `end`.
    ///
    /// # Errors
    /// A process cannot be killed, stopped or started.
    pub async fn torment(&mut self, fleet: &mut Fleet, end: Instant) -> Result<(), Error> {
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
            self.mend(fleet).await?;
            let fault = self.faults.choose(&mut self.rng).copied().unwrap_or(first);
            let made = self.make(fault, fleet).await?;
            *self.made.entry(fault).or_default() += made;
        }
    }

    /// Ends the faults whose time has come.
    async fn mend(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        let now = Instant::now();
        for (_, mend) in self.mending.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>() {
            match mend {
                Mend::StartHost(index) => fleet.hosts[index].start()?,
                Mend::GoOn(index) => fleet.hosts[index].go_on()?,
                Mend::Line(index) => {
                    fleet.hosts[index].proxy.release();
                    fleet.hosts[index].proxy.delay(Duration::ZERO);
                }
                Mend::Server => fleet.server.resume()?,
            }
        }
        Ok(())
    }

    /// Returns how many faults that were: none where there is nothing to break.
    async fn make(&mut self, fault: Fault, fleet: &mut Fleet) -> Result<u64, Error> {
        match fault {
            Fault::LoseTickets => return self.lose_tickets().await,
            Fault::DoubleTickets => {
                return self.captured.publish_again(&mut self.rng, self.backend, self.runs).await;
            }
            Fault::KillServer => {
                self.mending.retain(|(_, mend)| !matches!(mend, Mend::Server));
                fleet.server.kill().await?;
                fleet.server.restart().await?;
                return Ok(1);
            }
            Fault::StopServer => {
                fleet.server.pause().await?;
                self.later(100..1500, Mend::Server);
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
                self.later(0..1500, Mend::StartHost(index));
            }
            Fault::StopHost => {
                host.stop()?;
                let lease = u64::try_from(ACK_WAIT.as_millis()).unwrap_or(u64::MAX);
                self.later(lease + 500..lease + 2500, Mend::GoOn(index));
            }
            Fault::Cut => host.proxy.cut().await,
            Fault::Hold => {
                host.proxy.hold();
                self.later(500..5000, Mend::Line(index));
            }
            Fault::Delay => {
                host.proxy.delay(Duration::from_millis(self.rng.random_range(5..150)));
                self.later(500..4000, Mend::Line(index));
            }
            Fault::LoseTickets | Fault::DoubleTickets | Fault::KillServer | Fault::StopServer => {}
        }
        Ok(())
    }

    fn later(&mut self, millis: std::ops::Range<u64>, mend: Mend) {
        let pause = Duration::from_millis(self.rng.random_range(millis));
        self.mending.push((Instant::now() + pause, mend));
    }

    async fn lose_tickets(&mut self) -> Result<u64, Error> {
        let Some(run) = self.runs.any_in_flight(&mut self.rng) else {
            return Ok(0);
        };
        self.runs.robbed(&run);
        match self.backend.lose_tickets(&run).await {
            Ok(_) => Ok(1),
            // The server may be down by another fault.
            Err(error) if error.is_retryable() => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
