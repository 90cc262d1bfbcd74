//! The configuration in `deploy/`.

use crate::support::jetway;
use anyhow::{Context, Result};
use std::{env, fs, path::Path};

const FILE: &str = "nats/permissions.conf";

/// The command that the file names in its first lines.
const ARGUMENTS: [&str; 5] = ["permissions", "starter", "worker", "operator", "--server-env"];

#[tokio::test]
async fn p13_the_deployment_has_what_the_command_prints() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(FILE);
    let output = jetway(&ARGUMENTS).output().await?;
    let header = format!(
        "# Who may do what. Made by: jetway {}\n# A test compares this file with the command; to write it again, see \
         tests/README.md.\n",
        ARGUMENTS.join(" ")
    );
    let printed = header + &String::from_utf8(output.stdout)?;
    if env::var_os("JETWAY_UPDATE_DOCS").is_some() {
        fs::write(&path, &printed)?;
    }
    let file = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert_eq!(file, printed, "deploy/{FILE} is not what the command prints");
    Ok(())
}

#[test]
fn p13_the_deployment_includes_it_and_logs_in() -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let server = fs::read_to_string(deploy.join("nats/nats.conf"))?;
    assert!(server.contains("include \"permissions.conf\""));
    let compose = fs::read_to_string(deploy.join("compose.yaml"))?;
    for role in ["STARTER", "WORKER", "OPERATOR"] {
        assert!(
            compose.contains(&format!("JETWAY_{role}_PASSWORD: ")),
            "the server does not get that of {role}"
        );
    }
    assert!(compose.contains("./nats/permissions.conf:/etc/nats/permissions.conf:ro"));
    Ok(())
}
