//! The command's verbs, their messages and exit codes.

use crate::support::{
    DEADLINE, HostProcess,
    corpus::{Counts, directory},
    jetway, jetway_json,
};
use anyhow::{Context as _, Result};
use jetway_testing::{NatsServer, shared_server, unique_namespace, wait_until};
use serde_json::json;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

#[tokio::test]
async fn a_run_is_started_shown_and_listed() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("verbs"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let done = jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--id", "one", "--wait"]).await?;
    assert_eq!(
        (&done["status"], &done["output"], &done["steps"]),
        (&json!("completed"), &json!(10), &json!(10))
    );
    let status = jetway_json(&url, &ns, &["status", "chain", "one"]).await?;
    assert_eq!((&status["status"], &status["output"]), (&json!("completed"), &json!(10)));
    assert_eq!(status["pending"], json!([]));
    let runs = jetway_json(&url, &ns, &["runs"]).await?;
    assert_eq!(runs["runs"][0]["run_id"], "one");
    let dot = jetway(&["dot", "chain", "--nats", &url, "--namespace", &ns]).output().await?;
    assert!(String::from_utf8_lossy(&dot.stdout).starts_with("digraph"), "{dot:?}");
    let doctor = jetway_json(&url, &ns, &["doctor"]).await?;
    assert!(doctor.to_string().contains("2."), "{doctor:#}");
    Ok(())
}

#[tokio::test]
async fn h1_a_run_id_that_is_used_again_gives_the_new_result() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("again"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let js = async_nats::jetstream::new(async_nats::connect(&url).await?);
    let mut incarnations = Vec::new();
    for (input, output) in [("0", 10), ("5", 15), ("7", 17)] {
        let done =
            jetway_json(&url, &ns, &["start", "chain", "--input", input, "--id", "x", "--wait"]).await?;
        assert_eq!(done["output"], output, "{done:#}");
        incarnations.push(done["incarnation"].as_str().map(str::to_owned));
        // The record expires after a day, the result after a week.
        js.get_key_value(format!("JETWAY_{ns}_RUNS")).await?.purge("chain.x").await?;
    }
    incarnations.dedup();
    assert!(incarnations.len() == 3 && incarnations.iter().all(Option::is_some), "{incarnations:?}");
    Ok(())
}

/// Each failed read took five seconds more, which were not counted.
#[tokio::test]
async fn f17_a_wait_ends_in_time_without_a_server() -> Result<()> {
    let (mut server, ns) = (NatsServer::start().await?, unique_namespace("away"));
    jetway(&["setup", "--nats", &server.url(), "--namespace", &ns]).output().await?;
    let start = ["start", "chain", "--input", "0", "--id", "x", "--wait", "3s"];
    let mut waiting = jetway(&[&start[..], &["--nats", &server.url(), "--namespace", &ns]].concat())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(waiting.stderr.take().context("it is piped")?).lines();
    timeout(DEADLINE, async {
        while !said.next_line().await?.context("it says that it waits")?.contains("chain/x") {}
        anyhow::Ok(())
    })
    .await??;
    server.kill().await?;
    let ended = timeout(Duration::from_secs(25), waiting.wait()).await.context("it still waits")??;
    assert_eq!(ended.code(), Some(5));
    Ok(())
}

#[tokio::test]
async fn u6_a_start_that_waits_for_a_host_is_said() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("waits"));
    let server = ["--nats", &url, "--namespace", &ns];
    jetway(&[&["setup"][..], &server].concat()).output().await?;
    let said = async |arguments: &[&str]| {
        let ended = jetway(&[arguments, &server].concat()).output().await?;
        anyhow::Ok(String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    assert!(said(&["status", "chain", "x"]).await?.contains("it does not exist"));
    said(&["start", "chain", "--input", "0", "--id", "x"]).await?;
    for verb in [&["status", "chain", "x"][..], &["result", "chain", "x", "--wait", "1s"]] {
        let said = said(verb).await?;
        assert!(said.contains("its start message waits for a host"), "{verb:?}: {said}");
        assert!(said.contains("jetway host"), "{verb:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn f13_the_result_of_a_run_is_printed() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("result"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--id", "one", "--wait"]).await?;
    let result = async |arguments: &[&str]| {
        let ended =
            jetway(&[&["result", "chain"], arguments, &["--nats", &url, "--namespace", &ns]].concat());
        let ended = { ended }.output().await?;
        let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        anyhow::Ok((ended.status.code(), said))
    };
    let printed = (Some(0), ["10\n".to_owned(), String::new()]);
    for arguments in [&["one"][..], &["one", "--wait"], &["one", "--output", "0"]] {
        assert_eq!(result(arguments).await?, printed, "{arguments:?}");
    }
    for (arguments, code, sentence) in
        [(&["one", "--output", "1"][..], 4, "the run has 1"), (&["nobody"], 4, "chain/nobody not found")]
    {
        let (ended, [_, said]) = result(arguments).await?;
        assert!(ended == Some(code) && said.contains(sentence), "{arguments:?}: {ended:?} {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_is_drawn_as_it_stands() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("drawn"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let input = r#"{"path": "/no/such/directory"}"#;
    for arguments in [
        ["start", "chain", "--input", "0", "--id", "well", "--wait"],
        ["start", "corpus", "--input", input, "--id", "ill", "--wait"],
    ] {
        jetway(&arguments).args(["--nats", &url, "--namespace", &ns]).output().await?;
    }
    let well = jetway_json(&url, &ns, &["dot", "chain", "--run", "well"]).await?;
    assert!(well["nodes"].as_object().expect("nodes").values().all(|state| state == "done"), "{well:#}");
    let ill = jetway_json(&url, &ns, &["dot", "corpus", "--run", "ill"]).await?;
    assert_eq!((&ill["nodes"]["scan"], &ill["nodes"]["merge"]), (&json!("failed"), &json!("not_reached")));
    let drawn =
        jetway(&["dot", "corpus", "--run", "ill", "--nats", &url, "--namespace", &ns]).output().await?;
    let drawn = String::from_utf8_lossy(&drawn.stdout);
    assert!(drawn.contains("corpus/ill is failed") && drawn.contains("fillcolor=tomato"), "{drawn}");
    let plain = jetway_json(&url, &ns, &["dot", "corpus"]).await?;
    assert!(plain["nodes"].is_null() && !plain["dot"].to_string().contains("fillcolor=tomato"), "{plain:#}");
    let unknown =
        jetway(&["dot", "chain", "--run", "nobody", "--nats", &url, "--namespace", &ns]).output().await?;
    assert_eq!(unknown.status.code(), Some(4), "{unknown:?}");
    Ok(())
}

#[cfg(unix)]
#[tokio::test]
async fn svg_comes_from_graphviz_where_there_is_one() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let (url, ns) = (shared_server().await.url(), unique_namespace("svg"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let programs = tempfile::tempdir()?;
    let draw = async || {
        let arguments = ["dot", "chain", "--svg", "--nats", &url, "--namespace", &ns];
        let ended = jetway(&arguments).env("PATH", programs.path()).output().await?;
        let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        anyhow::Ok((ended.status.code(), said))
    };
    let (code, [_, said]) = draw().await?;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("Graphviz") && said.contains("install"), "{said}");

    // What it is called with and given, as Graphviz would see it.
    let stand_in = programs.path().join("dot");
    std::fs::write(&stand_in, "#!/bin/sh\necho \"<svg $1>\"\nwhile read -r line; do echo \"$line\"; done\n")?;
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755))?;
    let (code, [svg, said]) = draw().await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(svg.starts_with("<svg -Tsvg>\ndigraph chain {"), "{svg}");

    std::fs::write(&stand_in, "#!/bin/sh\necho broken >&2\nexit 3\n")?;
    let (code, [_, said]) = draw().await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Graphviz") && said.contains("broken"), "{said}");
    Ok(())
}

#[tokio::test]
async fn no_server_is_said_in_a_sentence() -> Result<()> {
    for verb in [&["runs"][..], &["status", "chain", "x"], &["start", "chain", "--input", "0"], &["doctor"]] {
        let mut arguments = verb.to_vec();
        arguments.extend(["--nats", "nats://127.0.0.1:9"]);
        let ended = jetway(&arguments).output().await?;
        // What `doctor` finds is its answer, so it stands where answers stand.
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(1), "{verb:?}: {said}");
        assert!(said.contains("nats://127.0.0.1:9") && said.contains("NATS_URL"), "{verb:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_host_waits_for_its_server() -> Result<()> {
    // Takes a port, lets it go, and gives it to the server only after the host has asked for it.
    let mut server = NatsServer::start().await?;
    let (url, ns) = (server.url(), unique_namespace("late"));
    server.stop().await?;
    let starting = tokio::spawn({
        let (url, ns) = (url.clone(), ns.clone());
        async move { HostProcess::start(&url, &ns, &[]).await }
    });
    wait_until("the host has been refused", DEADLINE, async || {
        tokio::net::TcpStream::connect(url.trim_start_matches("nats://")).await.is_err()
    })
    .await;
    server.restart().await?;
    let _host = starting.await??;
    let done = jetway_json(&url, &ns, &["start", "chain", "--input", "1", "--wait"]).await?;
    assert_eq!(done["output"], 11);
    Ok(())
}

#[tokio::test]
async fn a_failed_run_and_an_unknown_run_have_exit_codes() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("codes"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let verb = async |arguments: &[&str]| {
        let ended = jetway(arguments).args(["--nats", &url, "--namespace", &ns]).output().await?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        anyhow::Ok((ended.status.code(), said))
    };
    let input = r#"{"path": "/no/such/directory"}"#;
    let (code, said) = verb(&["start", "corpus", "--input", input, "--wait"]).await?;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("scan") && said.contains("/no/such/directory"), "{said}");
    let (code, said) = verb(&["status", "chain", "nobody"]).await?;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("nobody"), "{said}");
    let (code, said) = verb(&["start", "chain", "--input", "{"]).await?;
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = verb(&["start", "nothing", "--input", "1", "--wait"]).await?;
    assert!(code.is_some_and(|code| code != 0) && said.contains("nothing"), "{code:?}: {said}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_asked_to_stop_drains() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("drain"));
    let host = HostProcess::start(&url, &ns, &[]).await?;
    let pid = host.pid().expect("it runs").to_string();
    let told = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await?;
    assert!(told.success());
    let ended = timeout(DEADLINE, host.wait()).await??;
    assert!(ended.success(), "{ended}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_paused_resumed_and_cancelled() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("control"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let (_kept, root) = directory(1500)?;
    let input = json!({ "path": root, "top": 5 }).to_string();
    jetway_json(&url, &ns, &["start", "corpus", "--input", &input, "--id", "long"]).await?;
    let steps = async || {
        let status = jetway_json(&url, &ns, &["status", "corpus", "long"]).await.ok()?;
        status["steps"].as_u64()
    };
    wait_until("the run is in the middle", DEADLINE, async || steps().await.filter(|steps| *steps > 20))
        .await;
    let paused = jetway_json(&url, &ns, &["pause", "corpus", "long"]).await?;
    assert_eq!(paused, json!({ "run_id": "long", "status": "paused", "changed": true }));
    let status = jetway_json(&url, &ns, &["status", "corpus", "long"]).await?;
    assert_eq!(status["waiting_for"], "the run is paused: resume it");
    let resume = jetway(&["resume", "corpus", "long", "--nats", &url, "--namespace", &ns]).output().await?;
    assert_eq!(String::from_utf8(resume.stdout)?, "run corpus/long is running\n");
    let ended = wait_until("the run has ended", DEADLINE, async || {
        let status = jetway_json(&url, &ns, &["status", "corpus", "long"]).await.ok()?;
        (status["status"] != "running").then_some(status)
    })
    .await;
    assert_eq!(Counts::of_report(&ended["output"])?, Counts::by_wc(&root)?);
    let late = jetway(&["cancel", "corpus", "long", "--nats", &url, "--namespace", &ns]).output().await?;
    assert_eq!(late.status.code(), Some(1));
    let said = String::from_utf8(late.stderr)?;
    assert!(said.contains("cannot cancel run corpus/long: it has ended, completed"), "{said}");
    let nobody = jetway(&["cancel", "corpus", "nobody", "--nats", &url, "--namespace", &ns]).output().await?;
    assert_eq!(nobody.status.code(), Some(4));
    Ok(())
}
