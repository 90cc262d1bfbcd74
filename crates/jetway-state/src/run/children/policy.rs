//! What becomes of a child run when its parent does not wait for it any more.

use serde::{Deserialize, Serialize};

/// What becomes of a child run when its parent is cancelled, or ends for another reason before the child does.
///
/// | the parent | `Cancel` | `Abandon` | `Wait` |
/// |---|---|---|---|
/// | is cancelled | the child is cancelled | the child goes on | the child goes on, and the parent is `cancelling` until it has ended |
/// | is terminated, fails, or reaches the limit of its clean-up | the child is cancelled | the child goes on | the child goes on |
///
/// A child that is not started by then does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnParentCancel {
    /// It is cancelled too.
    #[default]
    Cancel,
    /// It goes on alone.
    Abandon,
    /// It goes on, and a parent that is cancelled waits until it has ended. The limit of the clean-up of the parent applies.
    Wait,
}

impl OnParentCancel {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(in crate::run) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
