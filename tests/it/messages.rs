//! What the command says: errors, hints and exit codes.

use crate::support::{DEADLINE, HostProcess, binary, jetway, jetway_json};
use anyhow::{Context, Result, ensure};
use jetway_testing::{shared_server, unique_namespace};
use serde_json::Value;
use std::{
    fs,
    process::{Output, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

/// Output without a character that controls the terminal.
fn plain(output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    ensure!(!text.contains(controls), "{text:?}");
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_the_error_of_a_run_controls_no_terminal() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("escapes"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let input = r#"{"path":"\u001b[31mX\u0007\u202e\u009b2J"}"#;
    let server = ["--nats", url.as_str(), "--namespace", ns.as_str()];
    for verb in
        [&["start", "corpus", "--input", input, "--id", "r", "--wait"][..], &["result", "corpus", "r"]]
    {
        let output = jetway(verb).args(server).output().await?;
        let text = plain(&output)?;
        ensure!(output.status.code() == Some(3), "{verb:?}: {text}");
        ensure!(text.contains(r"\u{1b}[31mX\u{7}\u{202e}\u{9b}2J"), "{verb:?}: {text}");
        let output = jetway(verb).args(server).arg("--json").output().await?;
        let text = plain(&output)?;
        for line in text.lines() {
            let said: Value = serde_json::from_str(line)?;
            let message = said["error"]["message"].as_str();
            ensure!(message.is_none_or(|message| message.contains('\u{202e}')), "{verb:?}: {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn u1_a_server_controls_no_terminal() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("nats://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let greeting = "INFO {\"server_id\":\"\u{202e}\",\"version\":\"2.12\",\"max_payload\":9}\r\n";
            stream.write_all(format!("{greeting}-ERR '\u{1b}[31mno\u{7}'\r\n").as_bytes()).await?;
            let mut talk = [0; 1024];
            while stream.read(&mut talk).await? > 0 {}
        }
        anyhow::Ok(())
    });
    let output = jetway(&["runs", "--nats", &url]).output().await?;
    server.abort();
    let text = plain(&output)?;
    ensure!(output.status.code() == Some(1) && text.contains("error:"), "{text}");
    Ok(())
}

#[tokio::test]
async fn small_invalid_values_end_with_one_code() -> Result<()> {
    let (url, directory) = (shared_server().await.url(), tempfile::tempdir()?);
    let wrong = directory.path().join("wrong");
    fs::write(&wrong, "hunter2")?;
    let wrong = wrong.display().to_string();
    for (arguments, sentence) in [
        (&["start", "no pe"][..], "invalid workflow name"),
        (&["dot", "no pe"], "invalid workflow name"),
        (&["status", "no pe", "r"], "invalid workflow name"),
        (&["runs", "--after", "junk"], "no cursor"),
        (&["runs", "--js-api-prefix", "a b"], "API prefix"),
        (&["runs", "--js-domain", "a b"], "domain"),
        (&["runs", "--inbox-prefix", "_INBOX.>"], "inbox_prefix"),
        (&["runs", "--nkey", "/no/such"], "cannot read the nkey file /no/such"),
        (&["runs", "--nkey", &wrong], "does not hold the seed"),
        (&["runs", "--creds", "/no/such"], "cannot read the credentials file /no/such"),
        (&["runs", "--creds", &wrong], "does not hold a user JWT"),
        (&["runs", "--tlsca", &wrong], "there is no certificate in it"),
        (&["host", "--tlscert", &wrong, "--tlskey", &wrong], "there is no certificate in it"),
        (&["host", "--concurrency", "0"], "from 1 to"),
        (&["dev", "--concurrency", "0"], "from 1 to"),
        (&["host", "--corpus-root", "/no/such"], "cannot read the directory /no/such"),
        (&["permissions", "worker", "--users", "/no/such"], "cannot read the users in /no/such"),
        (&["runs", "--namespace", ""], "invalid namespace"),
    ] {
        let connects = !["dev", "permissions"].contains(&arguments[0]);
        let server = ["--nats", url.as_str()];
        let output = jetway(arguments).args(server.iter().filter(|_| connects)).output().await?;
        let text = plain(&output)?;
        ensure!(output.status.code() == Some(2), "{arguments:?}: {:?}: {text}", output.status);
        ensure!(text.contains(sentence), "{arguments:?}: {text}");
        ensure!(text.matches(sentence).count() == 1, "said twice: {arguments:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn small_an_empty_variable_counts_as_unset() -> Result<()> {
    let url = shared_server().await.url();
    let mut command = jetway(&["runs", "--nats", &url]);
    let output = command.env("JETWAY_NAMESPACE", "").env("JETWAY_CORPUS_ROOT", "").output().await?;
    let text = plain(&output)?;
    ensure!(output.status.code() != Some(2), "{text}");
    let output = jetway(&["runs", "--nats", &url]).env("JETWAY_NAMESPACE", "a b").output().await?;
    let text = plain(&output)?;
    ensure!(output.status.code() == Some(2) && text.contains("it comes from JETWAY_NAMESPACE"), "{text}");
    Ok(())
}

#[tokio::test]
async fn small_a_hint_can_be_pasted() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("paste"));
    // No host: the run does not begin.
    jetway_json(&url, &ns, &["setup"]).await?;
    let list = format!("{url}, {url}");
    let flags =
        ["--nats", &list, "--namespace", &ns, "--inbox-prefix", "_INBOX_a", "--js-api-prefix", "$JS.API"];
    let mut command = jetway(&["start", "chain", "--id", "late", "--input", "0", "--wait", "1s"]);
    let output = command.args(flags).env("JETWAY_NAMESPACE", "other").output().await?;
    let text = plain(&output)?;
    let hint = text.lines().find_map(|line| Some(line.split_once("Wait for its end with: ")?.1));
    let hint = hint.with_context(|| text.clone())?;
    let expected =
        format!("--nats {url},{url} --js-api-prefix '$JS.API' --inbox-prefix _INBOX_a --namespace {ns} ");
    ensure!(hint.contains(&expected), "{hint}");
    // A shell reads it as it is meant.
    let pasted =
        hint.replacen("jetway", &binary().display().to_string(), 1).replace("--wait 5m", "--wait 1s");
    let output =
        Command::new("sh").args(["-c", &pasted]).env("XDG_CONFIG_HOME", "/nonexistent").output().await?;
    ensure!(output.status.code() == Some(5), "{pasted}: {output:?}");
    Ok(())
}

#[tokio::test]
async fn u13_what_dev_prints_goes_to_its_server() -> Result<()> {
    let home = tempfile::tempdir()?;
    let context = home.path().join("nats/context");
    fs::create_dir_all(&context)?;
    fs::write(context.join("prod.json"), r#"{"url":"nats://127.0.0.1:9"}"#)?;
    fs::write(home.path().join("nats/context.txt"), "prod")?;
    let selected = home.path().display().to_string();
    for (variable, value) in [("XDG_CONFIG_HOME", selected.as_str()), ("NATS_URL", "nats://127.0.0.1:9")] {
        let mut command = jetway(&["dev"]);
        let mut dev = command.env(variable, value).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(dev.stdout.take().context("it is piped")?).lines();
        let mut tried = String::new();
        while let Some(line) = tokio::time::timeout(DEADLINE, lines.next_line()).await?? {
            tried.push_str(&line);
            tried.push('\n');
            if line.contains("Press Ctrl-C") {
                break;
            }
        }
        let hint =
            tried.lines().find(|line| line.contains("jetway start chain")).with_context(|| tried.clone())?;
        let hint = hint.trim().replacen("jetway", &binary().display().to_string(), 1);
        let output = Command::new("sh").args(["-c", &hint]).env(variable, value).output().await?;
        ensure!(output.stdout == b"10\n", "{variable}: {hint}: {output:?}");
        dev.kill().await?;
    }
    Ok(())
}
