//! The verifier with hosts that have a defect, for the tests in `it/verifier.rs`.
//!
//! `mutant verify PHASE SEED DEFECT` verifies and prints the summary as JSON. `mutant host DEFECT ...` is the host that it
//! starts. A defect is one of [`Defect`], `random-item-ids`, `ignored-incarnations`, `signals-left-behind` or `early-limits`.

use anyhow::{Context, Result, bail};
use jetway::Namespace;
use jetway_state::broken_rule::{
    count_limits_from_earlier, ignore_incarnations, leave_signals_behind, use_random_item_ids,
};
use jetway_verify::{
    HostCommand, Options, Summary,
    defects::{Defect, serve_with},
    serve,
};
use std::{env, path::Path, time::Duration};

/// The time limit for finding the defect.
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// The defects that are no decorators, but broken rules.
const RANDOM_ITEM_IDS: &str = "random-item-ids";
const IGNORED_INCARNATIONS: &str = "ignored-incarnations";
const SIGNALS_LEFT_BEHIND: &str = "signals-left-behind";
const EARLY_LIMITS: &str = "early-limits";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["verify", phase, seed, defect] => {
            let summary = verify(phase, seed.parse().context("the seed is a number")?, defect).await?;
            print_summary(&summary)
        }
        ["host", defect, "--nats", url, "--namespace", namespace, "--journal", journal] => {
            host(defect, url, Namespace::new(namespace)?, Path::new(journal)).await
        }
        other => bail!("{other:?} is neither `verify PHASE SEED DEFECT` nor `host`"),
    }
}

async fn verify(phase: &str, seed: u64, defect: &str) -> Result<Summary> {
    let options = Options {
        seed,
        runs: u64::MAX,
        time: TIME_LIMIT,
        phase: Some(phase.to_owned()),
        hosts: 3,
        host: HostCommand { program: env::current_exe()?, arguments: vec!["host".into(), defect.into()] },
    };
    Ok(jetway_verify::verify(options, |_| {}).await?)
}

async fn host(defect: &str, url: &str, namespace: Namespace, journal: &Path) -> Result<()> {
    let _telemetry = jetway::telemetry::init("mutant")?;
    match defect {
        RANDOM_ITEM_IDS => use_random_item_ids(rand::random()),
        IGNORED_INCARNATIONS => ignore_incarnations(),
        SIGNALS_LEFT_BEHIND => leave_signals_behind(),
        EARLY_LIMITS => count_limits_from_earlier(),
        defect => return Ok(serve_with(defect.parse::<Defect>()?, url, namespace, journal).await?),
    }
    Ok(serve(url, namespace, journal).await?)
}

#[expect(clippy::print_stdout, reason = "the summary is the output of the program")]
fn print_summary(summary: &Summary) -> Result<()> {
    println!("{}", serde_json::to_string(summary)?);
    Ok(())
}
