//! The harness itself, with real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod clean_up;
mod conformance;
mod harness;
mod long_loops;
mod moved_clock;
mod python;
mod retries;
mod run_deadlines;
mod shared;
mod signals;
mod stores;
mod timers;
mod waiters;

use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

/// How long anything here may take; far more than it does.
const DEADLINE: Duration = Duration::from_secs(120);

/// Whether a process with this id exists.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    test_kill_process(pid).is_ok()
}
