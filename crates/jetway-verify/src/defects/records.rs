//! Records of runs that a host reads as something else.

use super::Defect;
use jetway_engine::backend::{BackendError, BackendErrorKind, Stored};
use jetway_state::run::{Snapshot, Status};

/// The record as a host with this defect reads it.
pub(super) fn misread(defect: Defect, stored: Option<Stored>) -> Result<Option<Stored>, BackendError> {
    let misread: fn(&mut Snapshot) = match defect {
        Defect::RepeatedSignals => forget_applied,
        Defect::NoCleanUp => forget_clean_up,
        Defect::ForgottenCancel => forget_cancel,
        Defect::ForgottenDeadlines => forget_deadline,
        _ => return Ok(stored),
    };
    let Some(stored) = stored else { return Ok(None) };
    let (mut snapshot, build) = stored.open()?;
    misread(&mut snapshot);
    let bytes = snapshot.seal(build).map_err(|error| {
        BackendError::new(BackendErrorKind::Corrupt, "a record cannot be written").caused_by(error)
    })?;
    Ok(Some(Stored { bytes, ..stored }))
}

/// No signal seems to be applied, neither by its place nor by its id.
fn forget_applied(snapshot: &mut Snapshot) {
    snapshot.mailbox.applied = 0;
    snapshot.mailbox.recent.clear();
}

/// The workflow seems to have no `on_cancel` edges.
fn forget_clean_up(snapshot: &mut Snapshot) {
    snapshot.has_clean_up = false;
}

/// Nobody seems to have cancelled the run.
fn forget_cancel(snapshot: &mut Snapshot) {
    if snapshot.status == Status::Cancelling {
        snapshot.status = Status::Running;
        snapshot.cancel = None;
    }
}

/// The run may seem to take for ever.
fn forget_deadline(snapshot: &mut Snapshot) {
    snapshot.deadline = None;
}
