//! The rules that a test can break: item ids are derived, and not random; what belongs to another incarnation is discarded; a run that
//! continues as new takes its signals along; the limit of a step counts from when it is ready.
//!
//! A test that breaks one shows that `jetway verify` finds it. It breaks other promises by decorators of the backend,
//! but no decorator reaches a pure rule. Without the feature `broken-rule` nothing here can be broken.

#[cfg(feature = "broken-rule")]
mod broken {
    use crate::Timestamp;
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicBool, AtomicU64, Ordering},
        },
        time::Duration,
    };

    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    static IGNORES_INCARNATIONS: AtomicBool = AtomicBool::new(false);
    static LEAVES_SIGNALS_BEHIND: AtomicBool = AtomicBool::new(false);
    static COUNTS_FROM_EARLIER: AtomicBool = AtomicBool::new(false);

    /// More than the limit of any step of the verifier.
    const EARLIER: Duration = Duration::from_secs(2);

    /// Gives all items of this process random ids. `seed` makes them differ from those of other processes.
    pub fn use_random_item_ids(seed: u64) {
        NEXT.get_or_init(|| AtomicU64::new(seed));
    }

    /// The next random id, if the rule is broken.
    pub(crate) fn random_item_id() -> Option<u64> {
        NEXT.get().map(|next| next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes all incarnations for the same from now on, in this process.
    pub fn ignore_incarnations() {
        IGNORES_INCARNATIONS.store(true, Ordering::Relaxed);
    }

    /// Whether all incarnations are taken for the same.
    pub(crate) fn ignores_incarnations() -> bool {
        IGNORES_INCARNATIONS.load(Ordering::Relaxed)
    }

    /// From now on, runs that continue as new in this process forget their signals.
    pub fn leave_signals_behind() {
        LEAVES_SIGNALS_BEHIND.store(true, Ordering::Relaxed);
    }

    /// Whether runs that continue as new forget their signals.
    pub(crate) fn leaves_signals_behind() -> bool {
        LEAVES_SIGNALS_BEHIND.load(Ordering::Relaxed)
    }

    /// From now on, the limits of steps in this process count from a time before they are ready.
    pub fn count_limits_from_earlier() {
        COUNTS_FROM_EARLIER.store(true, Ordering::Relaxed);
    }

    /// The time from which the limit of a step counts that is ready since `since`.
    pub(crate) fn counted_from(since: Timestamp) -> Timestamp {
        if COUNTS_FROM_EARLIER.load(Ordering::Relaxed) { since.before(EARLIER) } else { since }
    }
}

#[cfg(feature = "broken-rule")]
pub use broken::{count_limits_from_earlier, ignore_incarnations, leave_signals_behind, use_random_item_ids};
#[cfg(feature = "broken-rule")]
pub(crate) use broken::{counted_from, ignores_incarnations, leaves_signals_behind, random_item_id};

/// `None`: the rule is kept.
#[cfg(not(feature = "broken-rule"))]
pub(crate) const fn random_item_id() -> Option<u64> {
    None
}

/// `false`: the rule is kept.
#[cfg(not(feature = "broken-rule"))]
pub(crate) const fn ignores_incarnations() -> bool {
    false
}

/// `false`: the rule is kept.
#[cfg(not(feature = "broken-rule"))]
pub(crate) const fn leaves_signals_behind() -> bool {
    false
}

/// The same time: the rule is kept.
#[cfg(not(feature = "broken-rule"))]
pub(crate) const fn counted_from(since: crate::Timestamp) -> crate::Timestamp {
    since
}
