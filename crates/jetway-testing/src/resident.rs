//! How much memory a process takes up.

use std::fs;
use std::process::Command;

use jetway_server::command::run;

/// The resident memory of a process in bytes, as the operating system counts it; `None` where there is no such process.
///
/// What a process has given back to its allocator may still count: compare values over time, not with an exact bound.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let kibibytes = match fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => of_status(&status)?,
        // A system without /proc. A process that has ended is unknown to `ps` too.
        Err(_) => run(Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()])).ok()?.parse().ok()?,
    };
    Some(kibibytes * 1024)
}

/// Reads the line `VmRSS:   1234 kB`, which a process that is ending has no more.
fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_in_use_counts() {
        let before = resident_bytes(std::process::id()).unwrap();
        let ballast = vec![1_u8; 64 << 20];
        let after = resident_bytes(std::process::id()).unwrap();
        // Other tests of this process take and give back a little at the same time.
        assert!(after > before + (48 << 20), "{before} {after}");
        drop(ballast);
    }

    #[test]
    fn a_process_that_is_not_there_takes_up_nothing() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(resident_bytes(child.id()), None);
    }
}
