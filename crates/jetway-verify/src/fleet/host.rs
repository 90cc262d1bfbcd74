//! One host process, and the line to its server.

use super::HostCommand;
use crate::Error;
use jetway::Namespace;
use jetway_server::try_wait_until;
use jetway_testing::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

/// How long a host may take until it serves.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How many lines of a host's log are kept.
const LINES: usize = 2000;

/// An item that had no ticket any more, and was found by a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Its run, as `workflow/run_id`.
    pub run: String,
    /// Its node.
    pub node: String,
    /// The item.
    pub item: String,
    /// Whether the run did not go on, so that the ticket was lost for certain.
    pub surely: bool,
}

/// What a host has said.
#[derive(Debug, Default)]
struct Said {
    lines: VecDeque<String>,
    serving: usize,
    mended: Vec<Mended>,
}

/// A host process that serves [`Play`](crate::play::Play), behind a proxy. Killed when it is dropped.
#[derive(Debug)]
pub struct VerifyHost {
    /// The line to the server.
    pub proxy: Proxy,
    namespace: Namespace,
    command: HostCommand,
    journal: PathBuf,
    child: Option<Child>,
    stopped: bool,
    started: usize,
    said: Arc<Mutex<Said>>,
    reader: Option<JoinHandle<()>>,
}

impl VerifyHost {
    pub(super) async fn new(
        server: &str,
        namespace: Namespace,
        command: HostCommand,
        journal: PathBuf,
    ) -> Result<Self, Error> {
        Ok(Self {
            proxy: Proxy::start(server).await.map_err(Error::io("listen for a proxy"))?,
            namespace,
            command,
            journal,
            child: None,
            stopped: false,
            started: 0,
            said: Arc::default(),
            reader: None,
        })
    }

    /// The file with what its nodes have executed.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Whether the process is there and not stopped.
    pub fn is_up(&self) -> bool {
        self.child.is_some() && !self.stopped
    }

    /// Starts the process, unless it is there.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.child.is_some() {
            return Ok(());
        }
        let mut child = Command::new(&self.command.program)
            .args(&self.command.arguments)
            .args(["--nats", &self.proxy.url(), "--namespace", self.namespace.as_str(), "--journal"])
            .arg(&self.journal)
            .env("RUST_LOG", "info,async_nats=error")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start a host"))?;
        if let Some(stderr) = child.stderr.take() {
            self.reader = Some(tokio::spawn(listen(stderr, Arc::clone(&self.said))));
        }
        self.child = Some(child);
        self.started += 1;
        Ok(())
    }

    /// Waits until the process that was started last says that it serves.
    pub(super) async fn until_it_serves(&mut self) -> Result<(), Error> {
        let said = Arc::clone(&self.said);
        let started = self.started;
        let mut ended = None;
        let serves = try_wait_until("a host serves", START_DEADLINE, async || {
            ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            ended.is_some() || lock(&said).serving >= started
        });
        serves.await.map_err(|error| Error::Host(format!("{error}:\n{}", self.log())))?;
        match ended {
            None => Ok(()),
            Some(status) => Err(Error::Host(format!("a host ended with {status}:\n{}", self.log()))),
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// The operating system refuses.
    pub async fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.map_err(Error::io("kill a host"))?;
        }
        self.stopped = false;
        Ok(())
    }

    /// Stops the process where it is, with its connections open: it believes itself alive when it goes on.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.stopped = true;
        self.signal(Signal::STOP)
    }

    /// Lets a stopped process go on.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn go_on(&mut self) -> Result<(), Error> {
        self.stopped = false;
        self.signal(Signal::CONT)
    }

    /// Lets it work again, whatever was done to it.
    pub(super) fn heal(&mut self) -> Result<(), Error> {
        self.proxy.release();
        self.proxy.delay(Duration::ZERO);
        if self.stopped {
            self.go_on()?;
        }
        self.start()
    }

    /// What sweeps of this host have mended.
    pub fn mended(&self) -> Vec<Mended> {
        lock(&self.said).mended.clone()
    }

    /// The last lines that it logged.
    pub fn log(&self) -> String {
        lock(&self.said).lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// Those of them that are of a run, or of the loss of tickets.
    pub fn logged_of(&self, run: &str) -> Vec<String> {
        let said = lock(&self.said);
        let of = |line: &&String| line.contains(run) || line.contains("tickets that");
        said.lines.iter().filter(of).cloned().collect()
    }

    /// How the process ended, where it did so by itself.
    pub fn died(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        Some(format!("a host ended by itself with {status}:\n{}", self.log()))
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| Pid::from_raw(pid.cast_signed()));
        match pid {
            Some(pid) => kill_process(pid, signal).map_err(|errno| Error::io("signal a host")(errno.into())),
            None => Ok(()),
        }
    }
}

impl Drop for VerifyHost {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

/// Reads what a host logs until it ends.
async fn listen(stderr: impl AsyncRead + Unpin, said: Arc<Mutex<Said>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut said = lock(&said);
        said.serving += usize::from(line.contains(" serving "));
        said.mended.extend(mended(&line));
        if said.lines.len() == LINES {
            said.lines.pop_front();
        }
        said.lines.push_back(line);
    }
}

/// Reads `... pending items had lost their tickets run=play/r1 items=2 lost="next/start,work/abc"`.
fn mended(line: &str) -> Vec<Mended> {
    let parse = || {
        let sure = line.split_once("pending items had lost their tickets");
        let surely = sure.is_some();
        let (_, fields) = sure.or_else(|| line.split_once("pending items may have lost their tickets"))?;
        let run = fields.split_once("run=")?.1.split(' ').next()?;
        let lost = fields.split_once("lost=\"")?.1.split('"').next()?;
        let item = |name: &str| {
            let (node, item) = name.split_once('/')?;
            Some(Mended { run: run.to_owned(), node: node.to_owned(), item: item.to_owned(), surely })
        };
        Some(lost.split(',').filter_map(item).collect())
    };
    parse().unwrap_or_default()
}

fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sweep_mended_is_read_from_the_log() {
        let line = "2026-01-01T00:00:00Z  WARN jetway_engine::sweep: pending items had lost their tickets \
                    run=play/r1 items=2 lost=\"next/start,work/abc-3\"";
        let item = |node: &str, item: &str| Mended {
            run: "play/r1".to_owned(),
            node: node.to_owned(),
            item: item.to_owned(),
            surely: true,
        };
        assert_eq!(mended(line), [item("next", "start"), item("work", "abc-3")]);
        let unsure = mended(&line.replace("had lost", "may have lost"));
        assert_eq!(unsure[0], Mended { surely: false, ..item("next", "start") });
        assert_eq!(mended("something else"), []);
    }
}
