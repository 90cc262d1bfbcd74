//! A host that is a process of its own, for tests that look at its memory or end it.

use anyhow::{Context, Result};
use std::{
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
};

/// A `resource-host`. Killed when it is dropped.
pub(crate) struct HostProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    serving: watch::Receiver<bool>,
    /// The host ends when this is closed.
    _stdin: ChildStdin,
}

impl HostProcess {
    /// Starts a host and waits until it serves.
    pub(crate) async fn start(url: &str, ns: &str) -> Result<Self> {
        let mut host = Self::spawn(url, ns)?;
        let serves = host.serving.wait_for(|serving| *serving).await.is_ok();
        anyhow::ensure!(serves, "the host ended before it was ready: {:#?}", host.lines.lock());
        Ok(host)
    }

    /// Starts a host with 8 GiB of address space at most, so that a node that asks for more ends it.
    pub(crate) fn spawn(url: &str, ns: &str) -> Result<Self> {
        let limited = "ulimit -v 8388608 2>/dev/null; exec \"$0\" \"$@\"";
        let mut child = Command::new("sh")
            .args(["-c", limited, env!("CARGO_BIN_EXE_resource-host"), url, ns])
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("its talk is piped")?;
        let stdin = child.stdin.take().context("its input is piped")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (ready, serving) = watch::channel(false);
        let heard = Arc::clone(&lines);
        // Ends with the process, when its end of the pipe is closed.
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = stderr.next_line().await {
                if line.contains(" serving ") {
                    ready.send_replace(true);
                }
                heard.lock().expect("nobody panics with it").push(line);
            }
        });
        Ok(Self { child, lines, serving, _stdin: stdin })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How many lines of its log hold these words.
    pub(crate) fn said(&self, words: &str) -> usize {
        let lines = self.lines.lock().expect("nobody panics with it");
        lines.iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }
}
