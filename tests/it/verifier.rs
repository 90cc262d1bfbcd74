//! A short verification, and proof that the verifier finds defects.

use crate::support::{built, faketime, jetway};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::OnceLock};
use tokio::process::Command;

/// Kinds of waits that programs meet in every phase.
const MET_EVERYWHERE: [&str; 2] = ["waits for a time", "waits for a retry"];

/// Those that they meet sooner or later where run ids are used once.
const MET: [&str; 16] = [
    "waits for a signal",
    "waits for the first of several signals",
    "waits for all of several signals",
    "waits for a child run",
    "signals taken",
    "deadlines of signals passed",
    "signals sent before the run existed",
    "signals sent twice with one id",
    "steps over their time limit",
    "steps not done within their time",
    "steps without a heartbeat",
    "items cleaned up",
    "runs terminated",
    "deadlines of runs passed",
    "runs continued as new",
    "runs stopped after they continued as new",
];

/// Runs `jetway verify`, and checks that enough was done and that nothing was violated.
async fn verify(arguments: &[&str]) -> Result<Value> {
    let output = jetway(&["verify", "--json"]).args(arguments).stdin(Stdio::null()).output().await?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}\n{stdout}");
    let summary: Value = serde_json::from_str(&stdout).context("the summary is JSON")?;
    assert!(summary["runs"].as_u64() > Some(20), "{summary:#}");
    assert!(summary["steps"].as_u64() > summary["runs"].as_u64(), "{summary:#}");
    assert!(summary["timers"].as_u64() > Some(20), "{summary:#}");
    for what in MET_EVERYWHERE {
        assert!(summary["counts"][what].as_u64() > Some(0), "{what}: {summary:#}");
    }
    for (kind, found) in summary["violations"].as_object().context("there is a list")? {
        assert_eq!(*found, 0, "{kind}: {summary:#}");
    }
    Ok(summary)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_under_faults_of_hosts_tickets_and_server() -> Result<()> {
    // One phase at a time: on a slow machine, the time would be over before the last phase of a complete verification.
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    for (phase, faults) in [
        ("hosts", &["hosts killed", "hosts paused longer than their leases"][..]),
        ("tickets", &["tickets duplicated", "runs with tickets removed", "runs with alarms removed"]),
        ("server", &["servers killed", "servers paused"]),
    ] {
        let summary = verify(&["--seed", "1", "--phase", phase, "--minutes", "0.25"]).await?;
        for fault in faults {
            assert!(summary["faults"][*fault].as_u64() > Some(0), "{fault}: {summary:#}");
        }
        for what in MET {
            *met.entry(what).or_default() += summary["counts"][what].as_u64().context(what)?;
        }
    }
    assert!(met.values().all(|times| *times > 0), "{met:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_under_all_faults_at_once() -> Result<()> {
    verify(&["--seed", "2", "--phase", "everything", "--minutes", "0.5"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_with_a_random_seed() -> Result<()> {
    verify(&["--phase", "everything", "--minutes", "0.75"]).await?;
    Ok(())
}

/// The verifier with hosts that break a rule. It is built separately, because only it has the feature.
pub(crate) fn mutant_binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("jetway-tests", "mutant", &["fail-points"]))
}

/// Verifies hosts with a defect. One of the violations `kinds` must be found within two minutes.
async fn finds(defect: &str, phase: &str, kinds: &[&str]) -> Result<()> {
    let mut command = Command::new(mutant_binary());
    command.args(["verify", phase, "7", defect]).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let summary: Value = serde_json::from_slice(&output.stdout).context("the summary is JSON")?;
    let found = kinds.iter().filter(|kind| summary["violations"][**kind].as_u64() > Some(0));
    assert!(found.count() > 0, "with the defect {defect}, none of {kinds:?} was found: {summary:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_before_the_commit_is_found() -> Result<()> {
    finds("ack-before-commit", "hosts", &["items_without_ticket", "stuck", "lost"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_before_the_commit_are_found() -> Result<()> {
    finds("effects-before-commit", "hosts", &["items_without_ticket", "stuck", "lost", "wrong", "doubled"])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_conflict_is_found() -> Result<()> {
    finds("forgotten-conflict", "calm", &["items_without_ticket", "stuck", "lost", "wrong", "doubled"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_item_ids_are_found() -> Result<()> {
    finds("random-item-ids", "calm", &["wrong"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_instead_of_a_rebase_is_found() -> Result<()> {
    finds("merge-instead-of-rebase", "calm", &["wrong", "doubled"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_host_that_trusts_its_clock_is_found() -> Result<()> {
    match faketime().await? {
        Some(_) => finds("own-clock", "clocks", &["wrong", "lost", "stuck"]).await,
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_nothing_is_lost_with_wrong_clocks() -> Result<()> {
    if faketime().await?.is_some() {
        verify(&["--seed", "3", "--phase", "clocks", "--hosts", "5", "--minutes", "0.25"]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_hosts_that_ignore_incarnations_are_found() -> Result<()> {
    finds("ignored-incarnations", "used-ids", &["earlier_run", "wrong", "lost", "doubled"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn h3_nothing_is_mixed_up_where_run_ids_are_used_again() -> Result<()> {
    let summary = verify(&["--seed", "4", "--phase", "used-ids", "--minutes", "0.25"]).await?;
    for how in ["after the end", "after a cancellation", "while the run was running"] {
        assert!(
            summary["used_ids"][format!("ids used again {how}")].as_u64() > Some(0),
            "{how}: {summary:#}"
        );
    }
    for how in ["deleted", "purged", "expired"] {
        assert!(summary["used_ids"][format!("records {how}")].as_u64() > Some(0), "{how}: {summary:#}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_sweep_is_found() -> Result<()> {
    finds("no-sweep", "tickets", &["stuck"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_that_ring_early_are_found() -> Result<()> {
    finds("early-alarms", "calm", &["early"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_that_are_never_armed_are_found() -> Result<()> {
    finds("no-alarms", "calm", &["items_without_ticket", "stuck"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_are_applied_twice_are_found() -> Result<()> {
    finds("repeated-signals", "calm", &["doubled"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_are_skipped_are_found() -> Result<()> {
    finds("skipped-signals", "calm", &["lost", "stuck"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_ups_that_are_skipped_are_found() -> Result<()> {
    finds("no-clean-up", "calm", &["lost"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_begin_after_a_cancel_are_found() -> Result<()> {
    finds("forgotten-cancel", "calm", &["wrong"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_fail_before_their_limits_are_found() -> Result<()> {
    finds("early-limits", "calm", &["early"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_that_are_forgotten_are_found() -> Result<()> {
    finds("forgotten-deadlines", "calm", &["wrong", "stuck"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_that_do_not_go_along_are_found() -> Result<()> {
    finds("signals-left-behind", "calm", &["lost", "stuck"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_continue_as_new_without_a_ticket_are_found() -> Result<()> {
    finds("no-ticket-anew", "calm", &["items_without_ticket", "stuck"]).await
}
