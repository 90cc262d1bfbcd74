//! The acts, one after the other.

use crate::{
    Error,
    check::{Evidence, Finding, Judged, Kind},
    drive::{Driver, Ended, program},
    fleet::{Fleet, HostCommand, Mended, nats_config},
    nemesis::{Fault, Nemesis},
    runs::Runs,
    summary::{Failure, Summary},
};
use jetway::{Client, Namespace, NatsConfig, RunKey};
use jetway_engine::backend::SnapshotStore as _;
use jetway_nats::{NatsBackend, Provisioning};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How a verification is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Programs and faults are made from it. The same seed makes the same programs; when a fault hits, the machine
    /// decides as well.
    pub seed: u64,
    /// No more runs than this are started.
    pub runs: u64,
    /// No act begins after this.
    pub time: Duration,
    /// Only this act is played, again and again; one of [`acts`].
    pub act: Option<String>,
    /// How many hosts there are.
    pub hosts: usize,
    /// How a host is started.
    pub host: HostCommand,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The act that begins now.
    pub act: &'a str,
    /// What was found before.
    pub summary: &'a Summary,
}

/// A part of the verification: some runs, and some kinds of faults.
#[derive(Debug)]
struct Act {
    name: &'static str,
    faults: &'static [Fault],
    lasts: Duration,
}

/// From the harmless to everything at once, so that the first act that fails says what is not borne. Then everything
/// again until the time is up.
const ACTS: [Act; 5] = [
    Act { name: "calm", faults: &[], lasts: Duration::from_secs(5) },
    Act {
        name: "hosts",
        faults: &[Fault::KillHost, Fault::KillHost, Fault::StopHost, Fault::Cut, Fault::Hold, Fault::Delay],
        lasts: Duration::from_secs(20),
    },
    Act {
        name: "tickets",
        faults: &[Fault::LoseTickets, Fault::DoubleTickets, Fault::DoubleTickets, Fault::KillHost],
        lasts: Duration::from_secs(12),
    },
    Act { name: "server", faults: &[Fault::KillServer, Fault::StopServer], lasts: Duration::from_secs(15) },
    Act {
        name: "everything",
        faults: &[
            Fault::KillHost,
            Fault::KillHost,
            Fault::StopHost,
            Fault::Cut,
            Fault::Hold,
            Fault::Delay,
            Fault::LoseTickets,
            Fault::DoubleTickets,
            Fault::KillServer,
            Fault::StopServer,
        ],
        lasts: Duration::from_secs(30),
    },
];

/// The names of the acts, from the harmless to everything at once.
pub fn acts() -> impl Iterator<Item = &'static str> {
    ACTS.iter().map(|act| act.name)
}

/// How long the runs of an act may take after everything works again: sweeps look after what lost its tickets by then.
const GRACE: Duration = Duration::from_secs(60);

/// How many violations are told, at most.
const MOST_TOLD: usize = 40;

/// Verifies, and stops after the first act in which something is wrong.
///
/// # Errors
/// What keeps it from verifying: no server, no hosts. What it finds is in the summary.
pub async fn verify(options: Options, progress: impl Fn(Progress<'_>)) -> Result<Summary, Error> {
    let began = Instant::now();
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut summary = Summary::new(options.seed);
    let mut fleet = Fleet::start(options.host.clone()).await?;
    let only = options.act.as_ref().and_then(|name| ACTS.iter().find(|act| act.name == name));
    let (first, rest) = match only {
        Some(act) => (&ACTS[..0], act),
        None => (&ACTS[..], &ACTS[ACTS.len() - 1]),
    };
    let mut acts = first.iter().chain(std::iter::repeat(rest));
    while began.elapsed() < options.time && summary.runs < options.runs && summary.is_clean() {
        let Some(act) = acts.next() else { break };
        progress(Progress { act: act.name, summary: &summary });
        let left = options.time.saturating_sub(began.elapsed());
        let lasts = act.lasts.min(left);
        let seed = rng.random();
        play(act, lasts, seed, &options, &mut fleet, &mut summary).await?;
        summary.seconds = began.elapsed().as_secs();
    }
    fleet.server.stop().await?;
    Ok(summary)
}

/// Plays one act and judges it.
async fn play(
    act: &Act,
    lasts: Duration,
    seed: u64,
    options: &Options,
    fleet: &mut Fleet,
    summary: &mut Summary,
) -> Result<(), Error> {
    let namespace = namespace(summary.acts);
    fleet.begin(&namespace, options.hosts).await?;
    let config =
        NatsConfig { provisioning: Provisioning::Trust, ..nats_config(&fleet.server.url(), namespace) };
    let backend = NatsBackend::connect(config.clone()).await?;
    let end = Instant::now() + lasts;
    let runs = Arc::new(Runs::default());
    let driver =
        Driver { client: Client::connect_with(config).await?, runs: Arc::clone(&runs), give_up: end + GRACE };
    let mut nemesis = Nemesis::new(StdRng::seed_from_u64(seed), act.faults, &backend, &runs);
    let torment = async {
        nemesis.torment(fleet, end).await?;
        fleet.heal().await
    };
    let most = options.runs - summary.runs;
    let (ended, tormented) = tokio::join!(driver.drive(StdRng::seed_from_u64(!seed), end, most), torment);
    tormented?;
    let made = std::mem::take(&mut nemesis.made);
    let any_ticket_lost = made.contains_key(&Fault::KillServer);
    let mended: Vec<Mended> = fleet.hosts.iter().flat_map(|host| host.mended()).collect();
    let evidence =
        Evidence { backend: &backend, runs: &runs, ended: &ended, mended: &mended, any_ticket_lost };
    let judged = settled(&evidence).await?;
    summary.add(&judged, &made);
    summary.swept += mended.len() as u64;
    summary.executions += fleet.executions()?.len() as u64;
    if !judged.findings.is_empty() {
        summary.failure = Some(report(act.name, &judged, &runs, &backend, fleet, &ended).await?);
    }
    Ok(())
}

/// Judges when nothing is left to settle: the last tickets are settled a moment after the last result is told.
async fn settled(evidence: &Evidence<'_>) -> Result<Judged, Error> {
    let end = Instant::now() + GRACE / 2;
    loop {
        let judged = Judged::of(evidence).await?;
        let settles = judged.findings.iter().all(|finding| finding.violation.kind == Kind::Orphaned);
        if judged.findings.is_empty() || !settles || Instant::now() > end {
            return Ok(judged);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn namespace(act: u64) -> Namespace {
    match Namespace::new(&format!("verify{act}")) {
        Ok(namespace) => namespace,
        Err(error) => panic!("a number is no name: {error}"),
    }
}

/// Everything that is known of the first run that is wrong.
async fn report(
    act: &str,
    judged: &Judged,
    runs: &Runs,
    backend: &NatsBackend,
    fleet: &mut Fleet,
    ended: &[Ended],
) -> Result<Failure, Error> {
    let run = judged.findings.iter().find_map(|finding| finding.run.clone());
    let violations = judged.findings.iter().take(MOST_TOLD).map(|Finding { run, violation }| {
        format!("{}: {violation}", run.as_deref().unwrap_or("no run in particular"))
    });
    let mut failure = Failure { act: act.to_owned(), violations: violations.collect(), ..Failure::default() };
    failure.hosts = fleet.hosts.iter_mut().filter_map(|host| host.died()).collect();
    let Some(run) = run else {
        return Ok(failure);
    };
    failure.program = runs.begun().get(&run).map(|begun| format!("{:?}", program(begun.seed)));
    let executions = fleet.executions()?.into_iter().filter(|execution| execution.run == run);
    failure.trace = executions
        .map(|execution| {
            let at = execution.at;
            format!("{at} item {} attempt {}: {}", execution.item, execution.attempt, execution.step)
        })
        .collect();
    failure.log = fleet.hosts.iter().flat_map(|host| host.logged_of(&run)).collect();
    failure.log.sort_unstable();
    if let Some(key) = ended.iter().map(|ended| &ended.run).find(|key: &&RunKey| key.to_string() == run)
        && let Some(stored) = backend.load(key).await?
    {
        failure.snapshot = jetway_state::codec::open::<jetway::run::Snapshot>(&stored.bytes, "a snapshot")
            .ok()
            .map(|(snapshot, _)| format!("{snapshot:#?}"));
    }
    failure.run = Some(run);
    Ok(failure)
}
