//! The description of the first run with a violation.

use crate::{
    Error,
    check::{Evidence, Finding, Report},
    fleet::Fleet,
};
use jetway::RunKey;
use jetway_engine::backend::SnapshotStore as _;
use jetway_state::{Seen, run::Snapshot};
use serde::Serialize;

/// The maximum number of violations in a description.
const MAX_VIOLATIONS: usize = 40;

/// The first run with a violation, and all that is known about it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Failure {
    /// The name of the phase.
    pub phase: String,
    /// The run, as `workflow/run_id`; absent if the violation belongs to no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The violations of this run and of others.
    pub violations: Vec<String>,
    /// The program of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The snapshot of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The executions of its nodes, in the order of time.
    pub trace: Vec<String>,
    /// The latest log lines of the hosts about this run and about missing tickets, in the order of time.
    pub log: Vec<String>,
    /// How hosts ended that were not stopped by the verifier.
    pub hosts: Vec<String>,
}

/// Describes the first run of `report` that has a violation.
pub(crate) async fn describe(
    phase: &str,
    report: &Report,
    evidence: &Evidence<'_>,
    fleet: &mut Fleet,
) -> Result<Failure, Error> {
    let run = report.findings.iter().find_map(|finding| finding.run.clone());
    let violations = report.findings.iter().take(MAX_VIOLATIONS).map(|Finding { run, violation }| {
        format!("{}: {violation}", run.as_deref().unwrap_or("no particular run"))
    });
    let mut failure =
        Failure { phase: phase.to_owned(), violations: violations.collect(), ..Failure::default() };
    failure.hosts = fleet.hosts.iter_mut().filter_map(|host| host.unexpected_exit()).collect();
    let Some(run) = run else {
        return Ok(failure);
    };
    failure.program = evidence
        .runs
        .started()
        .get(&run)
        .map(|started| format!("mark {:x}: {:?}", started.input.mark, started.input.program()));
    let executions = fleet.executions()?.into_iter().filter(|execution| execution.run == run);
    failure.trace = executions.map(|execution| execution.to_string()).collect();
    failure.log = fleet.hosts.iter().flat_map(|host| host.log_of(&run)).collect();
    failure.log.sort_unstable();
    let mut keys = evidence.ended.iter().map(|ended| &ended.run);
    if let Some(key) = keys.find(|key: &&RunKey| key.to_string() == run)
        && let Some(stored) = evidence.backend.load(key, Seen::default()).await?
    {
        failure.snapshot = match Snapshot::open(&stored.bytes) {
            Ok((snapshot, _)) => Some(format!("{snapshot:#?}")),
            Err(error) => Some(format!("the snapshot cannot be read: {error}")),
        };
    }
    failure.run = Some(run);
    Ok(failure)
}
