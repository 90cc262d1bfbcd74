//! The architecture page is true: its lists name the files and functions through which a start message, a ticket, a
//! result and a signal really pass.
//!
//! The program `call-chain` is a host that records every `hop!`. Each flow of the page is compared with what it recorded.
//! A hop that begins another list of the page stands for all hops of that list.

use crate::support::{DEADLINE, built};
use anyhow::{Context, Result, ensure};
use jetway::{
    Client, Namespace, NatsConfig, RunId,
    client::{SignalOptions, StartOptions},
};
use jetway_testing::{NatsServer, unique_namespace, wait_until};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
    time::timeout,
};
use walkdir::WalkDir;

/// The most hops in one list of the page.
const MOST_HOPS: usize = 12;

/// The flows that are recorded, and their headings.
const FLOWS: [(&str, &str); 4] = [
    ("start", "One start message"),
    ("ticket", "One ticket"),
    ("result", "One result"),
    ("signal", "One signal"),
];

/// A file, and the functions of it that are called one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hop {
    file: String,
    functions: Vec<String>,
}

/// A line of a list: a hop, and the heading of the list that it stands for.
type Line = (Hop, Option<String>);

/// The lists of the page, by their headings.
type Page = BTreeMap<String, Vec<Line>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> Result<String> {
    fs::read_to_string(root().join("crates/README.md")).context("crates/README.md cannot be read")
}

/// The lines of each list: ``1. `file` `function`, `function`: sentence`` or ``1. `file` `function`: → [other list](#..)``.
fn lists(page: &str) -> Page {
    let (mut lists, mut heading) = (Page::new(), "");
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            heading = title;
        }
        let Some((number, rest)) = line.split_once(". `") else { continue };
        if number.parse::<u32>().is_err() {
            continue;
        }
        let (names, sentence) = rest.split_once(": ").unwrap_or((rest, ""));
        let mut names = names.split(['`', ',', ' ']).filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        if let Some(file) = names.next() {
            let hop = Hop { file, functions: names.collect() };
            let list = sentence.strip_prefix("→ [").and_then(|rest| rest.split_once(']'));
            let line = (hop, list.map(|(list, _link)| list.to_owned()));
            lists.entry(heading.to_owned()).or_default().push(line);
        }
    }
    lists
}

/// The hops of a list, with the whole of another list in place of a hop that stands for it.
fn expanded(lists: &Page, heading: &str) -> Result<Vec<Hop>> {
    let lines = lists.get(heading).with_context(|| format!("there is no list {heading:?}"))?;
    let mut hops = Vec::new();
    for (hop, list) in lines {
        match list {
            Some(list) => {
                let other = expanded(lists, list)?;
                ensure!(other.first() == Some(hop), "the list {list:?} does not begin with {hop:?}");
                hops.extend(other);
            }
            None => hops.push(hop.clone()),
        }
    }
    Ok(hops)
}

/// Recorded calls, with those that follow each other in one file as one hop.
fn grouped(recorded: &Value) -> Result<Vec<Hop>> {
    let mut hops: Vec<Hop> = Vec::new();
    let calls: Vec<(String, String)> = serde_json::from_value(recorded.clone())?;
    for (file, function) in calls {
        match hops.last_mut() {
            Some(last) if last.file == file => last.functions.push(function),
            _ => hops.push(Hop { file, functions: vec![function] }),
        }
    }
    Ok(hops)
}

/// Compares the hops that the page shows with the recorded ones, and names the first that differ.
fn compare(shown: &[Hop], recorded: &[Hop]) -> Result<()> {
    for position in 0..shown.len().max(recorded.len()) {
        let (shown, recorded) = (shown.get(position), recorded.get(position));
        ensure!(shown == recorded, "hop {}: the page has {shown:?}, the host {recorded:?}", position + 1);
    }
    Ok(())
}

/// Runs the host and returns what it recorded.
async fn record() -> Result<Value> {
    let program = built("jetway-tests", "call-chain", &["fail-points"]);
    let (server, namespace) = (NatsServer::start().await?, unique_namespace("chain"));
    let mut host = Command::new(program)
        .env("NATS_URL", server.url())
        .env("JETWAY_NAMESPACE", &namespace)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(host.stdout.take().context("its output is piped")?).lines();
    let config = NatsConfig::new(server.url()).in_namespace(Namespace::new(&namespace)?);
    let client = Client::connect_with(config).await?;
    let occupies = StartOptions::named(RunId::new("occupies-the-slot")?);
    wait_until("the host has set up its namespace", DEADLINE, async || {
        client.publish_start("pair", &1, &occupies).await.is_ok()
    })
    .await;
    ensure!(next(&mut lines).await? == "ready");
    client.publish_start("pair", &2, &StartOptions::named(RunId::new("recorded")?)).await?;
    ensure!(next(&mut lines).await? == "ready");
    let listener =
        client.publish_start("listener", &true, &StartOptions::named(RunId::new("waits")?)).await?;
    wait_until("a run waits for the signal", DEADLINE, async || {
        client.status(&listener.key).await.is_ok_and(|status| !status.waits.is_empty())
    })
    .await;
    client.publish_start("listener", &false, &StartOptions::named(RunId::new("occupies")?)).await?;
    ensure!(next(&mut lines).await? == "ready");
    client.publish_signal(&listener.key, "heard", &(), &SignalOptions::default()).await?;
    Ok(serde_json::from_str(&next(&mut lines).await?)?)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    timeout(DEADLINE, lines.next_line())
        .await
        .context("the host prints nothing")??
        .context("the host has ended")
}

/// Whether a source has a function of this name.
fn defines(source: &str, function: &str) -> bool {
    ["(", "<"].iter().any(|end| source.contains(&format!("fn {function}{end}")))
}

/// The marks in the sources.
fn marks() -> Result<BTreeSet<(String, String)>> {
    let root = root();
    let mut marks = BTreeSet::new();
    for folder in ["crates", "actors"] {
        for entry in WalkDir::new(root.join(folder)) {
            let entry = entry?;
            if entry.path().extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let file = entry.path().strip_prefix(&root)?.to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path())?;
            for call in text.split("::hop!(\"").skip(1) {
                let function = call.split('"').next().unwrap_or_default();
                let name = function.rsplit("::").next().unwrap_or_default();
                ensure!(defines(&text, name), "{file} has a mark for {function}, but no such function");
                marks.insert((file.clone(), function.to_owned()));
            }
        }
    }
    Ok(marks)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_take_the_way_that_the_page_shows() -> Result<()> {
    let (lists, recorded) = (lists(&page()?), record().await?);
    let mut passed = BTreeSet::new();
    for (flow, heading) in FLOWS {
        let hops = grouped(&recorded[flow])?;
        let shown = expanded(&lists, heading)?;
        compare(&shown, &hops).with_context(|| format!("crates/README.md, {heading:?}"))?;
        passed.extend(
            hops.iter().flat_map(|hop| hop.functions.iter().map(|name| (hop.file.clone(), name.clone()))),
        );
    }
    // The functions between, which no list of the page may leave out.
    let marks = marks()?;
    ensure!(marks == passed, "marked, but on no way: {:?}", marks.difference(&passed).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn no_list_of_the_page_has_more_than_twelve_hops() -> Result<()> {
    let lists = lists(&page()?);
    for (_, heading) in FLOWS {
        ensure!(lists.contains_key(heading), "crates/README.md has no list {heading:?}");
    }
    for (heading, hops) in lists {
        ensure!(hops.len() <= MOST_HOPS, "{heading:?} in crates/README.md has {} hops", hops.len());
    }
    Ok(())
}

#[test]
fn the_page_names_every_crate_and_real_tests() -> Result<()> {
    let page = page()?;
    for folder in fs::read_dir(root().join("crates"))? {
        let folder = folder?;
        if folder.file_type()?.is_dir() {
            let name = folder.file_name().to_string_lossy().into_owned();
            ensure!(page.contains(&format!("\n### {name}\n")), "crates/README.md has no section {name}");
        }
    }
    let sources = ["crates", "actors", "tests"].map(|folder| WalkDir::new(root().join(folder)));
    let mut text = String::new();
    for entry in sources.into_iter().flatten() {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(entry.path())?);
        }
    }
    let tests: Vec<&str> =
        page.split("\nTest: ").skip(1).filter_map(|rest| rest.split("\n\n").next()).collect();
    ensure!(!tests.is_empty(), "crates/README.md names no test");
    for name in tests.iter().flat_map(|names| names.split('`').skip(1).step_by(2)) {
        ensure!(defines(&text, name), "crates/README.md names the test {name}, which does not exist");
    }
    Ok(())
}
