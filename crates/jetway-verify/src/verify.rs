//! Runs the phases, one after the other.

use crate::{
    Error,
    check::{Evidence, Kind, Report},
    driver::Driver,
    failure,
    fleet::{Fleet, HostCommand, ItemWithoutTicket, nats_config},
    nemesis::{Fault, Nemesis},
    phase::{PHASES, Phase},
    runs::Runs,
    summary::Summary,
};
use futures::future::LocalBoxFuture;
use jetway::{Client, Clock as _, Namespace, NatsConfig, SystemClock};
use jetway_nats::{NatsBackend, Provisioning};
use jetway_testing::FakeTime;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The settings of a verification.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides the programs and the faults. The same seed gives the same programs; the exact moment of a fault also
    /// depends on the machine.
    pub seed: u64,
    /// The maximum number of runs.
    pub runs: u64,
    /// No phase begins after this time.
    pub time: Duration,
    /// Repeat only this phase; one of [`phases`](crate::phases).
    pub phase: Option<String>,
    /// The number of hosts.
    pub hosts: usize,
    /// The command that starts a host.
    pub host: HostCommand,
}

/// The progress of a verification, at the beginning of a phase.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The phase that begins now.
    pub phase: &'a str,
    /// The results of the phases before it.
    pub summary: &'a Summary,
}

/// How long the runs of a phase may take after the last fault. The sweep has to republish missing tickets in this time.
const GRACE: Duration = Duration::from_secs(60);

/// Runs phases until the time is up, and stops after the first phase with a violation.
///
/// # Errors
/// No server or no host can be started or reached. A violation is no error: it is in the summary.
pub async fn verify(options: Options, progress: impl Fn(Progress<'_>)) -> Result<Summary, Error> {
    run_phases(options, &progress).await
}

fn run_phases<'a>(
    options: Options,
    progress: &'a dyn Fn(Progress<'_>),
) -> LocalBoxFuture<'a, Result<Summary, Error>> {
    // Boxed, so that it is compiled in this crate and not wherever it is awaited.
    Box::pin(phases(options, progress))
}

async fn phases(options: Options, progress: &dyn Fn(Progress<'_>)) -> Result<Summary, Error> {
    let began = Instant::now();
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut summary = Summary::new(options.seed);
    let mut fleet = Fleet::start(options.host.clone()).await?;
    let only = options.phase.as_ref().and_then(|name| PHASES.iter().find(|phase| phase.name == name));
    let (first, rest) = match only {
        Some(phase) => (&PHASES[..0], phase),
        None => (&PHASES[..], &PHASES[PHASES.len() - 1]),
    };
    let mut phases = first.iter().chain(std::iter::repeat(rest));
    while began.elapsed() < options.time && summary.runs < options.runs && summary.is_clean() {
        let Some(phase) = phases.next() else { break };
        if phase.wrong_clocks && only.is_none() && FakeTime::find().is_none() {
            tracing::warn!(
                "skipped the phase {}, since there is no libfaketime: {}",
                phase.name,
                FakeTime::HINT
            );
            continue;
        }
        progress(Progress { phase: phase.name, summary: &summary });
        let duration = phase.duration.min(options.time.saturating_sub(began.elapsed()));
        run_phase(phase, duration, rng.random(), &options, &mut fleet, &mut summary).await?;
        summary.seconds = began.elapsed().as_secs();
    }
    fleet.server.stop().await?;
    Ok(summary)
}

/// Runs one phase and checks its runs.
async fn run_phase(
    phase: &Phase,
    duration: Duration,
    seed: u64,
    options: &Options,
    fleet: &mut Fleet,
    summary: &mut Summary,
) -> Result<(), Error> {
    let namespace = namespace(summary.phases);
    let faketime = match phase.wrong_clocks {
        true => Some(FakeTime::find().ok_or(Error::NoFakeTime(phase.name))?),
        false => None,
    };
    let began = SystemClock.now();
    fleet.begin(&namespace, options.hosts, faketime.as_ref()).await?;
    let config =
        NatsConfig { provisioning: Provisioning::Trust, ..nats_config(&fleet.server.url(), namespace) };
    let backend = Arc::new(NatsBackend::connect(config.clone()).await?);
    let end = Instant::now() + duration;
    let runs = Arc::new(Runs::default());
    let driver = Driver {
        client: Client::connect_with(config).await?,
        backend: Arc::clone(&backend),
        uses_ids_again: phase.used_ids,
        runs: Arc::clone(&runs),
        deadline: end + GRACE,
    };
    let mut nemesis = Nemesis::new(StdRng::seed_from_u64(seed), phase.faults, &backend, &runs);
    let faults = async {
        nemesis.inject_until(fleet, end).await?;
        fleet.heal().await
    };
    let most = options.runs - summary.runs;
    let (ended, injected) = tokio::join!(driver.drive(StdRng::seed_from_u64(!seed), end, most), faults);
    injected?;
    let injected = std::mem::take(&mut nemesis.injected);
    let items_without_ticket: Vec<ItemWithoutTicket> =
        fleet.hosts.iter().flat_map(|host| host.items_without_ticket()).collect();
    let executions = fleet.executions()?;
    let evidence = Evidence {
        backend: &backend,
        runs: &runs,
        ended: &ended,
        executions: &executions,
        items_without_ticket: &items_without_ticket,
        began,
        any_ticket_lost: injected.contains_key(&Fault::KillServer),
        exact_clocks: !phase.wrong_clocks,
        is_calm: phase.faults.is_empty(),
    };
    let report = settled_report(&evidence).await?;
    summary.add(&report, &injected);
    summary.republished += items_without_ticket.len() as u64;
    summary.executions += executions.len() as u64;
    if !report.findings.is_empty() {
        summary.failure = Some(failure::describe(phase.name, &report, &evidence, fleet).await?);
    }
    Ok(())
}

/// Checks again until nothing is left over: the last messages are acked a moment after the last result is published.
async fn settled_report(evidence: &Evidence<'_>) -> Result<Report, Error> {
    let end = Instant::now() + GRACE / 2;
    loop {
        let report = Report::new(evidence).await?;
        let may_settle = report.findings.iter().all(|finding| finding.violation.kind == Kind::Orphaned);
        if report.findings.is_empty() || !may_settle || Instant::now() > end {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn namespace(phase: u64) -> Namespace {
    match Namespace::new(&format!("verify{phase}")) {
        Ok(namespace) => namespace,
        Err(error) => panic!("a word and a number are a valid namespace: {error}"),
    }
}
