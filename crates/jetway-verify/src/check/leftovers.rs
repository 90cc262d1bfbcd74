//! Checks that nothing is left over in the streams.

use super::{
    Kind::{Orphaned, Wrong},
    Report,
    report::Evidence,
    signals::Letters,
    used_ids::{LATE_STARTS_REFUSED, REFUSED},
};
use crate::{driver::Ended, fleet::STALE_AFTER};
use jetway::{Clock as _, SystemClock};
use jetway_engine::backend::{Alarms as _, BackendError};
use jetway_nats::faults::{left_over_alarms, left_over_starts};
use jetway_state::run::Snapshot;
use std::collections::BTreeMap;

/// Brings back the signals that are put off and should have come.
async fn bring_back_signals(evidence: &Evidence<'_>) -> Result<(), BackendError> {
    let until = SystemClock.now().before(STALE_AFTER);
    if let Some(Ended { run, .. }) = evidence.ended.first() {
        evidence.backend.ring_overdue(&run.workflow, evidence.began, until).await?;
    }
    Ok(())
}

impl Report {
    pub(super) async fn check_leftovers(
        &mut self,
        evidence: &Evidence<'_>,
        snapshots: &BTreeMap<String, Snapshot>,
    ) -> Result<(), BackendError> {
        let backend = evidence.backend;
        let counts = backend.stream_counts().await?;
        let left = [
            ("start messages", counts.starts),
            ("tickets", counts.tickets),
            ("wake-ups", counts.wakes),
            ("signals", counts.signals),
        ];
        for (what, count) in left.into_iter().filter(|(_, count)| *count > 0) {
            self.add(None, Orphaned, format!("{count} {what} are left over"));
        }
        // Also those that nobody waits for: no run waits for more than some seconds, unless its alarm is disarmed. A server that was
        // killed may hold one without ringing it, which the sweep finds within minutes.
        if counts.alarms > self.forgotten_alarms && !evidence.any_ticket_lost {
            for (run, due) in left_over_alarms(backend).await? {
                let what = format!("an alarm is left over that rings at {due}");
                self.add(Some(&run.to_string()), Orphaned, what);
            }
        }
        match counts.signals {
            0 => self.check_signals(evidence, snapshots).await?,
            // A host that was killed while it put a signal off has stored it without an alarm. The first one has come again since, and
            // sweeps look for the other one every five minutes only.
            _ => bring_back_signals(evidence).await?,
        }
        if counts.starts > 0 {
            for start in left_over_starts(backend).await? {
                self.add(None, Orphaned, start);
            }
        }
        for run in counts.chunked {
            if snapshots.get(&run).is_none_or(|snapshot| snapshot.status.is_terminal()) {
                self.add(Some(&run), Orphaned, "chunks are left over from a run that has ended");
            }
        }
        self.check_dead_letters(counts.dead_letters);
        Ok(())
    }

    /// Checks that there is no dead letter, apart from those of signals and of starts under ids that were used again.
    fn check_dead_letters(&mut self, counts: BTreeMap<String, u64>) {
        for (letter, count) in counts.into_iter().filter(|(letter, _)| !Letters::is_of_signals(letter)) {
            if letter == REFUSED && !self.used_ids.is_empty() {
                self.used_ids.insert(LATE_STARTS_REFUSED, count);
            } else {
                self.add(None, Wrong, format!("{count} dead letters: {letter}"));
            }
        }
    }
}
