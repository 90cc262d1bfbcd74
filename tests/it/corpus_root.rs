//! The workflow `corpus` reads files only below the directory that the operator of a host names.

use crate::support::{HostProcess, jetway, jetway_json};
use anyhow::Result;
use jetway_testing::{shared_server, unique_namespace};
use std::{fs, os::unix::fs::symlink, process::Stdio};
use tempfile::TempDir;

#[tokio::test]
async fn h9_corpus_reads_nothing_outside_of_its_root() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("root"));
    let directory = TempDir::new()?;
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    fs::create_dir_all(inside.join("sub"))?;
    fs::create_dir_all(&outside)?;
    fs::write(inside.join("sub/text"), "one two\n")?;
    fs::write(outside.join("secret"), "confidential\n")?;
    symlink(&outside, inside.join("link"))?;
    symlink(outside.join("secret"), inside.join("sub/secret"))?;
    let _host = HostProcess::reading(&inside, &url, &ns, &[]).await?;
    let start = async |path: &str| {
        let input = serde_json::json!({ "path": path }).to_string();
        let arguments = ["start", "corpus", "--input", &input, "--wait", "--nats", &url, "--namespace", &ns];
        let ended = jetway(&arguments).output().await?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        anyhow::Ok((ended.status.code(), said))
    };
    for path in [inside.display().to_string(), inside.join("sub").display().to_string(), "sub".to_owned()] {
        let (code, said) = start(&path).await?;
        assert_eq!(code, Some(0), "{path}: {said}");
        assert!(said.contains("\"words\":2") && !said.contains("confidential"), "{path}: {said}");
    }
    for path in [outside.display().to_string(), "../out".to_owned(), "/".to_owned(), "link".to_owned()] {
        let (code, said) = start(&path).await?;
        assert_eq!(code, Some(3), "{path}: {said}");
        assert!(said.contains("cannot scan") && !said.contains("confidential"), "{path}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn h9_corpus_is_off_unless_a_root_is_named() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("off"));
    let mut command = jetway(&["host", "--nats", &url, "--namespace", &ns]);
    let _host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    jetway_testing::wait_until("the host answers", crate::support::DEADLINE, async || {
        jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--wait"]).await.is_ok()
    })
    .await;
    let input = r#"{"path": "/etc"}"#;
    let ended =
        jetway(&["start", "corpus", "--input", input, "--nats", &url, "--namespace", &ns]).output().await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("the served workflows are chain"), "{said}");
    Ok(())
}
