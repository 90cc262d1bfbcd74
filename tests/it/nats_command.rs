//! What the README shows with the command `nats`, typed as it stands there.

use crate::support::{DEADLINE, HostProcess, go_tool, jetway_json};
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

/// The checks of `jetway doctor` with this name.
async fn findings(shell: &Shell, name: &str) -> Result<Vec<String>> {
    let report = jetway_json(&shell.server.url(), "default", &["doctor"]).await?;
    let checks = report["checks"].as_array().context("no checks")?;
    let named = checks.iter().filter(|check| check["name"] == name);
    Ok(named.map(|check| check["details"].as_str().unwrap_or_default().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_doctor_names_a_paused_consumer() -> Result<()> {
    let Some(nats) = nats()? else { return Ok(()) };
    let shell = Shell::new(&nats).await?;
    assert_eq!(findings(&shell, "paused").await?, [""; 0]);
    shell.run("nats consumer pause -f JETWAY_default_WORK work_chain 10m").await?;
    shell.run("nats consumer pause -f JETWAY_default_START start_chain 10m").await?;
    let [start, work] = &findings(&shell, "paused").await?[..] else { anyhow::bail!("not two warnings") };
    assert!(start.contains("the start messages of workflow chain"), "{start}");
    assert!(work.contains("the tickets of workflow chain") && work.contains("stand still"), "{work}");
    for warning in [start, work] {
        shell.run(warning.split('`').nth(1).context("no command")?).await?;
    }
    assert_eq!(findings(&shell, "paused").await?, [""; 0]);
    let url = shell.server.url();
    let done = jetway_json(&url, "default", &["start", "chain", "--input", "0", "--wait"]).await?;
    assert_eq!(done["output"], 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_doctor_counts_what_no_host_serves() -> Result<()> {
    let Some(nats) = nats()? else { return Ok(()) };
    let shell = Shell::new(&nats).await?;
    shell.run("nats pub -J jetway.default.start.typo 1").await?;
    shell.run("nats pub -J jetway.default.work.typo.one.r.start.00000000 x").await?;
    let found = findings(&shell, "not served").await?;
    let expected = "no running host serves workflow typo: 1 start message waits and 1 ticket waits;";
    ensure!(matches!(&found[..], [one] if one.starts_with(expected)), "{found:?}");
    Ok(())
}

/// The commands that docs/limits.md shows, which read a dead letter and put it back.
#[tokio::test(flavor = "multi_thread")]
async fn a8_a_dead_letter_is_read_and_put_back() -> Result<()> {
    let Some(nats) = nats()? else { return Ok(()) };
    let shell = Shell::new(&nats).await?;
    assert_eq!(findings(&shell, "dead letters").await?, ["none"]);
    shell.run("nats pub -J jetway.default.start.chain '\"no number\"'").await?;
    let counted = "1 (1 chain.bad-input): read them with `nats stream view JETWAY_default_DEAD`";
    wait_until("doctor counts it", DEADLINE, async || {
        findings(&shell, "dead letters").await.is_ok_and(|found| found == [counted])
    })
    .await;
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/jetway/docs/limits.md");
    let guide = std::fs::read_to_string(guide)?;
    let shown: Vec<_> = guide.lines().filter(|line| line.starts_with("nats stream ")).collect();
    let [subjects, _in_a_terminal, get, put_back, remove] = shown[..] else { anyhow::bail!("{shown:?}") };
    assert!(shell.run(subjects).await?.contains("jetway.default.dead.chain.bad-input"));
    assert!(shell.run(get).await?.contains("Jetway-Reason: "));
    shell.run(&put_back.replace(" | nats pub", " | sed 's/.*/3/' | nats pub")).await?;
    shell.run(remove).await?;
    assert_eq!(findings(&shell, "dead letters").await?, ["none"]);
    let url = shell.server.url();
    wait_until("the start is a run that has ended", DEADLINE, async || {
        let result = jetway_json(&url, "default", &["result", "chain", "order-1"]).await;
        result.is_ok_and(|result| result["output"] == 13)
    })
    .await;
    Ok(())
}
