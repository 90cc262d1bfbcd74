//! A server that is started, broken and ended at will.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::last_lines;
use crate::error::ServerError;
use crate::lifeline::Lifeline;
use crate::paused::is_paused;
use crate::ready;
use crate::report::report;
use crate::wait::try_wait_until;

mod builder;

pub use builder::NatsServerBuilder;

/// The project's server configuration, `nats.conf`: what every server of this crate starts with unless told otherwise.
// Through a link in the crate's own folder, so that the published crate carries the file as well.
pub const NATS_CONF: &str = include_str!("../nats.conf");

/// How long a server may take to end after it was asked to; it is killed then.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long the operating system may take to kill or to pause a process.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);
/// How much of the log an error shows.
const LOG_LINES: usize = 20;

/// A `nats-server` process on a port of `127.0.0.1`, with a directory of its own.
///
/// Dropping it kills the server and removes its directory; if the thread is panicking, the directory is kept and its path
/// is printed, for the log in it. The server also ends when this process ends in any other way.
#[derive(Debug)]
pub struct NatsServer {
    // Fields are dropped in this order: the process ends before its directory goes.
    process: Option<Lifeline>,
    binary: PathBuf,
    store_dir: PathBuf,
    port: Option<u16>,
    start_deadline: Duration,
    directory: TempDir,
}

impl NatsServer {
    /// Starts a server with the project's `nats.conf` on a free port, with an empty store.
    ///
    /// # Errors
    ///
    /// When there is no server, or it does not start.
    pub async fn start() -> Result<Self, ServerError> {
        Self::builder().start().await
    }

    /// A server with other settings.
    pub fn builder() -> NatsServerBuilder {
        NatsServerBuilder::default()
    }

    /// The address for clients, `nats://127.0.0.1:<port>`. It stays the same over a restart.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// The port for clients. It stays the same over a restart.
    pub fn port(&self) -> u16 {
        // Only a server that has a port leaves the builder.
        self.port.unwrap_or_default()
    }

    /// The server's process id; `None` after [`kill`](Self::kill) or [`stop`](Self::stop).
    pub fn pid(&self) -> Option<u32> {
        let pid = self.process.as_ref()?.server()?;
        Some(pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// The directory with the streams.
    pub fn store_dir(&self) -> &Path {
        &self.store_dir
    }

    /// The file with everything that the server printed, restarts included.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("nats-server.log")
    }

    /// The last `lines` lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        match fs::read(self.log_path()) {
            Ok(log) => last_lines(&String::from_utf8_lossy(&log), lines).to_owned(),
            Err(error) => format!("({}: {error})", self.log_path().display()),
        }
    }

    /// How the server ended, if it did so by itself or by somebody else's hand.
    ///
    /// # Errors
    ///
    /// When the operating system does not tell.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>, ServerError> {
        match &mut self.process {
            Some(process) => process.try_exit().map_err(ServerError::io("cannot ask how nats-server ended")),
            None => Ok(None),
        }
    }

    /// Kills the server (`SIGKILL`): nothing is flushed, no client is told. It has ended when this returns; a server that
    /// has already ended is fine.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub async fn kill(&mut self) -> Result<(), ServerError> {
        self.end_by(&[Signal::KILL], SIGNAL_DEADLINE).await
    }

    /// Asks the server to shut down (`SIGTERM`) and waits until it has ended; kills it if that takes more than ten
    /// seconds. A paused server is resumed for that; a server that has already ended is fine.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub async fn stop(&mut self) -> Result<(), ServerError> {
        match self.end_by(&[Signal::TERM, Signal::CONT], STOP_DEADLINE).await {
            Err(ServerError::GoesOn(_)) => self.kill().await,
            ended => ended,
        }
    }

    /// Starts the server again on the same store and the same port; one that still runs is [stopped](Self::stop) first.
    ///
    /// # Errors
    ///
    /// When the server does not start, for example because another process has taken the port.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.stop().await?;
        self.launch().await
    }

    /// Freezes the server (`SIGSTOP`): connections stay open and nothing answers. It stands still when this returns.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotRunning`], or when the operating system refuses.
    pub async fn pause(&mut self) -> Result<(), ServerError> {
        let process = self.running()?;
        process.signal(Signal::STOP).map_err(ServerError::io("cannot pause nats-server"))?;
        let pid = process.server().ok_or(ServerError::NotRunning)?;
        Ok(try_wait_until("nats-server is paused", SIGNAL_DEADLINE, async || is_paused(pid)).await?)
    }

    /// Lets a [paused](Self::pause) server go on.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotRunning`], or when the operating system refuses.
    pub fn resume(&mut self) -> Result<(), ServerError> {
        self.running()?.signal(Signal::CONT).map_err(ServerError::io("cannot resume nats-server"))
    }

    fn running(&mut self) -> Result<&mut Lifeline, ServerError> {
        if self.try_exit()?.is_some() {
            return Err(ServerError::NotRunning);
        }
        self.process.as_mut().ok_or(ServerError::NotRunning)
    }

    async fn end_by(&mut self, signals: &[Signal], deadline: Duration) -> Result<(), ServerError> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        for signal in signals {
            process.signal(*signal).map_err(ServerError::io("cannot end nats-server"))?;
        }
        try_wait_until("nats-server has ended", deadline, async || process.try_exit().transpose())
            .await?
            .map_err(ServerError::io("cannot ask how nats-server ended"))?;
        self.process = None;
        Ok(())
    }

    /// Starts the process on the port it had, or on a free one, and waits until it serves.
    async fn launch(&mut self) -> Result<(), ServerError> {
        let directory = self.directory.path();
        ready::forget(directory, &self.pid_path())
            .map_err(ServerError::io("cannot remove what an earlier nats-server left"))?;
        let process = Lifeline::start(&self.command_line(), &self.log_path(), directory)
            .map_err(ServerError::io("cannot start the shell that starts nats-server"))?;
        self.process = Some(process);
        let port = self.until_ready().await;
        if port.is_err() {
            self.process = None;
        }
        self.port = Some(port?);
        Ok(())
    }

    fn command_line(&self) -> Vec<OsString> {
        let directory = self.directory.path();
        // -1 is the server's word for "any free port".
        let port = self.port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let options: [(&str, PathBuf); 6] = [
            ("-c", self.config_path()),
            ("-a", "127.0.0.1".into()),
            ("-p", port.into()),
            ("-sd", self.store_dir.clone()),
            ("-P", self.pid_path()),
            ("--ports_file_dir", directory.to_owned()),
        ];
        let options = options.into_iter().flat_map(|(option, value)| [option.into(), value.into_os_string()]);
        std::iter::once(self.binary.clone().into_os_string()).chain(options).collect()
    }

    /// Waits until the server greets clients; the result is its port.
    async fn until_ready(&mut self) -> Result<u16, ServerError> {
        let (directory, pid_path) = (self.directory.path().to_owned(), self.pid_path());
        let Some(process) = &mut self.process else {
            return Err(ServerError::NotRunning);
        };
        let look = async || {
            if let Some(ended) = process.try_exit().transpose() {
                return Some(Err(ended));
            }
            process.set_server(ready::pid(&pid_path)?);
            let port = ready::port(&directory)?;
            ready::greets(port).await.then_some(Ok(port))
        };
        match try_wait_until("nats-server takes connections", self.start_deadline, look).await {
            Ok(Ok(port)) => Ok(port),
            Ok(Err(Ok(status))) => Err(ServerError::Exited { status, log: self.log_tail(LOG_LINES) }),
            Ok(Err(Err(source))) => Err(ServerError::io("cannot ask how nats-server ended")(source)),
            Err(late) => {
                Err(ServerError::NotReady { deadline: late.deadline, log: self.log_tail(LOG_LINES) })
            }
        }
    }

    fn config_path(&self) -> PathBuf {
        self.directory.path().join("nats.conf")
    }

    fn pid_path(&self) -> PathBuf {
        self.directory.path().join("nats-server.pid")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            report(&format!("the log of nats-server is kept: {}", self.log_path().display()));
        }
    }
}
