//! Fail points: places between two operations at which a test can crash the host.
//!
//! Compiled to nothing without the feature `fail-points`. With it, the environment names the fail point:
//!
//! ```text
//! JETWAY_FAIL_POINT=committed      crashes the first time
//! JETWAY_FAIL_POINT=committed@3    crashes the third time
//! ```

mod places;

pub use places::{FailPoint, UnknownName};

#[cfg(feature = "fail-points")]
mod armed;
#[cfg(feature = "fail-points")]
pub use armed::{fail_point, one_by_one};

/// Crashes here if the environment says so.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn fail_point(_point: FailPoint) {}

/// The items in one batch; one by one if the process has to crash between two of them.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn one_by_one<T>(_point: FailPoint, items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::once(items)
}
