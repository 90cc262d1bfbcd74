//! Large and deep values: all of them is to be had, or a step fails.

use super::support::{Fixture, RawDone, key};
use crate::support::jetway;
use anyhow::{Context as _, Result};
use jetway::{Error, Failure, Transition, client::Status, node, workflow};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

fn tree(levels: usize) -> Tree {
    (1..levels).fold(Tree(Vec::new()), |inner, _| Tree(vec![inner]))
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

node! { struct Grow; input = usize; output = Tree; |_, levels| Ok(Transition::Next(tree(levels))) }
node! { struct Keep; input = Tree; output = Tree; |_, tree| Ok(Transition::Next(tree)) }
workflow! {
    struct Deep { grow: Grow, keep: Keep } name = "deep";
    start = grow; edges { grow => [keep]; keep => []; }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_deep_output_is_whole_or_a_failure() -> Result<()> {
    let fixture = Fixture::start("deep", |host| host.workflow(Deep { grow: Grow, keep: Keep })).await?;
    for levels in [126, 128, 200] {
        let run = format!("r{levels}");
        let done: RawDone =
            serde_json::from_slice(&fixture.requested("deep", &run, &levels.to_string()).await?)?;
        assert_eq!((done.status.as_str(), done.output.get()), ("completed", nested(levels).as_str()));
        let status = fixture.client.status(&key("deep", &run)?).await?;
        assert_eq!(status.run.output.context("an output")?.read::<Tree>()?, tree(levels));
        let (url, ns) = (&fixture.url, &fixture.ns);
        let printed = jetway(&["result", "deep", &run, "--nats", url, "--namespace", ns]).output().await?;
        assert_eq!(String::from_utf8(printed.stdout)?.trim_end(), nested(levels));
    }
    for levels in [201, 257, 1000] {
        let run = format!("r{levels}");
        fixture.requested("deep", &run, &levels.to_string()).await?;
        let done = fixture.result(&key("deep", &run)?).await?;
        let error = done.error.context("it fails")?;
        assert_eq!((done.status, error.kind.as_str()), (Status::Failed, "codec"));
        assert!(error.message.contains("nested too deeply: the limit is 200 levels"), "{}", error.message);
    }
    fixture.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l4_an_input_may_be_as_deep_as_an_output() -> Result<()> {
    let fixture = Fixture::start("deepin", |host| host.workflow(Keeping { keep: Keep })).await?;
    let done: RawDone = serde_json::from_slice(&fixture.requested("keeping", "r", &nested(200)).await?)?;
    assert_eq!(done.output.get(), nested(200));
    let refused = fixture.ask("start.keeping", &nested(201)).await?.expect_err("it is refused");
    assert!(refused.0 == "400" && refused.1.contains("the limit is 200 levels"), "{refused:?}");
    fixture.stop().await;
    Ok(())
}

workflow! { struct Keeping { keep: Keep } name = "keeping"; start = keep; edges { keep => []; } }

/// How large, and how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order(usize, usize);

node! {
    struct Print; input = Order; output = String;
    |_, order| Ok(Transition::NextAll(vec!["ä".repeat(order.0 / 2); order.1]))
}
node! {
    struct Fail; input = usize; output = String;
    |_, bytes| Err::<Transition<String>, _>(Error::Generic("e".repeat(bytes)))
}
workflow! { struct Large { print: Print } name = "large"; start = print; edges { print => []; } }
workflow! { struct Failing { fail: Fail } name = "failing"; start = fail; edges { fail => []; } }

node! {
    struct Explain; input = Failure<Order>; output = String;
    |_, failure| Ok(Transition::Next(format!("{} of {:?}", failure.kind, failure.input)))
}
workflow! {
    struct Guarded { print: Print, explain: Explain }
    name = "guarded"; start = print;
    edges { print => []; print on_failure => [explain]; explain => []; }
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_a_value_that_does_not_fit_takes_on_failure() -> Result<()> {
    let guarded = Guarded { print: Print, explain: Explain };
    let fixture = Fixture::start("guarded", |host| host.workflow(guarded)).await?;
    let done: RawDone = serde_json::from_slice(&fixture.requested("guarded", "r", "[2000000,1]").await?)?;
    assert_eq!((done.status.as_str(), done.output.get()), ("completed", "\"limit of Order(2000000, 1)\""));
    fixture.stop().await;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Page {
    bytes: usize,
    outputs: usize,
    text: String,
    next: Option<usize>,
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_the_whole_of_a_large_output_is_to_be_had() -> Result<()> {
    let fixture = Fixture::start("large", |host| host.workflow(Large { print: Print })).await?;
    let output = format!("\"{}\"", "ä".repeat(300_000));
    fixture.requested("large", "r", "[600000,1]").await?;

    // The status says that it is there, and how to get it.
    let status: serde_json::Value =
        serde_json::from_slice(&fixture.ask("status.large.r", "").await?.expect("a status"))?;
    assert_eq!((&status["status"], &status["output"]), (&"completed".into(), &serde_json::Value::Null));
    assert_eq!(status["left_out"]["bytes"], 600_002);
    assert!(status["left_out"]["starts_with"].as_str().is_some_and(|text| text.starts_with("\"ää")));
    assert!(status["left_out"]["hint"].to_string().contains("jetway result large r"), "{status}");

    let (mut found, mut next) = (String::new(), Some(0));
    while let Some(offset) = next {
        let query = format!("{{\"offset\":{offset},\"limit\":100001}}");
        let page = fixture.ask("output.large.r", &query).await?.expect("a page");
        let page: Page = serde_json::from_slice(&page)?;
        assert!(page.text.len() <= 100_001 && (page.bytes, page.outputs) == (600_002, 1));
        found.push_str(&page.text);
        next = page.next;
    }
    assert_eq!(found, output);
    let whole: Page = serde_json::from_slice(&fixture.ask("output.large.r", "").await?.expect("a page"))?;
    assert!(whole.next.is_some_and(|next| next > 200_000), "a page without a limit is a large one");

    let run = key("large", "r")?;
    let done = fixture.result(&run).await?;
    assert_eq!(done.output.as_ref().map(|output| output.get()), Some(output.as_str()));
    assert_eq!((done.outputs.len(), done.left_out), (1, None));
    let (url, ns) = (fixture.url.clone(), fixture.ns.clone());
    let shown = jetway(&["status", "large", "r", "--nats", &url, "--namespace", &ns]).output().await?;
    assert!(shown.status.success() && shown.stdout.len() < 8000, "{shown:?}");
    fixture.stop().await;

    // Without a host, the client and the command read the record.
    let command = ["result", "large", "r", "--nats", &url, "--namespace", &ns];
    let printed = jetway(&command).output().await?;
    assert_eq!(String::from_utf8(printed.stdout)?.trim_end(), output);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_all_of_many_outputs_are_to_be_had() -> Result<()> {
    let fixture = Fixture::start("many", |host| host.workflow(Large { print: Print })).await?;
    fixture.requested("large", "r", "[200000,4]").await?;
    let done = fixture.result(&key("large", "r")?).await?;
    assert_eq!((done.outputs.len(), &done.left_out), (4, &None));
    assert!(done.outputs.iter().all(|output| output.get().len() == 200_002));
    let refused = fixture.ask("output.large.r", "{\"output\":4}").await?.expect_err("there is no fifth");
    assert!(refused.0 == "404" && refused.1.contains("the run has 4"), "{refused:?}");
    let unknown = fixture.ask("output.large.nobody", "").await?.expect_err("there is no such run");
    assert_eq!(unknown.0, "404");
    let bad =
        fixture.ask("output.large.r", "{\"offset\":2}").await?.expect_err("in the middle of a character");
    assert!(bad.0 == "400" && bad.1.contains("`next` of the page before"), "{bad:?}");
    fixture.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_large_error_is_shortened_and_not_lost() -> Result<()> {
    let fixture = Fixture::start("error", |host| host.workflow(Failing { fail: Fail })).await?;
    fixture.requested("failing", "r", "2000000").await?;
    let done = fixture.result(&key("failing", "r")?).await?;
    let error = done.error.context("it failed")?;
    assert_eq!((done.status, error.kind.as_str()), (Status::Failed, "error"));
    assert!(error.message.starts_with("Generic error: eee"), "{}", &error.message[..100]);
    assert!(error.message.len() < 9000 && error.message.contains("of 2000015 bytes"));
    fixture.stop().await;
    Ok(())
}
