//! The command itself: what it prints, and what it refuses.

use crate::support::jetway;
use anyhow::Result;
use serde_json::Value;

#[tokio::test]
async fn p13_users_come_from_the_environment() -> Result<()> {
    let mut command = jetway(&["permissions", "starter", "worker", "--json", "--workflow", "pay"]);
    command.env("JETWAY_STARTER_PASSWORD", "hunter2");
    command.env("JETWAY_WORKER_NKEY", nkeys::KeyPair::new_user().public_key());
    let output = command.output().await?;
    let printed = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!printed.contains("hunter2"), "{printed}");
    let accounts = &serde_json::from_str::<Value>(&printed)?["accounts"];
    let starter = &accounts["JETWAY_STARTER"]["users"][0];
    assert_eq!(starter["user"], "starter");
    assert!(starter["password"].as_str().is_some_and(|hash| hash.starts_with("$2a$11$")), "{starter}");
    assert!(accounts["JETWAY"]["users"][0]["nkey"].as_str().is_some_and(|key| key.starts_with('U')));
    assert_eq!(accounts["JETWAY_STARTER"]["imports"][0]["service"]["account"], "JETWAY");
    Ok(())
}

#[tokio::test]
async fn p13_a_wrong_use_ends_with_code_2_and_shows_no_secret() -> Result<()> {
    let seed = nkeys::KeyPair::new_user().seed()?;
    for (arguments, variables, reason) in [
        (&[][..], &[][..], "required"),
        (&["admin"], &[], "invalid value 'admin'"),
        (&["worker"], &[], "set JETWAY_WORKER_PASSWORD or JETWAY_WORKER_NKEY"),
        (&["worker"], &[("JETWAY_WORKER_NKEY", seed.as_str())], "is a seed"),
        (&["worker", "--account", "a b"], &[("JETWAY_WORKER_PASSWORD", "hunter2")], "invalid account"),
        (&["worker", "--workflow", "a.b"], &[], "a.b"),
        (&["worker", "--inbox-prefix", "$JS"], &[("JETWAY_WORKER_PASSWORD", "hunter2")], "invalid prefix"),
        (&["worker", "--server-env", "--json"], &[], "cannot be used with"),
    ] {
        let output =
            jetway(&["permissions"]).args(arguments).envs(variables.iter().copied()).output().await?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2") && !said.contains(&seed), "{said}");
    }
    let output = jetway(&["permissions", "worker", "--users", "/no/such/file"]).output().await?;
    assert_eq!(output.status.code(), Some(2));
    Ok(())
}
