//! What the hosts with wrong clocks are set to, and what the tests expect of them.

use std::time::Duration;

/// The age at which a start of an unserved workflow becomes a dead letter, and at which an orphaned chunk is removed.
pub const GRACE: Duration = Duration::from_secs(8);

/// A run that was not written for this long is checked by the sweep.
pub const STALE_AFTER: Duration = Duration::from_secs(2);
