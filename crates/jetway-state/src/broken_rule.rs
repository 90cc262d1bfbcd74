//! Rules that a test can break on purpose, to show that the verifier detects it.
//!
//! Without the feature `fail-points` no rule is broken, and [`is_broken`] is `false` at compile time. With it, the process
//! under test calls `arm` once, before it runs anything.

use std::str::FromStr;

/// A rule of the commit protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BrokenRule {
    /// Acks a ticket when it is received, before anything is committed under it.
    AckBeforeCommit,
    /// Carries out effects before the compare-and-swap, also if that fails then, and names chunks without the commit that
    /// writes them.
    PublishBeforeCommit,
    /// Gives work items ids that differ each time instead of derived ones.
    RandomItemIds,
    /// Merges whole contexts on a conflict, instead of rebasing the change.
    MergeInsteadOfRebase,
    /// Never looks for items without a ticket.
    NoSweep,
}

impl BrokenRule {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::AckBeforeCommit,
        Self::PublishBeforeCommit,
        Self::RandomItemIds,
        Self::MergeInsteadOfRebase,
        Self::NoSweep,
    ];

    /// The name on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "ack-before-commit",
            Self::PublishBeforeCommit => "publish-before-commit",
            Self::RandomItemIds => "random-item-ids",
            Self::MergeInsteadOfRebase => "merge-instead-of-rebase",
            Self::NoSweep => "no-sweep",
        }
    }
}

impl FromStr for BrokenRule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|rule| rule.as_str()).collect::<Vec<_>>().join(", ");
        Self::ALL
            .iter()
            .copied()
            .find(|rule| rule.as_str() == name)
            .ok_or_else(|| format!("unknown rule {name:?}; use one of {}", known()))
    }
}

#[cfg(feature = "fail-points")]
mod armed {
    use super::BrokenRule;
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static ARMED: OnceLock<BrokenRule> = OnceLock::new();
    static UNIQUE: AtomicU64 = AtomicU64::new(0);

    /// Breaks a rule for the rest of the process. `seed` makes the ids of this process differ from those of others.
    pub fn arm(rule: BrokenRule, seed: u64) {
        if ARMED.set(rule).is_ok() {
            UNIQUE.store(seed, Ordering::Relaxed);
        }
    }

    /// Whether this rule is broken.
    pub fn is_broken(rule: BrokenRule) -> bool {
        ARMED.get() == Some(&rule)
    }

    /// A number that this process has not returned before.
    pub(crate) fn unique() -> u64 {
        UNIQUE.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(feature = "fail-points")]
pub(crate) use armed::unique;
#[cfg(feature = "fail-points")]
pub use armed::{arm, is_broken};

/// Whether this rule is broken.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn is_broken(_rule: BrokenRule) -> bool {
    false
}

#[cfg(not(feature = "fail-points"))]
pub(crate) const fn unique() -> u64 {
    0
}
