//! How the command logs in, and that it shows no secret.

use crate::support::{DEADLINE, HostProcess, jetway};
use anyhow::{Context, Result};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Output, process::Stdio};
use tokio::process::Command;

/// The password, which is in no output.
const PASSWORD: &str = "hunter2";

async fn server() -> Result<NatsServer> {
    let users = format!("authorization {{ users: [ {{ user: ann, password: {PASSWORD} }} ] }}");
    Ok(NatsServer::builder().extra_config(&users).start().await?)
}

/// What a command has printed. It contains no password.
fn said(output: &Output) -> String {
    let text =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    assert!(!text.contains(PASSWORD), "{text}");
    text
}

fn context(home: &Path, name: &str, fields: &Value) -> Result<()> {
    let directory = home.join("nats/context");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(format!("{name}.json")), fields.to_string())?;
    Ok(())
}

#[tokio::test]
async fn f8_the_command_logs_in_in_every_way() -> Result<()> {
    let server = server().await?;
    let (url, home) = (server.url(), tempfile::tempdir()?);
    let with_login = url.replace("nats://", &format!("nats://ann:{PASSWORD}@"));
    let list = format!("nats://127.0.0.1:9, {with_login}");
    let other = NatsServer::start().await?;
    context(home.path(), "prod", &json!({ "url": url, "user": "ann", "password": PASSWORD }))?;
    fs::write(home.path().join("nats/context.txt"), "prod")?;
    type Way<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);
    let ways: [Way<'_>; 9] = [
        ("flags", &["--nats", &url, "--user", "ann", "--password", PASSWORD], &[]),
        ("the address", &["--server", &with_login], &[]),
        ("a list", &["--nats", &list], &[]),
        ("a list in the environment", &[], &[("NATS_URL", &list)]),
        ("the environment", &[], &[("NATS_URL", &url), ("NATS_USER", "ann"), ("NATS_PASSWORD", PASSWORD)]),
        ("a context", &["--context", "prod"], &[]),
        ("a context of the environment", &[], &[("NATS_CONTEXT", "prod")]),
        ("the selected context", &[], &[]),
        ("a flag before a context", &["--context", "prod", "--nats", &list], &[]),
    ];
    for (way, arguments, variables) in ways {
        let namespace = unique_namespace("way");
        let mut command = jetway(&["setup", "--json", "--namespace", &namespace]);
        command.args(arguments).envs(variables.iter().copied()).env("XDG_CONFIG_HOME", home.path());
        let output = command.output().await?;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(0), "{way}: {text}");
        let report: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(report["created"].as_array().map(Vec::len), Some(9), "{way}: {text}");
    }
    // The login of the selected context is not for another server.
    let mut command = jetway(&["setup", "--nats", &other.url()]);
    let output = command.env("XDG_CONFIG_HOME", home.path()).output().await?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    Ok(())
}

#[tokio::test]
async fn f8_a_wrong_setting_is_said_and_ends_with_a_code() -> Result<()> {
    let server = server().await?;
    let url = server.url();
    let wrong = format!("nats://ann:{PASSWORD}x@{}", url.trim_start_matches("nats://"));
    let no_port = format!("nats://ann:{PASSWORD}@a:b");
    for (arguments, code, reason) in [
        (&["--nats", url.as_str()][..], 1, "no credentials are given"),
        (&["--nats", wrong.as_str()], 1, "refuses the login"),
        (&["--nats", no_port.as_str()], 2, "invalid port number"),
        (&["--context", "none"], 2, "no context \"none\""),
        (&["--password", PASSWORD], 2, "without a user"),
        (&["--token", PASSWORD, "--creds", "/a"], 2, "token and creds are several logins"),
        (
            &["--nats", url.as_str(), "--tlsca", "/no/such/ca.pem"],
            2,
            "cannot read the CA file /no/such/ca.pem",
        ),
        (&["--nats", url.as_str(), "--creds", "/no/such.creds"], 2, "/no/such.creds"),
        (&["--nats", "tls://127.0.0.1:9"], 1, "no nats-server at tls://127.0.0.1:9"),
        (&["--nats", "no-such-host.invalid"], 1, "does not resolve"),
    ] {
        for verb in [&["runs"][..], &["host"], &["doctor", "--json"], &["start", "chain", "--input", "0"]] {
            // A host waits for a server that may come.
            if verb == ["host"] && (reason.starts_with("no nats-server") || reason == "does not resolve") {
                continue;
            }
            let output = jetway(verb).args(arguments).output().await?;
            // With --json the sentence is in a JSON text.
            let text = said(&output).replace("\\\"", "\"");
            assert_eq!(output.status.code(), Some(code), "{verb:?} {arguments:?}: {text}");
            assert!(text.contains(reason), "{verb:?} {arguments:?}: {text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m5_no_output_of_a_command_shows_a_secret() -> Result<()> {
    let (server, namespace) = (server().await?, unique_namespace("secret"));
    let with_login = server.url().replace("nats://", &format!("nats://ann:{PASSWORD}@"));
    let variables = [("NATS_PASSWORD", PASSWORD), ("NATS_TOKEN", PASSWORD), ("NATS_URL", &with_login)];
    for verb in ["start", "host", "setup", "demo", "dev", "doctor"] {
        said(&jetway(&[verb, "--help"]).envs(variables).output().await?);
    }
    let _host = HostProcess::start(&with_login, &namespace, &[]).await?;
    for verb in [
        &["doctor"][..],
        &["runs"],
        &["setup"],
        &["start", "chain", "--input", "0", "--wait"],
        &["status", "chain", "x"],
    ] {
        for json in [&["--json"][..], &[]] {
            let arguments = ["--nats", with_login.as_str(), "--namespace", namespace.as_str()];
            said(&jetway(verb).args(arguments).args(json).env("RUST_LOG", "debug").output().await?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn m5_no_command_shows_a_seed_in_the_place_of_a_file() -> Result<()> {
    let seed = nkeys::KeyPair::new_user().seed()?;
    let cut = &seed[..57];
    let creds = format!("-----BEGIN NATS USER JWT-----\n{cut}\n------END NATS USER JWT------\n");
    for (name, value, sentence) in [
        ("NATS_NKEY", cut.to_owned(), "the value of nkey is neither a file nor a seed"),
        ("NATS_NKEY", seed.to_ascii_lowercase(), "the value of nkey is neither a file nor a seed"),
        ("NATS_NKEY", format!("\"{cut}\""), "the value of nkey is neither a file nor a seed"),
        ("NATS_CREDS", creds.clone(), "the value of creds is neither a file nor"),
        ("NATS_KEY", creds, "the value of key is neither a file nor"),
        // The server is not there, and the login is usable.
        ("NATS_NKEY", format!("{seed}\n"), "no nats-server at"),
        ("NATS_NKEY", nkeys::KeyPair::new_account().seed()?, "its seed is no user's"),
    ] {
        for json in [&["--json"][..], &[]] {
            let mut command = jetway(&["runs", "--nats", "nats://127.0.0.1:9"]);
            let output = command.args(json).env(name, &value).env("RUST_LOG", "debug").output().await?;
            let text = said(&output);
            assert!(text.contains(sentence), "{name}: {text}");
            let shown = text.to_ascii_uppercase();
            let parts = [&seed[10..30], &value.to_ascii_uppercase()[10..30]];
            assert!(parts.iter().all(|part| !shown.contains(part)), "{name}: {text}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_a_host_logs_no_input_and_no_password() -> Result<()> {
    let (server, namespace) = (server().await?, unique_namespace("log"));
    let with_login = server.url().replace("nats://", &format!("nats://ann:{PASSWORD}@"));
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("log");
    let log = fs::File::create(&path)?;
    let mut command = jetway(&["host", "--json", "--namespace", &namespace]);
    // Without it, the host says that it is not serving `corpus`.
    command.arg("--corpus-root").arg(directory.path());
    command.env("NATS_URL", &with_login).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    let mut host = command.spawn()?;
    let written = || fs::read_to_string(&path).unwrap_or_default();
    wait_until("the host is ready", DEADLINE, async || written().contains(" serving ")).await;
    let client = async_nats::ConnectOptions::with_user_and_password("ann".to_owned(), PASSWORD.to_owned())
        .connect(server.url())
        .await?;
    let jetstream = async_nats::jetstream::new(client);
    let input = format!("\"{PASSWORD}\"");
    jetstream.publish(format!("jetway.{namespace}.start.chain"), input.into()).await?.await?;
    wait_until("the start is refused", DEADLINE, async || written().contains("start refused")).await;
    let pid = host.id().context("it runs")?.to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await?;
    host.wait().await?;
    assert!(!written().contains(PASSWORD), "{}", written());
    Ok(())
}
