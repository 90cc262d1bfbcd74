//! Tables and lists on a terminal.

use crate::support::{DEADLINE, HostProcess, Screen, corpus::directory, jetway, jetway_json, on_terminal};
use anyhow::{Context, Result, ensure};
use console::measure_text_width;
use jetway_testing::{shared_server, unique_namespace, wait_until};
use serde_json::{Value, json};

const WIDTHS: [u16; 3] = [60, 80, 120];
const HINT: &str = "--full shows all";

/// A run id of the greatest length.
fn long_id() -> String {
    "0123456789abcdef".repeat(4)
}

async fn shown(columns: u16, url: &str, ns: &str, verb: &[&str]) -> Result<Screen> {
    let mut command = jetway(verb);
    command.args(["--nats", url, "--namespace", ns]);
    on_terminal(columns, command).await
}

fn fits(screen: &Screen, columns: u16, verb: &[&str]) -> Result<()> {
    for line in screen.text.lines() {
        let width = measure_text_width(line);
        ensure!(
            width <= usize::from(columns),
            "{verb:?} at {columns}: {width} wide: {line:?}\n{}",
            screen.text
        );
    }
    let lines = screen.text.lines().count();
    ensure!(
        (2..80).contains(&lines),
        "{verb:?} at {columns}: {lines} lines\n{}\n{}",
        screen.text,
        screen.stderr
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_tables_fit_and_full_shows_all() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("tables"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let (_kept, root) = directory(300)?;
    let (id, failed) = (long_id(), format!("/no/such/directory/{}", "name".repeat(60)));
    let input = json!({ "path": root, "top": 200 }).to_string();
    jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--id", &id, "--wait"]).await?;
    jetway_json(&url, &ns, &["start", "corpus", "--input", &input, "--id", "c1", "--wait"]).await?;
    let bad = json!({ "path": failed }).to_string();
    jetway(&["start", "corpus", "--input", &bad, "--id", "f1", "--wait", "--nats", &url, "--namespace", &ns])
        .output()
        .await?;
    let output = jetway_json(&url, &ns, &["status", "corpus", "c1"]).await?["output"].to_string();
    ensure!(output.len() > 2000, "the output is not long: {output}");
    let verbs: [(&[&str], &str); 5] = [
        (&["runs"], &id),
        (&["status", "chain", &id], &id),
        (&["status", "corpus", "c1"], "\"largest_files\""),
        (&["status", "corpus", "f1"], &failed),
        (&["doctor"], "serves chain, corpus, nap, order; started"),
    ];
    for (verb, long) in verbs {
        for columns in WIDTHS {
            let screen = shown(columns, &url, &ns, verb).await?;
            fits(&screen, columns, verb)?;
            assert!(screen.raw.contains("\u{1b}["), "{verb:?}: no colour: {:?}", screen.raw);
            let cut = !screen.text.contains(long);
            let wrapped = screen.text.replace([' ', '\n'], "").contains(&long.replace(' ', ""));
            assert!(
                wrapped || (cut && screen.stderr.contains(HINT)),
                "{verb:?}: {}\n{}",
                screen.text,
                screen.stderr
            );
            let full = shown(columns, &url, &ns, &[verb, &["--full"]].concat()).await?;
            assert!(full.text.contains(long), "{verb:?} --full: {}", full.text);
            assert!(!full.stderr.contains(HINT), "{}", full.stderr);
        }
    }
    let runs = shown(60, &url, &ns, &["runs"]).await?;
    assert!(runs.text.contains("ago") || runs.text.contains("now"), "{}", runs.text);
    let mut plain = jetway(&["runs", "--nats", &url, "--namespace", &ns]);
    let plain = plain.env("NO_COLOR", "1").output().await?;
    let plain = String::from_utf8(plain.stdout)?;
    assert!(!plain.contains('\u{1b}') && plain.contains(&id) && plain.contains("T"), "{plain}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_the_reports_of_demo_and_verify_fit() -> Result<()> {
    let (_kept, root) = directory(20)?;
    let deep = root.join("deep".repeat(20)).join("deeper".repeat(20));
    std::fs::create_dir_all(&deep)?;
    std::fs::write(deep.join("largest"), "word ".repeat(200_000))?;
    let root = root.to_str().context("the path is text")?;
    for columns in WIDTHS {
        let verb = ["demo", root];
        fits(&on_terminal(columns, jetway(&verb)).await?, columns, &verb)?;
    }
    let full = on_terminal(60, jetway(&["demo", root, "--full"])).await?;
    assert!(full.text.contains(&"deeper".repeat(20)), "{}", full.text);
    let verb = ["verify", "--runs", "1", "--minutes", "0.01", "--seed", "7"];
    let screen = on_terminal(60, jetway(&verb)).await?;
    fits(&screen, 60, &verb)
}

#[tokio::test(flavor = "multi_thread")]
async fn u6_status_says_first_what_a_run_waits_for() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("reason"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let (_kept, root) = directory(1500)?;
    let input = json!({ "path": root, "top": 5 }).to_string();
    jetway_json(&url, &ns, &["start", "corpus", "--input", &input, "--id", "long"]).await?;
    jetway_json(&url, &ns, &["pause", "corpus", "long"]).await?;
    for columns in WIDTHS {
        let screen = shown(columns, &url, &ns, &["status", "corpus", "long"]).await?;
        let lines: Vec<Vec<&str>> =
            screen.text.lines().map(|line| line.split_whitespace().collect()).collect();
        let reason = "waiting for the run is paused: resume it";
        assert_eq!(lines[1].join(" "), reason, "{}", screen.text);
        assert_eq!(lines[2], ["status", "paused"], "{}", screen.text);
    }
    jetway_json(&url, &ns, &["cancel", "corpus", "long"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u8_the_latest_runs_come_first() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("newest"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let input = r#"{"path": "/no/such/directory"}"#;
    let mut failing = jetway(&["start", "corpus", "--input", input, "--id", "bad", "--wait"]);
    failing.args(["--nats", &url, "--namespace", &ns]).output().await?;
    for number in 0..12 {
        let id = format!("r{number}");
        jetway_json(&url, &ns, &["start", "chain", "--input", "0", "--id", &id, "--wait"]).await?;
    }
    let ids = |page: &Value| -> Vec<String> {
        let runs = page["runs"].as_array().into_iter().flatten();
        runs.filter_map(|run| run["run_id"].as_str().map(str::to_owned)).collect()
    };
    let first = jetway_json(&url, &ns, &["runs", "--limit", "3"]).await?;
    assert_eq!(ids(&first), ["r11", "r10", "r9"]);
    let next = first["next"].as_str().context("a cursor")?;
    let second = jetway_json(&url, &ns, &["runs", "--limit", "3", "--after", next]).await?;
    assert_eq!(ids(&second), ["r8", "r7", "r6"]);
    // The only one is the oldest, and a page of one is enough for it.
    let failed = jetway_json(&url, &ns, &["runs", "--status", "failed", "--limit", "1"]).await?;
    assert_eq!((ids(&failed), &failed["next"]), (vec!["bad".to_owned()], &Value::Null));
    assert_eq!(failed["scanned"], 13);
    let all = jetway_json(&url, &ns, &["runs", "--limit", "13"]).await?;
    assert_eq!((ids(&all).len(), &all["next"]), (13, &Value::Null));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u9_dot_asks_a_host_that_serves_the_workflow() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("dot"));
    let _both = HostProcess::start(&url, &ns, &[]).await?;
    let _chain = HostProcess::without_corpus(&url, &ns).await?;
    for _ in 0..12 {
        jetway_json(&url, &ns, &["dot", "corpus"]).await?;
    }
    let unknown = jetway(&["dot", "nothing", "--nats", &url, "--namespace", &ns]).output().await?;
    let said = String::from_utf8(unknown.stderr)?;
    assert_eq!(unknown.status.code(), Some(4), "{said}");
    assert!(said.contains("the served workflows are chain, corpus"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u10_ctrl_c_says_how_to_go_on_waiting() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("goon"));
    jetway_json(&url, &ns, &["setup"]).await?;
    let at = ["--nats", &url, "--namespace", &ns];
    // No host runs, so the run does not end.
    let mut start = jetway(&["start", "chain", "--input", "5", "--wait", "5m"]);
    let mut waiting =
        start.args(at).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn()?;
    let mut said = tokio::io::BufReader::new(waiting.stderr.take().context("it is piped")?);
    let pid = waiting.id().context("it runs")?.to_string();
    let mut lines = String::new();
    while !lines.contains("waiting for its result") {
        let read = tokio::io::AsyncBufReadExt::read_line(&mut said, &mut lines);
        ensure!(tokio::time::timeout(DEADLINE, read).await?? > 0, "it ended: {lines}");
    }
    let id = lines
        .split("chain/")
        .nth(1)
        .and_then(|rest| rest.split([' ', ':']).next())
        .context("an id")?
        .to_owned();
    tokio::process::Command::new("kill").args(["-INT", &pid]).status().await?;
    tokio::io::AsyncReadExt::read_to_string(&mut said, &mut lines).await?;
    assert_eq!(waiting.wait().await?.code(), Some(130), "{lines}");
    let typed = lines.split("with: jetway ").nth(1).context("a command")?.trim();
    assert!(typed.contains(&format!("result chain {id}")), "{lines}");
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let result = jetway(&typed.split_whitespace().collect::<Vec<_>>()).output().await?;
    assert_eq!(String::from_utf8(result.stdout)?, "15\n", "{typed}: {lines}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn u10_a_wait_that_is_too_short_says_how_to_go_on() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("short"));
    jetway_json(&url, &ns, &["setup"]).await?;
    let at = ["--nats", &url, "--namespace", &ns];
    let late =
        jetway(&["start", "chain", "--input", "5", "--id", "x", "--wait", "100ms"]).args(at).output().await?;
    let said = String::from_utf8(late.stderr)?;
    assert_eq!(late.status.code(), Some(5), "{said}");
    assert!(
        said.contains(&format!("jetway result chain x --nats {url} --namespace {ns} --wait 5m")),
        "{said}"
    );
    assert!(said.contains("did not end within 100ms"), "{said}");
    let nobody = jetway(&["result", "chain", "nobody", "--wait", "100ms"]).args(at).output().await?;
    let said = String::from_utf8(nobody.stderr)?;
    assert!(nobody.status.code() == Some(4) && !said.contains("has not ended"), "{said}");
    Ok(())
}

/// Every line of standard error is a JSON object, and the last one has the error.
fn error_of(stderr: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.lines().map(|line| serde_json::from_str(line).with_context(|| text.to_string()));
    let lines: Vec<Value> = lines.collect::<Result<_>>()?;
    Ok(lines.last().context("nothing was said")?["error"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_under_json_are_json() -> Result<()> {
    let (url, ns) = (shared_server().await.url(), unique_namespace("errors"));
    let _host = HostProcess::start(&url, &ns, &[]).await?;
    let cases: [(&[&str], i32, &str, &str); 7] = [
        (&["status", "chain", "nobody"], 4, "not_found", "chain/nobody not found"),
        (&["result", "chain", "nobody"], 4, "not_found", "chain/nobody not found"),
        (&["start", "chain", "--input", "\"x\""], 1, "failed", "expected i64"),
        (&["start", "chain", "--input", "{"], 2, "usage", "not valid JSON"),
        (&["cancel", "chain", "nobody"], 4, "not_found", "nobody"),
        (&["dot", "nothing"], 4, "not_found", "nothing"),
        (&["start", "corpus", "--input", "{\"path\":\"/none\"}", "--wait"], 3, "run_failed", "/none"),
    ];
    for (verb, code, kind, words) in cases {
        let ended = jetway(verb).args(["--json", "--nats", &url, "--namespace", &ns]).output().await?;
        assert_eq!(ended.status.code(), Some(code), "{verb:?}");
        let error = error_of(&ended.stderr)?;
        assert_eq!((&error["kind"], &error["exit_code"]), (&json!(kind), &json!(code)), "{verb:?}: {error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{verb:?}: {error}");
    }
    let lost = jetway(&["runs", "--json", "--nats", "nats://127.0.0.1:9"]).output().await?;
    assert!(error_of(&lost.stderr)?["message"].to_string().contains("127.0.0.1:9"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_keeps_its_data_where_it_is_told() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let data = data.to_str().context("the path is text")?;
    for round in 0..2 {
        let (mut dev, facts) = crate::support::dev(&["--data", data]).await?;
        let url = facts["nats"].as_str().context("an address")?;
        if round == 0 {
            jetway_json(url, "default", &["start", "chain", "--input", "0", "--id", "kept", "--wait"])
                .await?;
            let second = jetway(&["dev", "--data", data]).output().await?;
            let said = String::from_utf8(second.stderr)?;
            assert!(!second.status.success() && said.contains("another `jetway dev` uses it"), "{said}");
        }
        let status = jetway_json(url, "default", &["status", "chain", "kept"]).await?;
        assert_eq!(status["output"], 10);
        let pid = dev.id().context("it runs")?.to_string();
        tokio::process::Command::new("kill").args(["-INT", &pid]).status().await?;
        let ended = wait_until("dev has ended", DEADLINE, async || dev.try_wait().ok().flatten()).await;
        assert!(ended.success(), "{ended}");
    }
    Ok(())
}

#[tokio::test]
async fn demo_of_a_file_starts_nothing() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let ended = jetway(&["demo", file.path().to_str().context("the path is text")?]).output().await?;
    let said = String::from_utf8(ended.stderr)?;
    assert!(!ended.status.success() && said.contains("Not a directory"), "{said}");
    assert!(!said.contains("nats-server"), "{said}");
    Ok(())
}
