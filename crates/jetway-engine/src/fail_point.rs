//! Places between two operations at which a host can be made to die, and rules of the commit protocol that can be broken
//! on purpose: so that tests show what a crash does, and that they would find a broken rule.
//!
//! Compiled to nothing without the feature `fail-points`. With it, a process dies where the environment says:
//!
//! ```text
//! JETWAY_FAIL_POINT=committed      the first time that it is reached
//! JETWAY_FAIL_POINT=committed@3    the third time
//! JETWAY_BROKEN_RULE=no-sweep      does without a rule, see `jetway_state::broken_rule`
//! ```

mod places;

pub use places::{FailPoint, UnknownName};

#[cfg(feature = "fail-points")]
mod armed;
#[cfg(feature = "fail-points")]
pub use armed::{break_rule_of_environment, fail_point, one_by_one};

/// Dies here where the environment says so.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn fail_point(_point: FailPoint) {}

/// The items in one piece; one by one where the process is to die between two of them.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn one_by_one<T>(_point: FailPoint, items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::once(items)
}
