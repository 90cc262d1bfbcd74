//! The `jetway` command as a user has it: a process.

use super::DEADLINE;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The built binary.
pub(crate) fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("jetway-cli", "jetway", &[]))
}

/// Builds a binary where it is not built yet: a test of another package cannot ask cargo for it.
pub(crate) fn built(package: &str, bin: &str, features: &[&str]) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build.args(["build", "--quiet", "--package", package, "--bin", bin, "--features", &features.join(",")]);
    // Cargo tells a test about its package. Build scripts that look at that would run again, and with them all the rest.
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        build.env_remove(name);
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.expect("cargo runs").success(), "{bin} of {package} does not build");
    let test = env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/it-HASH
    test.parent().and_then(|deps| deps.parent()).expect("it lies in target").join(bin)
}

/// The command with nothing of the caller's environment that it would listen to.
pub(crate) fn jetway(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for name in ["JETWAY_NAMESPACE", "JETWAY_REPLICAS", "OTEL_EXPORTER_OTLP_ENDPOINT", "RUST_LOG"] {
        command.env_remove(name);
    }
    let of_nats = |name: &str| name.starts_with("NATS_") && name != "NATS_SERVER_BIN";
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_nats)) {
        command.env_remove(name);
    }
    // No context of the `nats` command is selected there.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a verb with `--json` against a server and reads what it prints.
pub(crate) async fn jetway_json(url: &str, namespace: &str, arguments: &[&str]) -> Result<Value> {
    let Output { status, stdout, stderr } =
        jetway(arguments).args(["--json", "--nats", url, "--namespace", namespace]).output().await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    ensure!(status.success(), "jetway {arguments:?} ended with {status}:\n{stdout}\n{stderr}");
    serde_json::from_str(&stdout).with_context(|| format!("jetway {arguments:?} printed no JSON: {stdout}"))
}

/// A `jetway dev` that is ready, and what it says of itself.
pub(crate) async fn dev(arguments: &[&str]) -> Result<(Child, Value)> {
    let mut command = jetway(&["dev", "--json"]);
    let mut dev = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(dev.stdout.take().context("its output is piped")?).lines();
    let mut said = String::new();
    while !said.ends_with("}\n") {
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await??;
        said.push_str(&line.with_context(|| format!("dev ended: {said}"))?);
        said.push('\n');
    }
    let facts = serde_json::from_str(&said).with_context(|| said.clone())?;
    Ok((dev, facts))
}

/// A `jetway host` that is at work. Killed with `-9` when it is dropped.
pub(crate) struct HostProcess {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl HostProcess {
    /// Starts a host and waits until it says that it serves its workflows: also `corpus`, for temporary files.
    pub(crate) async fn start(url: &str, namespace: &str, environment: &[(&str, &str)]) -> Result<Self> {
        Self::reading(&env::temp_dir(), url, namespace, environment).await
    }

    /// The same, without the workflow `corpus`.
    pub(crate) async fn without_corpus(url: &str, namespace: &str) -> Result<Self> {
        Self::spawn(jetway(&["host", "--nats", url, "--namespace", namespace])).await
    }

    /// The same, and with so many slots for each workflow.
    pub(crate) async fn with_slots(url: &str, namespace: &str, slots: u32) -> Result<Self> {
        let slots = slots.to_string();
        Self::spawn(jetway(&["host", "--nats", url, "--namespace", namespace, "--concurrency", &slots])).await
    }

    /// The same, with another directory for `corpus`.
    pub(crate) async fn reading(
        root: &Path,
        url: &str,
        namespace: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = jetway(&["host", "--nats", url, "--namespace", namespace]);
        command.arg("--corpus-root").arg(root);
        command.envs(environment.iter().copied());
        Self::spawn(command).await
    }

    /// The same for a host that is no `jetway host`; a program that reads `NATS_URL` and `JETWAY_NAMESPACE`.
    pub(crate) async fn of(
        program: &Path,
        url: &str,
        namespace: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.env_remove("RUST_LOG").env("NATS_URL", url).env("JETWAY_NAMESPACE", namespace);
        command.envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("its talk is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await? {
            let ready = line.contains(" serving ");
            said.push(line);
            if ready {
                let said = Arc::new(Mutex::new(said));
                let kept = Arc::clone(&said);
                // Goes on reading, or the host would stop at a full pipe.
                tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    }
                });
                return Ok(Self { child, said });
            }
        }
        anyhow::bail!("the host ended before it was ready:\n{}", said.join("\n"))
    }

    /// The lines of its log so far that contain this text.
    pub(crate) fn log_lines(&self, text: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) async fn wait(mut self) -> Result<std::process::ExitStatus> {
        Ok(self.child.wait().await?)
    }
}
