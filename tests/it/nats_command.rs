//! What the README shows with the command `nats`, typed as it stands there.

use crate::support::{DEADLINE, HostProcess, go_tool};
use anyhow::{Context, Result, ensure};
use jetway_testing::{GoTool, NatsServer, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// A shell with the command and a server, and a host in the namespace `default`.
struct Shell {
    server: NatsServer,
    _host: HostProcess,
    path: String,
    home: TempDir,
}

impl Shell {
    async fn new(nats: &Path) -> Result<Self> {
        let server = NatsServer::start().await?;
        let host = HostProcess::start(&server.url(), "default", &[]).await?;
        let directory = nats.parent().context("it lies in a directory")?;
        let path = format!("{}:{}", directory.display(), std::env::var("PATH")?);
        Ok(Self { server, _host: host, path, home: TempDir::new()? })
    }

    async fn run(&self, line: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).env("PATH", &self.path).env("NATS_URL", self.server.url());
        // Without the contexts of whoever runs the test.
        shell.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path()).kill_on_drop(true);
        let ended = tokio::time::timeout(DEADLINE, shell.output()).await??;
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        ensure!(ended.status.success(), "{line}: {said}");
        Ok(said)
    }
}

/// The lines of the README that begin with `nats`.
fn shown() -> Result<Vec<String>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    Ok(readme.lines().filter(|line| line.starts_with("nats ")).map(str::to_owned).collect())
}

fn nats() -> Result<Option<PathBuf>> {
    go_tool(GoTool::Nats)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_what_nats_does() -> Result<()> {
    let Some(nats) = nats()? else { return Ok(()) };
    let (shell, lines) = (Shell::new(&nats).await?, shown()?);
    let request = lines.iter().find(|line| line.starts_with("nats req ")).context("no request is shown")?;
    let publish = lines.iter().find(|line| line.starts_with("nats pub ")).context("no start is shown")?;
    ensure!(lines.len() == 2, "{lines:?}");
    let answer = shell.run(request).await?;
    let json = answer.lines().find(|line| line.starts_with('{')).with_context(|| answer.clone())?;
    let result: Value = serde_json::from_str(json)?;
    assert_eq!(
        (result["status"].as_str(), result["output"].as_i64()),
        (Some("completed"), Some(10)),
        "{answer}"
    );
    shell.run(publish).await?;
    wait_until("the published run has a result", DEADLINE, async || {
        shell.run("nats stream get JETWAY_default_DONE -S jetway.default.done.chain.second").await.ok()
    })
    .await;
    let services = shell.run("nats micro ls").await?;
    assert!(services.contains("jetway"), "{services}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f11_nats_may_write_headers_in_any_case() -> Result<()> {
    let Some(nats) = nats()? else { return Ok(()) };
    let shell = Shell::new(&nats).await?;
    let line = "nats req jetway.default.api.start.chain 0 -H jetway-wait:30s -H JETWAY-RUN-ID:upper";
    let answer = shell.run(line).await?;
    assert!(answer.contains("\"run_id\":\"upper\"") && answer.contains("\"output\":10"), "{answer}");
    Ok(())
}
