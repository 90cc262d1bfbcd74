//! Programs that are built with Go, where a test needs them.

use anyhow::{Result, ensure};
use jetway_testing::GoTool;
use std::{env, path::PathBuf};

/// The program. `None`, and a word about it, where it is not built. CI has it.
///
/// # Errors
/// It is not there in CI.
pub(crate) fn go_tool(tool: GoTool) -> Result<Option<PathBuf>> {
    let found = tool.find();
    if found.is_none() {
        ensure!(env::var_os("CI").is_none(), "no {}: {}", tool.name(), tool.hint());
        skipped(tool);
    }
    Ok(found)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped(tool: GoTool) {
    eprintln!("SKIPPED: no {}: {}", tool.name(), tool.hint());
}
