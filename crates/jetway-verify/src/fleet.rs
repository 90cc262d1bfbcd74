//! A nats-server and the hosts that get the faults.

mod host;

pub use host::{ItemWithoutTicket, VerifyHost};

use crate::{Error, interpreter::Execution, interpreter::Journal};
use jetway::{Namespace, NatsConfig};
use jetway_server::NatsServer;
use jetway_testing::FakeTime;
use std::{ffi::OsString, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// The lease of a message in the verifier's hosts: short, so that the work of a lost host is soon delivered again.
pub const ACK_WAIT: Duration = Duration::from_secs(3);

/// After this time without a commit, a sweep of the verifier's hosts looks at a run. Every lease on its tickets has
/// ended long before.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// How wrong the clocks of hosts are in a phase with wrong clocks, in seconds. A host beyond the last one has the first again.
const SKEWS: [f64; 5] = [3600.0, -3600.0, 0.05, -60.0, 90.0];

/// The command that starts a host process. The verifier appends its own arguments.
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

/// The hosts of one phase, and the server of all phases.
#[derive(Debug)]
pub struct Fleet {
    /// The server.
    pub server: NatsServer,
    /// The hosts. Each has its own connection to the server.
    pub hosts: Vec<VerifyHost>,
    command: HostCommand,
    directory: TempDir,
    phases: usize,
}

impl Fleet {
    /// Starts a server, and no host.
    ///
    /// # Errors
    /// The server does not start.
    pub async fn start(command: HostCommand) -> Result<Self, Error> {
        let server = NatsServer::start().await?;
        let directory = tempfile::tempdir().map_err(Error::io("make a directory for the journals"))?;
        Ok(Self { server, hosts: Vec::new(), command, directory, phases: 0 })
    }

    /// Replaces the hosts by `count` new ones in another namespace. With `faketime`, their machines have wrong clocks.
    ///
    /// # Errors
    /// A host does not start.
    pub async fn begin(
        &mut self,
        namespace: &Namespace,
        count: usize,
        faketime: Option<&FakeTime>,
    ) -> Result<(), Error> {
        self.phases += 1;
        self.hosts.clear();
        for index in 0..count {
            let journal = self.directory.path().join(format!("{}-{index}.journal", self.phases));
            let (url, command) = (self.server.url(), self.command.clone());
            let skew = SKEWS[index % SKEWS.len()];
            let environment = faketime.map_or_else(Vec::new, |library| library.environment(skew).into());
            self.hosts.push(VerifyHost::new(&url, namespace.clone(), command, environment, journal).await?);
        }
        for host in &mut self.hosts {
            host.start()?;
        }
        for host in &mut self.hosts {
            host.wait_until_serving().await?;
        }
        Ok(())
    }

    /// Ends all faults: resumes paused processes, starts killed ones, and releases the connections.
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

    /// The executions of nodes in this phase, in the order of time.
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
