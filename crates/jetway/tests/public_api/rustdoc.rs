//! The documentation of `jetway`, and of the crates that it re-exports, as JSON.
//!
//! rustdoc writes JSON only with unstable options. `RUSTC_BOOTSTRAP=1` allows them on a stable toolchain. It is set for
//! rustdoc alone, because build scripts that see it enable unstable features and build everything again.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeMap, env, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// `jetway` and the crates of the workspace that it re-exports.
const CRATES: [&str; 7] = [
    "jetway",
    "jetway-actors",
    "jetway-core",
    "jetway-engine",
    "jetway-macros",
    "jetway-nats",
    "jetway-state",
];

const FLAGS: &str = "-Z unstable-options --output-format json --document-hidden-items";

const WRAPPER: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";

/// The documentation of each crate, by the name of the crate in paths.
pub(crate) fn document() -> Result<BTreeMap<String, Value>> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let wrapper = directory.join("rustdoc-with-unstable-options");
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;

    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["doc", "--quiet", "--lib", "--no-deps"])
        .env("RUSTDOC", &wrapper)
        .env("RUSTDOCFLAGS", FLAGS);
    command.args(CRATES.iter().flat_map(|name| ["--package", name]));
    // Cargo describes this package to its tests. Build scripts that read these variables would run again.
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        command.env_remove(name);
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo doc failed: {}", String::from_utf8_lossy(&output.stderr));

    let documentation = directory.parent().context("the target directory")?.join("doc");
    let read = |name: &str| -> Result<(String, Value)> {
        let name = name.replace('-', "_");
        let path = documentation.join(&name).with_extension("json");
        let text = fs::read(&path).with_context(|| format!("rustdoc has not written {}", path.display()))?;
        Ok((name, serde_json::from_slice(&text)?))
    };
    CRATES.iter().map(|name| read(name)).collect()
}
