//! The rule that a test can break: item ids are derived, and not random.
//!
//! A test that breaks it shows that `jetway verify` finds random ids. It breaks other promises by decorators of the backend,
//! but no decorator reaches a pure rule. Without the feature `broken-rule` nothing here can be broken.

#[cfg(feature = "broken-rule")]
mod random {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static NEXT: OnceLock<AtomicU64> = OnceLock::new();

    /// Gives all items of this process random ids. `seed` makes them differ from those of other processes.
    pub fn use_random_item_ids(seed: u64) {
        NEXT.get_or_init(|| AtomicU64::new(seed));
    }

    /// The next random id, if the rule is broken.
    pub(crate) fn random_item_id() -> Option<u64> {
        NEXT.get().map(|next| next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(feature = "broken-rule")]
pub(crate) use random::random_item_id;
#[cfg(feature = "broken-rule")]
pub use random::use_random_item_ids;

/// `None`: the rule is kept.
#[cfg(not(feature = "broken-rule"))]
pub(crate) const fn random_item_id() -> Option<u64> {
    None
}
