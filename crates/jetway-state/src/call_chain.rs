//! Records through which functions a message passes, for the test that compares them with the architecture page.
//!
//! Without the feature `fail-points` nothing is recorded, and [`hop!`](crate::hop) is compiled to nothing. With it,
//! recording begins when the process calls `start`.

/// Records that a message has reached a function: `hop!("Type::function")`.
///
/// The architecture page, `crates/README.md`, says what counts as a hop, and lists all of them.
#[macro_export]
macro_rules! hop {
    ($function:literal) => {
        $crate::call_chain::record(file!(), $function)
    };
}

#[cfg(feature = "fail-points")]
mod recorder {
    use std::sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    };

    static STARTED: AtomicBool = AtomicBool::new(false);
    static HOPS: Mutex<Vec<Hop>> = Mutex::new(Vec::new());

    /// A function that a message has reached.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Hop {
        /// The file, relative to the root of the repository.
        pub file: &'static str,
        /// The function, with its type if it has one.
        pub function: &'static str,
    }

    /// Records all hops of this process from now on.
    pub fn start() {
        STARTED.store(true, Ordering::Relaxed);
    }

    /// Records a hop.
    pub fn record(file: &'static str, function: &'static str) {
        if STARTED.load(Ordering::Relaxed) {
            hops().push(Hop { file, function });
        }
    }

    /// The hops of this process, in the order of time.
    pub fn recorded() -> Vec<Hop> {
        hops().clone()
    }

    fn hops() -> MutexGuard<'static, Vec<Hop>> {
        HOPS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "fail-points")]
pub use recorder::{Hop, record, recorded, start};

/// Records nothing.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn record(_file: &'static str, _function: &'static str) {}
