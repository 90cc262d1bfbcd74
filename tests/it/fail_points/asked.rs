//! Signals to runs of the workflow `asked` while hosts die.

use super::fixture::Fixture;
use crate::support::DEADLINE;
use anyhow::{Result, ensure};
use jetway::{RunKey, client::SignalOptions};
use jetway_testing::wait_until;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The signal that the first step waits for.
pub(super) const NUMBER: &str = "number";
/// A signal that no step waits for.
pub(super) const SPARE: &str = "spare";

/// Publishes these signals, in their order. Doing it twice has the effect of once.
pub(super) async fn send(fixture: &Fixture, run: &RunKey, names: &[&str]) -> Result<()> {
    for name in names {
        let payload = if *name == NUMBER { json!(7) } else { Value::Null };
        // The server knows an id for the whole stream.
        let options = SignalOptions::with_id(format!("{name} to {}", run.run_id));
        fixture.client.publish_signal(run, name, &payload, &options).await?;
    }
    Ok(())
}

/// Publishes these signals when the run waits for one of them, unless that is done.
pub(super) async fn answer(fixture: &Fixture, run: &RunKey, names: &[&str]) -> Result<()> {
    const SENT: &str = "signals-sent";
    if fixture.is_open(run, SENT) {
        return Ok(());
    }
    // Or it has gone on already: the host died before the server said that it had stored the signal.
    wait_until("the run waits for its signal", DEADLINE, async || {
        let status = fixture.client.status(run).await.ok()?;
        let waits = status.pending.iter().any(|pending| pending.signals.contains(NUMBER));
        (waits || status.run.steps > 0).then_some(())
    })
    .await;
    send(fixture, run, names).await?;
    fixture.open(run, &[SENT])
}

/// Checks that so many signals are dead letters, since no step has taken them, and that nothing else is.
pub(super) async fn check_dead_letters(fixture: &Fixture, untaken: usize) -> Result<()> {
    let expected: BTreeMap<String, usize> = match untaken {
        0 => BTreeMap::new(),
        _ => [("never_taken".to_owned(), untaken)].into(),
    };
    let found = fixture.dead_letters().await?;
    ensure!(found == expected, "dead letters {found:?}, expected {expected:?}");
    Ok(())
}
