//! libfaketime, where a test needs it.

use anyhow::{Context, Result, ensure};
use jetway_testing::FakeTime;
use std::env;
use tokio::process::Command;

/// The library. `None`, and a word about it, where it is not installed. CI has it.
///
/// # Errors
/// It is not there in CI, or it does not change the clock of a process: every test would pass.
pub(crate) async fn faketime() -> Result<Option<FakeTime>> {
    let Some(library) = FakeTime::find() else {
        ensure!(env::var_os("CI").is_none(), "no libfaketime: {}", FakeTime::HINT);
        skipped();
        return Ok(None);
    };
    let (right, wrong) = (seconds(&[]).await?, seconds(&library.environment(-3600.0)).await?);
    ensure!(
        (3500..=3601).contains(&(right - wrong)),
        "{} does not set a clock back by an hour: {right} and {wrong}",
        library.library().display()
    );
    Ok(Some(library))
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped() {
    eprintln!("SKIPPED: no libfaketime: {}", FakeTime::HINT);
}

async fn seconds(environment: &[(&str, String)]) -> Result<i64> {
    let date = Command::new("date").arg("+%s").envs(environment.iter().cloned()).output().await?;
    let text = String::from_utf8(date.stdout)?;
    text.trim().parse().with_context(|| format!("date said {text:?}"))
}
