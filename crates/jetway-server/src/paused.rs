//! Whether a process has really stopped: the signal only asks for it, and a busy machine takes its time.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Pid;

use crate::command::run;

/// Whether all threads of the process stand still.
pub(crate) fn is_paused(pid: Pid) -> bool {
    let pid = pid.as_raw_nonzero();
    match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads.filter_map(Result::ok).all(|thread| is_thread_paused(&thread.path())),
        // A system without /proc tells about the process as a whole.
        Err(_) => run(Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]))
            .is_ok_and(|state| state.starts_with('T')),
    }
}

/// Reads `7 (name) T 1 ...`, where the name may contain anything. A thread that has just ended runs no more.
fn is_thread_paused(thread: &Path) -> bool {
    let Ok(stat) = fs::read_to_string(thread.join("stat")) else {
        return true;
    };
    stat.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('T'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_is_not_paused() {
        assert!(!is_paused(rustix::process::getpid()));
    }
}
