//! The settings of a server that is to be started.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{NATS_CONF, NatsServer};
use crate::error::ServerError;
use crate::find::{Finder, ServerBinary};

type Progress = Box<dyn FnMut(&str) + Send>;

/// How long a server may take to start by default: an empty one needs milliseconds, one with a large store seconds.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Settings for a [`NatsServer`].
///
/// ```no_run
/// # async fn example() -> Result<(), jetway_server::ServerError> {
/// let server = jetway_server::NatsServer::builder()
///     .extra_config("authorization { token: secret }")
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct NatsServerBuilder {
    binary: Option<PathBuf>,
    config: Option<String>,
    extra_config: String,
    store_dir: Option<PathBuf>,
    port: Option<u16>,
    start_deadline: Option<Duration>,
    progress: Option<Progress>,
}

impl NatsServerBuilder {
    /// Runs this program instead of the one that is found (or installed) by the rules of [`Finder`].
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// The whole text of the configuration, instead of [`NATS_CONF`].
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// More configuration, appended to the text. Host, port and store directory are always given on the command line.
    pub fn extra_config(mut self, text: &str) -> Self {
        self.extra_config.push('\n');
        self.extra_config.push_str(text);
        self
    }

    /// Keeps the streams in this directory, which is never removed; by default they are in the server's own directory.
    pub fn store_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store_dir = Some(directory.into());
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How long the server may take until it serves, at each start; 30 seconds by default.
    pub fn start_deadline(mut self, deadline: Duration) -> Self {
        self.start_deadline = Some(deadline);
        self
    }

    /// Gets a sentence for everything that a person should know while a server is looked for and installed. A server that
    /// this process has found before is taken without a word.
    pub fn progress(mut self, progress: impl FnMut(&str) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// When there is no server, when its directory cannot be made, or when it does not start.
    pub async fn start(self) -> Result<NatsServer, ServerError> {
        let binary = match self.binary {
            Some(path) => path,
            None => found_server(self.progress).await?.path.clone(),
        };
        let directory = tempfile::Builder::new()
            .prefix("jetway-nats-")
            .tempdir()
            .map_err(ServerError::io("cannot make a directory for nats-server"))?;
        let mut server = NatsServer {
            process: None,
            binary,
            store_dir: self.store_dir.unwrap_or_else(|| directory.path().join("store")),
            port: self.port,
            start_deadline: self.start_deadline.unwrap_or(START_DEADLINE),
            directory,
        };
        let config = self.config.unwrap_or_else(|| NATS_CONF.to_owned()) + &self.extra_config;
        fs::write(server.config_path(), config)
            .map_err(ServerError::io("cannot write the configuration of nats-server"))?;
        server.launch().await?;
        Ok(server)
    }
}

impl fmt::Debug for NatsServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsServerBuilder")
            .field("binary", &self.binary)
            .field("store_dir", &self.store_dir)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The server for this process: looked for, and installed if need be, once.
async fn found_server(progress: Option<Progress>) -> Result<&'static ServerBinary, ServerError> {
    static FOUND: OnceCell<ServerBinary> = OnceCell::const_new();
    let find = || async {
        let mut progress = progress.unwrap_or_else(|| Box::new(|_| {}));
        tokio::task::spawn_blocking(move || Finder::from_env()?.find_or_install(&mut progress))
            .await
            .map_err(|stopped| {
                ServerError::io("looking for a nats-server was broken off")(io::Error::other(stopped))
            })?
    };
    FOUND.get_or_try_init(find).await
}
