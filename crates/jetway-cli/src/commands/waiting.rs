//! Waits for the end of a run: with progress, and with the command that goes on waiting.

use crate::{
    args::ServerArgs,
    exit::Exit,
    output::{self, RunProgress, spoken},
};
use jetway::{
    Client, RunKey,
    client::{ClientError, DoneView, ResultOf},
};
use std::{pin::pin, time::Duration};
use tokio::time::MissedTickBehavior;

/// The interval at which the status of the run is read to show its progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// The end of a wait.
pub(super) enum Waited {
    /// The run ended.
    Done(Box<DoneView>),
    /// Ctrl-C. The run goes on.
    Interrupted,
}

/// Waits for the result of a run. `interrupt` is a request to end, which may have come before: one that nobody listens for is lost.
///
/// # Errors
/// The run does not end in time, or the server does not answer.
pub(super) async fn wait_for<'a>(
    client: &Client,
    run: impl Into<ResultOf<'a>>,
    key: &RunKey,
    wait: Duration,
    interrupt: impl Future<Output = std::io::Result<jetway::host::ShutdownSignal>>,
) -> anyhow::Result<Waited> {
    let mut progress = RunProgress::new()?;
    let waited = tokio::select! {
        done = result(client, run.into(), key, wait, &mut progress) => done.map(|done| Waited::Done(Box::new(done))),
        signal = interrupt => Ok(signal.map(|_signal| Waited::Interrupted)?),
    };
    progress.finish();
    waited
}

/// Says how to go on waiting, if the error is that the run did not end in time.
pub(super) fn say_how_to_go_on(error: &anyhow::Error, key: &RunKey, server: &ServerArgs) {
    if let Some(ClientError::TimedOut { .. }) = error.downcast_ref() {
        output::note(&format!("run {key} has not ended. {}", go_on(key, server)));
    }
}

/// Reports that Ctrl-C ended the wait.
pub(super) fn interrupted(key: &RunKey, server: &ServerArgs) -> Exit {
    output::print_failure(
        &format!("interrupted: run {key} goes on. {}", go_on(key, server)),
        Exit::Interrupted,
    );
    Exit::Interrupted
}

/// What to type to wait for a run.
pub(super) fn go_on(key: &RunKey, server: &ServerArgs) -> String {
    let RunKey { workflow, run_id } = key;
    format!("Wait for its end with: jetway result {workflow} {run_id}{} --wait 5m", server.flags())
}

/// How long the command waits, for a message.
pub(super) fn limit(wait: Duration) -> String {
    format!("waiting for its result for at most {}", spoken(wait))
}

async fn result(
    client: &Client,
    run: ResultOf<'_>,
    key: &RunKey,
    wait: Duration,
    progress: &mut RunProgress,
) -> anyhow::Result<DoneView> {
    let mut result = pin!(client.result(run, wait));
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once: a run that is quick has no progress.
    ticks.tick().await;
    loop {
        tokio::select! {
            result = &mut result => return Ok(result?),
            status = async {
                ticks.tick().await;
                client.status(key).await
            } => match status {
                Ok(status) => progress.show(&status),
                // The run does not depend on it. What is wrong with the server ends the wait for the result.
                Err(_no_status) => progress.tick(),
            },
        }
    }
}
