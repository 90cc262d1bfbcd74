//! One host process and its connection to the server.

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

/// The time limit for the start of a host.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The number of log lines that are kept of each host.
const LINES: usize = 2000;

/// An item whose ticket was missing, so that a sweep has published it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemWithoutTicket {
    /// The run, as `workflow/run_id`.
    pub run: String,
    /// The node of the item.
    pub node: String,
    /// The item.
    pub item: String,
    /// Whether the run made no progress, so that the ticket was certainly missing.
    pub certain: bool,
}

/// What a host has logged.
#[derive(Debug, Default)]
struct HostLog {
    lines: VecDeque<String>,
    serving: usize,
    items_without_ticket: Vec<ItemWithoutTicket>,
}

/// A host process that serves the [interpreter](crate::interpreter), behind a proxy. Dropping it kills the process.
#[derive(Debug)]
pub struct VerifyHost {
    /// The connection to the server.
    pub proxy: Proxy,
    namespace: Namespace,
    command: HostCommand,
    environment: Vec<(&'static str, String)>,
    journal: PathBuf,
    child: Option<Child>,
    paused: bool,
    started: usize,
    log: Arc<Mutex<HostLog>>,
    reader: Option<JoinHandle<()>>,
}

impl VerifyHost {
    pub(super) async fn new(
        server: &str,
        namespace: Namespace,
        command: HostCommand,
        environment: Vec<(&'static str, String)>,
        journal: PathBuf,
    ) -> Result<Self, Error> {
        Ok(Self {
            proxy: Proxy::start(server).await.map_err(Error::io("listen for a proxy"))?,
            namespace,
            command,
            environment,
            journal,
            child: None,
            paused: false,
            started: 0,
            log: Arc::default(),
            reader: None,
        })
    }

    /// The file with the executions of its nodes.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Whether the process is running and not paused.
    pub fn is_up(&self) -> bool {
        self.child.is_some() && !self.paused
    }

    /// Starts the process, unless it is running.
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
            .envs(self.environment.iter().cloned())
            .env("RUST_LOG", "info,async_nats=error")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start a host"))?;
        if let Some(stderr) = child.stderr.take() {
            self.reader = Some(tokio::spawn(read_log(stderr, Arc::clone(&self.log))));
        }
        self.child = Some(child);
        self.started += 1;
        Ok(())
    }

    /// Waits until the latest process logs that it serves.
    pub(super) async fn wait_until_serving(&mut self) -> Result<(), Error> {
        let log = Arc::clone(&self.log);
        let started = self.started;
        let mut ended = None;
        let serves = try_wait_until("a host serves", START_DEADLINE, async || {
            ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            ended.is_some() || lock(&log).serving >= started
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
        self.paused = false;
        Ok(())
    }

    /// Pauses the process (`SIGSTOP`). Its connections stay open, and it does not notice the pause when it is resumed.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn pause(&mut self) -> Result<(), Error> {
        self.paused = true;
        self.signal(Signal::STOP)
    }

    /// Resumes a paused process.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.paused = false;
        self.signal(Signal::CONT)
    }

    /// Ends all faults of this host.
    pub(super) fn heal(&mut self) -> Result<(), Error> {
        self.proxy.release();
        self.proxy.delay(Duration::ZERO);
        if self.paused {
            self.resume()?;
        }
        self.start()
    }

    /// The items without a ticket that sweeps of this host have found.
    pub fn items_without_ticket(&self) -> Vec<ItemWithoutTicket> {
        lock(&self.log).items_without_ticket.clone()
    }

    /// Its latest log lines.
    pub fn log(&self) -> String {
        lock(&self.log).lines.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// The log lines about a run or about missing tickets.
    pub fn log_of(&self, run: &str) -> Vec<String> {
        let log = lock(&self.log);
        let of = |line: &&String| line.contains(run) || line.contains("tickets that");
        log.lines.iter().filter(of).cloned().collect()
    }

    /// How the process ended, if the verifier did not end it.
    pub fn unexpected_exit(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        Some(format!("a host ended unexpectedly with {status}:\n{}", self.log()))
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

/// Reads the log of a host until the host ends.
async fn read_log(stderr: impl AsyncRead + Unpin, log: Arc<Mutex<HostLog>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = lock(&log);
        log.serving += usize::from(line.contains(" serving "));
        log.items_without_ticket.extend(parse_items(&line));
        if log.lines.len() == LINES {
            log.lines.pop_front();
        }
        log.lines.push_back(line);
    }
}

/// Reads `... tickets of pending items were missing: next/start,work/abc run=interpreter/r1 tickets=2`.
fn parse_items(line: &str) -> Vec<ItemWithoutTicket> {
    let parse = || {
        let sure = line.split_once("tickets of pending items were missing: ");
        let certain = sure.is_some();
        let (_, fields) = sure.or_else(|| line.split_once("tickets of pending items may be missing: "))?;
        let run = fields.split_once("run=")?.1.split(' ').next()?;
        let lost = fields.split(' ').next()?;
        let item = |name: &str| {
            let (node, item) = name.split_once('/')?;
            Some(ItemWithoutTicket {
                run: run.to_owned(),
                node: node.to_owned(),
                item: item.to_owned(),
                certain,
            })
        };
        Some(lost.split(',').filter_map(item).collect())
    };
    parse().unwrap_or_default()
}

fn lock(log: &Mutex<HostLog>) -> MutexGuard<'_, HostLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_without_ticket_are_read_from_the_log() {
        let line = "2026-01-01T00:00:00Z  WARN jetway_engine::sweeper: tickets of pending items were missing: \
                    next/start,work/abc-3 run=interpreter/r1 tickets=2";
        let item = |node: &str, item: &str| ItemWithoutTicket {
            run: "interpreter/r1".to_owned(),
            node: node.to_owned(),
            item: item.to_owned(),
            certain: true,
        };
        assert_eq!(parse_items(line), [item("next", "start"), item("work", "abc-3")]);
        let unsure = parse_items(&line.replace("were missing", "may be missing"));
        assert_eq!(unsure[0], ItemWithoutTicket { certain: false, ..item("next", "start") });
        assert_eq!(parse_items("something else"), []);
    }
}
