//! The main job, by one command.

use crate::support::{
    corpus::{Counts, directory},
    jetway,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

#[tokio::test]
async fn the_demo_counts_what_wc_counts() -> Result<()> {
    let (_kept, root) = directory(400)?;
    let path = root.to_str().context("the path is text")?;
    let ended = jetway(&["demo", path, "--top", "3", "--json"]).output().await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{stdout}\n{stderr}");
    let report: Value = serde_json::from_str(&stdout).with_context(|| stdout.to_string())?;
    assert_eq!(Counts::of_report(&report)?, Counts::by_wc(&root)?);
    assert_eq!(report["top_terms"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["top_terms"][0]["term"], "common");
    assert_eq!(report["files_skipped"], 1);
    Ok(())
}

#[tokio::test]
async fn the_demo_prints_tables_for_people() -> Result<()> {
    let (_kept, root) = directory(20)?;
    let ended = jetway(&["demo", root.to_str().context("the path is text")?]).output().await?;
    let stdout = String::from_utf8_lossy(&ended.stdout);
    ensure!(ended.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(stdout.contains("common") && stdout.contains("lines"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "colour on a pipe: {stdout:?}");
    Ok(())
}

#[tokio::test]
async fn a_path_that_is_no_directory_is_said_so() -> Result<()> {
    let ended = jetway(&["demo", "/no/such/directory"]).output().await?;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    assert!(stderr.contains("/no/such/directory"), "{stderr}");
    Ok(())
}
