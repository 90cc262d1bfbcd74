//! The verifier with hosts that break a rule on purpose: built with the fail points, and for the test `mutants` alone.
//!
//! `mutant verify PHASE SEED` verifies and prints the summary as JSON; `mutant host ...` is the host that it starts. The
//! environment says which rule is broken, see `jetway_engine::fail_point`.

use anyhow::{Context, Result, bail};
use jetway::Namespace;
use jetway_verify::{HostCommand, Options, Summary};
use std::{env, path::Path, time::Duration};

/// How long the verifier looks for what is broken.
const TWO_MINUTES: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<()> {
    jetway_engine::fail_point::break_rule_of_environment();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["verify", phase, seed] => {
            let summary = verify(phase, seed.parse().context("the seed is a number")?).await?;
            print_summary(&summary)
        }
        ["host", "--nats", url, "--namespace", namespace, "--journal", journal] => {
            let _telemetry = jetway::telemetry::init("mutant")?;
            Ok(jetway_verify::serve(url, Namespace::new(namespace)?, Path::new(journal)).await?)
        }
        other => bail!("{other:?} is neither `verify PHASE SEED` nor `host`"),
    }
}

async fn verify(phase: &str, seed: u64) -> Result<Summary> {
    let options = Options {
        seed,
        runs: u64::MAX,
        time: TWO_MINUTES,
        phase: Some(phase.to_owned()),
        hosts: 3,
        host: HostCommand { program: env::current_exe()?, arguments: vec!["host".into()] },
    };
    Ok(jetway_verify::verify(options, |_| {}).await?)
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn print_summary(summary: &Summary) -> Result<()> {
    println!("{}", serde_json::to_string(summary)?);
    Ok(())
}
