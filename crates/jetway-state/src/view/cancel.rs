//! What the result and the status say of a run that was cancelled.

use crate::run::{CancelReason, Cancellation, Snapshot};
use serde::{Deserialize, Serialize};

/// That a run was cancelled: why, and how its clean-up went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelView {
    /// Why the run ended: `requested`, `terminated`, `cleanup_timeout` or `deadline`. `requested` or `deadline` while its clean-up is
    /// not over.
    pub reason: CancelReason,
    /// When it was cancelled, in RFC 3339.
    pub at: String,
    /// When its clean-up ends at the latest, in RFC 3339. `None` if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The nodes of the items that were left when the limit of the clean-up had passed: the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

impl From<&Cancellation> for CancelView {
    fn from(cancel: &Cancellation) -> Self {
        Self {
            reason: cancel.reason,
            at: cancel.at.to_string(),
            until: cancel.until.map(|until| until.to_string()),
            not_run: cancel.not_run.clone(),
        }
    }
}

/// What a run waits for that is being cancelled, and whose clean-up may go on.
pub(super) fn waiting_for(snapshot: &Snapshot) -> Option<String> {
    let until = snapshot.clean_up_until()?;
    let unreadable = super::BuildWaitView::of(snapshot).first().map(|wait| format!(" It waits for {wait}."));
    Some(format!("its clean-up, which ends at {until} at the latest{}", unreadable.unwrap_or_default()))
}
