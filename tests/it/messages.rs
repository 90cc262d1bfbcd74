//! What the command says: errors, hints and exit codes.

use crate::support::{HostProcess, jetway};
use anyhow::{Result, ensure};
use jetway_testing::{shared_server, unique_namespace};
use serde_json::Value;
use std::process::Output;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
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
