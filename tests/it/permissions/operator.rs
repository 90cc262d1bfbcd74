//! An operator: every verb of the command.

use super::{Enforced, Logins};
use crate::support::jetway;
use anyhow::{Result, ensure};
use serde_json::Value;

/// Runs a verb as the user of a role, and returns what it prints.
pub(super) async fn verb(enforced: &Enforced, role: &'static str, arguments: &[&str]) -> Result<String> {
    let url = enforced.server.url();
    let mut command = jetway(arguments);
    command.args(["--nats", &url, "--namespace", &enforced.namespace]);
    let output = command.envs(enforced.environment(role)?).output().await?;
    let (printed, said) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{role}: jetway {arguments:?}: {}\n{printed}\n{said}", output.status);
    Ok(printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_an_operator_uses_every_verb() -> Result<()> {
    for (logins, workflows) in [
        (
            Logins::Nkeys,
            &["--workflow", "chain", "--workflow", "corpus", "--workflow", "nap", "--workflow", "order"][..],
        ),
        (Logins::Passwords, &[]),
    ] {
        let enforced = Enforced::start(logins, workflows).await?;
        let created = verb(&enforced, "operator", &["setup"]).await?;
        assert!(created.contains("created"), "{created}");
        let unchanged = verb(&enforced, "operator", &["setup"]).await?;
        assert!(!unchanged.contains("created"), "{unchanged}");
        let _host = enforced.host().await?;
        let output =
            verb(&enforced, "operator", &["start", "chain", "--input", "0", "--id", "one", "--wait"]).await?;
        assert_eq!(output.trim(), "10");
        verb(&enforced, "operator", &["start", "chain", "--input", "0", "--id", "two"]).await?;
        for arguments in [
            &["status", "chain", "one"][..],
            &["result", "chain", "one"],
            &["runs"],
            &["runs", "--json"],
            &["dot", "chain"],
            &["dot", "chain", "--run", "one"],
            &["doctor"],
        ] {
            verb(&enforced, "operator", arguments).await?;
        }
        // A worker checks its installation, as the containers of the deployment do.
        let doctor: Value = serde_json::from_str(&verb(&enforced, "worker", &["doctor", "--json"]).await?)?;
        assert_eq!(doctor["ok"], true, "{doctor}");
        enforced.refused_nothing()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_doctor_says_who_is_trusted() -> Result<()> {
    let enforced = Enforced::start(Logins::Passwords, &[]).await?;
    verb(&enforced, "operator", &["setup"]).await?;
    let check = async |printed: String| -> Result<Value> {
        let doctor: Value = serde_json::from_str(&printed)?;
        let checks = doctor["checks"].as_array().cloned().unwrap_or_default();
        Ok(checks.into_iter().find(|check| check["name"] == "access").unwrap_or_default())
    };
    let with_accounts = check(verb(&enforced, "operator", &["doctor", "--json"]).await?).await?;
    assert_eq!(with_accounts["status"], "ok", "{with_accounts}");
    let (url, namespace) =
        (jetway_testing::shared_server().await.url(), jetway_testing::unique_namespace("open"));
    crate::support::jetway_json(&url, &namespace, &["setup"]).await?;
    let printed = crate::support::jetway_json(&url, &namespace, &["doctor"]).await?.to_string();
    let open = check(printed).await?;
    assert_eq!(open["status"], "warning", "{open}");
    let details = open["details"].as_str().unwrap_or_default();
    assert!(details.contains("jetway permissions") && details.contains("trusted"), "{details}");
    Ok(())
}
