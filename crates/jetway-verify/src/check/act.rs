//! Everything that an act has left on the server, against what must be there.

use super::{
    Kind::{self, Lost, Orphaned, Stranded, Stuck, Wrong},
    Observed, Violation, judge,
};
use crate::{
    drive::{Ended, program},
    fleet::Mended,
    model::Expected,
    play::PlainLedger,
    runs::{Begun, Runs},
};
use jetway::run::{DoneView, Snapshot};
use jetway_engine::backend::{BackendError, RunsQuery, SnapshotStore as _};
use jetway_nats::NatsBackend;
use jetway_state::codec;
use std::collections::{BTreeMap, BTreeSet};

/// What was found of one run, or of the act as a whole.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The run; `None` for what belongs to none.
    pub run: Option<String>,
    /// What is wrong.
    pub violation: Violation,
}

/// What an act came to.
#[derive(Debug, Default)]
pub struct Judged {
    /// How many runs ended as what.
    pub ended: BTreeMap<&'static str, u64>,
    /// How many child runs there were.
    pub children: u64,
    /// How many steps were committed, in child runs too.
    pub steps: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What happened in an act, for those who judge it.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Reads the records.
    pub backend: &'a NatsBackend,
    /// The runs that were started.
    pub runs: &'a Runs,
    /// What was told of them.
    pub ended: &'a [Ended],
    /// What sweeps have mended.
    pub mended: &'a [Mended],
    /// Whether tickets of any run may have been lost.
    pub any_ticket_lost: bool,
}

impl Judged {
    /// Judges an act whose runs have ended.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn of(evidence: &Evidence<'_>) -> Result<Self, BackendError> {
        let mut judged = Self::default();
        let snapshots = all_snapshots(evidence.backend).await?;
        let told: BTreeMap<String, &Ended> =
            evidence.ended.iter().map(|ended| (ended.run.to_string(), ended)).collect();
        for (run, begun) in evidence.runs.begun() {
            match snapshots.get(&run) {
                Some(snapshot) => judged.run(&run, begun, snapshot, told.get(&run).copied()),
                None => judged.find(Some(&run), Lost, "the run is not there"),
            }
        }
        for (run, snapshot) in &snapshots {
            judged.steps += snapshot.steps;
            if snapshot.parent.is_some() {
                judged.child(run, snapshot);
            }
        }
        judged.stranded(evidence);
        judged.left_over(evidence.backend, &snapshots).await?;
        Ok(judged)
    }

    fn find(&mut self, run: Option<&str>, kind: Kind, what: impl Into<String>) {
        self.findings.push(Finding { run: run.map(str::to_owned), violation: Violation::new(kind, what) });
    }

    fn run(&mut self, run: &str, begun: Begun, snapshot: &Snapshot, ended: Option<&Ended>) {
        *self.ended.entry(snapshot.status.as_str()).or_default() += 1;
        if !snapshot.status.is_terminal() {
            return self.find(Some(run), Stuck, format!("the run is {} at the end", snapshot.status));
        }
        let expected = Expected::of(program(begun.seed));
        match observed(snapshot) {
            Ok(observed) => {
                for violation in judge(&expected, &observed, begun.cancelled) {
                    self.findings.push(Finding { run: Some(run.to_owned()), violation });
                }
            }
            Err(what) => self.find(Some(run), Wrong, what),
        }
        match ended.map(|ended| &ended.result) {
            Some(Ok(done)) if *done == DoneView::from(snapshot) => {}
            Some(Ok(done)) => {
                let what = format!("the result that was told is {done:?}, and the record says otherwise");
                self.find(Some(run), Wrong, what);
            }
            Some(Err(error)) => self.find(Some(run), Lost, format!("no result was told: {error}")),
            None => self.find(Some(run), Lost, "nobody waited for the result"),
        }
    }

    /// A child has ended; what came of it, its parent's value tells.
    fn child(&mut self, run: &str, snapshot: &Snapshot) {
        self.children += 1;
        if !snapshot.status.is_terminal() {
            let what = format!("the child run is {}, and its parent has ended", snapshot.status);
            self.find(Some(run), Orphaned, what);
        }
        let Ok(observed) = observed(snapshot) else {
            return self.find(Some(run), Wrong, "the record of the child run cannot be read");
        };
        let mut seen = BTreeSet::new();
        for entry in &observed.ledger.trail {
            if !seen.insert(&entry.item) {
                self.find(Some(run), Kind::Doubled, format!("item {:?} was committed twice", entry.item));
            }
        }
    }

    /// Without the loss of tickets, leases alone bring work back: whatever a sweep finds was given up by a host that
    /// should have held it. Three things it may find: a run whose host was lost between its snapshot and its first
    /// ticket, a step that waits for a child run, which holds no ticket while it does, and a run that was told to go on by a host
    /// that was lost before its items had tickets.
    fn stranded(&mut self, evidence: &Evidence<'_>) {
        if evidence.any_ticket_lost {
            return;
        }
        let ours = |mended: &&Mended| {
            mended.surely
                && mended.item != "start"
                && mended.node != "child"
                && !evidence.runs.was_robbed(&mended.run)
                && !evidence.runs.was_paused(&mended.run)
        };
        for mended in evidence.mended.iter().filter(ours) {
            let what = format!("item {} of node {} had no ticket", mended.item, mended.node);
            self.find(Some(&mended.run), Stranded, what);
        }
    }

    async fn left_over(
        &mut self,
        backend: &NatsBackend,
        snapshots: &BTreeMap<String, Snapshot>,
    ) -> Result<(), BackendError> {
        let census = backend.census().await?;
        for (what, count) in [("start messages", census.starts), ("tickets", census.tickets)] {
            if count > 0 {
                self.find(None, Orphaned, format!("{count} {what} are left"));
            }
        }
        for run in census.chunked {
            if snapshots.get(&run).is_none_or(|snapshot| snapshot.status.is_terminal()) {
                self.find(Some(&run), Orphaned, "chunks are left of a run that has ended");
            }
        }
        for (letter, count) in census.dead_letters {
            self.find(None, Wrong, format!("{count} dead letters {letter}"));
        }
        Ok(())
    }
}

/// The record of every run of the namespace, by name.
async fn all_snapshots(backend: &NatsBackend) -> Result<BTreeMap<String, Snapshot>, BackendError> {
    let mut snapshots = BTreeMap::new();
    let mut after = None;
    loop {
        let query = RunsQuery { limit: 500, after, ..RunsQuery::default() };
        let page = backend.runs(&query).await?;
        for stored in &page.runs {
            if let Ok((snapshot, _)) = codec::open::<Snapshot>(&stored.bytes, "a snapshot") {
                snapshots.insert(snapshot.key().to_string(), snapshot);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(snapshots);
        }
    }
}

fn observed(snapshot: &Snapshot) -> Result<Observed, String> {
    let ledger: PlainLedger =
        codec::decode(&snapshot.context, "the context").map_err(|error| error.to_string())?;
    let outputs = snapshot.outputs.iter().map(|output| codec::decode(&output.value, "an output"));
    Ok(Observed {
        status: snapshot.status,
        error: snapshot.error.as_ref().map(|error| error.message.clone()),
        outputs: outputs.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
        steps: snapshot.steps,
        ledger,
    })
}
