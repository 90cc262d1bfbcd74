//! A server process that cannot outlive its owner.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::report::report;

/// Starts the server and ends with its exit status. When standard input is closed, kills the server and removes the
/// directory `$1`.
///
/// A hang-up is ignored: the system sends one to this process group when the owner ends while the server is paused.
///
/// The watcher ignores the shell's own TERM from the moment on that the owner is gone, so that its exit status tells
/// the two ends apart: 0 means that the owner is gone, anything else that the server ended by itself.
const SHELL: &str = r#"
trap '' HUP
exec 3<&0 </dev/null
abandoned=$1
shift
"$@" 3<&- &
server=$!
(
    read -r line <&3
    trap '' TERM
    kill -KILL "$server"
) &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -TERM "$watcher" 2>/dev/null
if wait "$watcher"; then
    rm -rf -- "$abandoned"
fi
exit "$status"
"#;

/// A running server behind its shell.
#[derive(Debug)]
pub(crate) struct Lifeline {
    shell: Child,
    /// Never written to: that it is open tells the shell that the owner is there. The standard library marks it
    /// close-on-exec, so no other program that the owner starts holds it open.
    open_end: Option<ChildStdin>,
    server: Option<Pid>,
}

impl Lifeline {
    /// Starts the program and arguments `server`; what it prints is appended to `log`. The directory `abandoned` is
    /// removed if the owner ends without dropping.
    pub(crate) fn start(server: &[OsString], log: &Path, abandoned: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut shell = Command::new("sh")
            .args(["-c", SHELL, "sh"])
            .arg(abandoned)
            .args(server)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C in a terminal is for the owner, who may need the server while it shuts down.
            .process_group(0)
            .spawn()?;
        let open_end = shell.stdin.take();
        Ok(Self { shell, open_end, server: None })
    }

    /// Tells which process the server is; without it the server can only be killed by closing the pipe.
    pub(crate) fn set_server(&mut self, pid: Pid) {
        self.server = Some(pid);
    }

    /// The server's process id, once known.
    pub(crate) fn server(&self) -> Option<Pid> {
        self.server
    }

    /// The exit status, if the server has ended. The shell ends after it, so no process is left then.
    pub(crate) fn try_exit(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.try_wait()
    }

    /// Sends a signal to the server; one that has ended is fine.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.try_exit()?.is_some() {
            return Ok(());
        }
        let server =
            self.server.ok_or_else(|| io::Error::other("the server's process id is not known yet"))?;
        match kill_process(server, signal) {
            // It has just ended, and its shell is about to.
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Kills the server and waits for its end, which takes milliseconds.
    fn end(&mut self) -> io::Result<()> {
        if self.try_exit()?.is_some() {
            return Ok(());
        }
        if self.server.is_none() || self.signal(Signal::KILL).is_err() {
            self.open_end = None;
        }
        self.shell.wait()?;
        Ok(())
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            report(&format!("a nats-server could not be ended: {error}"));
        }
    }
}
