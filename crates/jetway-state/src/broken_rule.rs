//! The rules that a test can break: item ids are derived, and not random; what belongs to another incarnation is discarded.
//!
//! A test that breaks one shows that `jetway verify` finds it. It breaks other promises by decorators of the backend,
//! but no decorator reaches a pure rule. Without the feature `broken-rule` nothing here can be broken.

#[cfg(feature = "broken-rule")]
mod broken {
    use std::sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    };

    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    static IGNORES_INCARNATIONS: AtomicBool = AtomicBool::new(false);

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
}

#[cfg(feature = "broken-rule")]
pub use broken::{ignore_incarnations, use_random_item_ids};
#[cfg(feature = "broken-rule")]
pub(crate) use broken::{ignores_incarnations, random_item_id};

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
