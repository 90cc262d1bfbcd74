//! Writes results of runs, and refusals of start messages.

use crate::{
    committer::{ALREADY_STORED, Committer, Condition, Write},
    headers::{incarnation_of, is_removed},
    names::{Names, REVISION, Stream},
    session::{Connection, StreamReader, api},
    setup::Setup,
};
use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use jetway_engine::{
    RefusedStart,
    backend::{BackendError, BackendErrorKind, RunResult, Stored},
    publish_refusal,
};
use jetway_state::{Incarnation, RunKey, Seen, run::ResultVersion};
use std::sync::Arc;

/// How many times the result of an earlier run is replaced, at most.
const REPLACEMENTS: usize = 3;

/// Writes results.
#[derive(Debug)]
pub(crate) struct ResultWriter {
    connection: Arc<Connection>,
    names: Names,
    stream: String,
    committer: Committer,
    runs: StreamReader,
}

impl ResultWriter {
    pub(crate) async fn new(setup: &Setup) -> Result<Self, BackendError> {
        Ok(Self {
            connection: Arc::clone(&setup.connection),
            names: setup.names.clone(),
            stream: setup.names.stream(Stream::Done),
            committer: setup.committer(Stream::Done).await?,
            runs: setup.reader(Stream::Runs),
        })
    }

    /// Stores a result. The refusal of a start message has a subject of its own, for its sender, and is the result of the run only
    /// if the run has no record.
    pub(crate) async fn publish(&self, result: &RunResult) -> Result<(), BackendError> {
        let subject = self.names.done(&result.run);
        if let Some(start) = result.incarnation.refused_start() {
            self.write(result, self.names.refusal(&result.run, start)).await?;
            if !result.is_published_for_run(self.recorded_incarnation(&result.run, 0).await?) {
                return Ok(());
            }
        }
        let (run, version) = (&result.run, result.version());
        for _ in 0..REPLACEMENTS {
            if self.write(result, subject.clone()).await? != ALREADY_STORED {
                return Ok(());
            }
            // The stored result was published by an earlier attempt, or belongs to another incarnation.
            let stored = api::latest(&self.connection, &self.stream, &subject).await;
            let stored = stored.map_err(|failure| failure.cannot(format!("read the result of run {run}")))?;
            let Some(stored) = stored else { continue };
            let stored_version = version_of(&stored.headers);
            // The usual case, a repeated result, needs no read of the record.
            if stored_version.is_some_and(|stored| stored.incarnation == version.incarnation)
                || !version.replaces(stored_version, self.recorded_incarnation(run, result.revision).await?)
            {
                return Ok(());
            }
            let removed = api::delete_message(&self.connection, &self.stream, stored.sequence).await;
            removed
                .map_err(|failure| failure.cannot(format!("replace the result of an earlier run {run}")))?;
        }
        let sentence =
            format!("the result of run {run} was not stored: other writers replace it all the time");
        Err(BackendError::new(BackendErrorKind::Unavailable, sentence))
    }

    /// Whether a subject is that of start messages.
    pub(crate) fn is_start(&self, subject: &str) -> bool {
        self.names.workflow_of_start(subject).is_some()
    }

    /// Tells the sender of a start message that it was refused.
    pub(crate) async fn refuse(&self, refused: RefusedStart<'_>) -> Result<(), BackendError> {
        let clock = self.connection.clock();
        let publish = |refusal| async move { self.publish(&refusal).await };
        publish_refusal(publish, &*clock, refused).await
    }

    async fn write(&self, result: &RunResult, subject: String) -> Result<u64, BackendError> {
        let condition = Condition::Result(result.version());
        let write = Write { subject: subject.into(), payload: result.json.clone(), condition };
        let stored = self.committer.write(write).await;
        stored.map_err(|error| error.error_of(format!("the result of run {}", result.run)))
    }

    /// The first incarnation of the current record of a run, which had this revision.
    pub(crate) async fn recorded_incarnation(
        &self,
        run: &RunKey,
        revision: u64,
    ) -> Result<Option<Incarnation>, BackendError> {
        let seen = Seen::new(revision, self.runs.facts().store());
        let found = self.runs.latest(&self.names.snapshot(run), seen).await;
        let found = found.map_err(|failure| failure.cannot(format!("read run {run}")))?;
        let Some(record) = found.filter(|found| !is_removed(&found.headers)) else { return Ok(None) };
        let StreamMessage { headers, payload: bytes, sequence: revision, .. } = record;
        if let Some(incarnation) = incarnation_of(&headers) {
            return Ok(Some(incarnation));
        }
        Ok(Some(Stored { run: run.clone(), bytes, revision }.open()?.0.chain_id()))
    }
}

/// The version of a stored result; `None` if the message is no result.
fn version_of(headers: &HeaderMap) -> Option<ResultVersion> {
    let incarnation = incarnation_of(headers)?;
    let revision = headers.get(REVISION)?.as_str().parse().ok()?;
    Some(ResultVersion { incarnation, revision })
}
