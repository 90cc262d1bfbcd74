//! A sweep over more runs than one page holds.

use super::{BackendUnderTest, DEADLINE, TestHost, snapshots::write, workflows::Probe};
use futures::{StreamExt, stream};
use jetway_engine::{
    EngineConfig, Sweeper,
    backend::{Backend, SnapshotWrite},
};
use jetway_state::{Fingerprint, RunId, RunKey, Seen, WorkflowName, run::Snapshot};
use std::sync::Arc;

/// How many runs there are of the served workflow, and of another one: both need several pages.
const SERVED: u64 = 2_500;
const UNSERVED: u64 = 1_500;

/// Stores copies of a run. None has a ticket.
async fn store_copies(backend: &Arc<dyn Backend>, run: &RunKey, workflow: &WorkflowName, count: u64) {
    let stored = backend.load(run, Seen::default()).await.expect("it can be read").expect("it is there");
    let (original, build) = stored.open().expect("it is a snapshot");
    let copies = (0..count).map(|number| {
        let run_id = RunId::new(&format!("copy{number}")).expect("a good id");
        Snapshot { workflow: workflow.clone(), run_id, ..original.clone() }
    });
    stream::iter(copies).for_each_concurrent(128, |copy| store(backend, copy, build)).await;
}

async fn store(backend: &Arc<dyn Backend>, snapshot: Snapshot, build: Fingerprint) {
    let bytes = snapshot.seal(build).expect("it can be encoded");
    let incarnation = snapshot.incarnation;
    let write =
        SnapshotWrite { bytes, incarnation, commit: snapshot.commit, ..write(&snapshot.key(), 0, 1, b"") };
    backend.commit(write).await.expect("it is written");
}

/// A sweep had a limit of 1,000 runs, those of unserved workflows included.
pub(super) async fn m7_one_sweep_looks_at_every_run(tested: BackendUnderTest) {
    // No run is stale, also none that was written in the millisecond of the sweep.
    let config = EngineConfig { stale_after: DEADLINE * 10, ..EngineConfig::default() };
    let host = TestHost::with(&tested.backend, &Probe::open(), config);
    let run = host.start("chain3", "r", &0).await;
    // The names of unserved workflows come first in any order of keys.
    let unserved: WorkflowName = "an_unserved_one".parse().expect("a name");
    store_copies(&tested.backend, &run, &unserved, UNSERVED).await;
    store_copies(&tested.backend, &run, &run.workflow, SERVED).await;
    let mut sweeper = Sweeper::default();
    let now = host.engine.clock().now();
    sweeper.suspect_loss(now, now);
    let swept = host.engine.sweep(&mut sweeper).await.expect("it sweeps");
    assert_eq!((swept.runs_checked, swept.republished), (SERVED + 1, SERVED));
    let again = host.engine.sweep(&mut Sweeper::default()).await.expect("it sweeps");
    assert_eq!(again.republished, 0, "a run had its ticket already");
}
