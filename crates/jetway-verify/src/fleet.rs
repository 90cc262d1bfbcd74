//! A nats-server and the hosts that are to be broken.

mod host;

pub use host::{Mended, VerifyHost};

use crate::{Error, play::Execution, play::Journal};
use jetway::{Namespace, NatsConfig};
use jetway_server::NatsServer;
use std::{ffi::OsString, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// How long a message is held without a sign of life, in the verifier's hosts: short, so that a stopped host is taken
/// for lost soon.
pub const ACK_WAIT: Duration = Duration::from_secs(3);

/// When the verifier's hosts look after a run that is not written: long after every lease on its tickets has ended.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// How a host process is started: a program, and what comes before the verifier's own arguments.
#[derive(Debug, Clone)]
pub struct HostCommand {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
}

/// The settings of every connection to the verifier's server.
pub fn nats_config(url: &str, namespace: Namespace) -> NatsConfig {
    NatsConfig {
        ack_wait: ACK_WAIT,
        announce_every: Duration::from_secs(2),
        keep_finished: Duration::from_secs(3600),
        ..NatsConfig::new(url)
    }
    .in_namespace(namespace)
}

/// The hosts of one act, and the server of all.
#[derive(Debug)]
pub struct Fleet {
    /// The server.
    pub server: NatsServer,
    /// The hosts; each has a line to the server of its own.
    pub hosts: Vec<VerifyHost>,
    command: HostCommand,
    directory: TempDir,
    acts: usize,
}

impl Fleet {
    /// Starts a server, and no host yet.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start(command: HostCommand) -> Result<Self, Error> {
        let server = NatsServer::start().await?;
        let directory = tempfile::tempdir().map_err(Error::io("make a directory for the journals"))?;
        Ok(Self { server, hosts: Vec::new(), command, directory, acts: 0 })
    }

    /// Replaces the hosts by `count` new ones in another namespace.
    ///
    /// # Errors
    /// A host does not start.
    pub async fn begin(&mut self, namespace: &Namespace, count: usize) -> Result<(), Error> {
        self.acts += 1;
        self.hosts.clear();
        for index in 0..count {
            let journal = self.directory.path().join(format!("{}-{index}.journal", self.acts));
            let (url, command) = (self.server.url(), self.command.clone());
            self.hosts.push(VerifyHost::new(&url, namespace.clone(), command, journal).await?);
        }
        for host in &mut self.hosts {
            host.start()?;
        }
        for host in &mut self.hosts {
            host.until_it_serves().await?;
        }
        Ok(())
    }

    /// Lets everything work again: stopped processes go on, killed ones are started, lines are whole.
    ///
    /// # Errors
    /// A process does not start.
    pub async fn heal(&mut self) -> Result<(), Error> {
        match self.server.pid() {
            None => self.server.restart().await?,
            Some(_) => self.server.resume()?,
        }
        for host in &mut self.hosts {
            host.heal()?;
        }
        Ok(())
    }

    /// What the nodes have executed in this act, in the order of time.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn executions(&self) -> Result<Vec<Execution>, Error> {
        let mut executions = Vec::new();
        for host in &self.hosts {
            executions.extend(Journal::read(host.journal()).map_err(Error::io("read a journal"))?);
        }
        executions.sort_by_key(|execution| execution.at);
        Ok(executions)
    }
}
