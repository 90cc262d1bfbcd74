//! Reads of single messages: from the leader of the stream, or from any replica where that is safe.

use super::{Connection, Failure, Reads, StreamFacts, api, direct};
use async_nats::jetstream::message::StreamMessage;
use jetway_state::{Belief, Seen};
use std::sync::Arc;

/// Reads messages of one stream.
///
/// A replica that is not the leader may lack what was acknowledged a moment ago. So a read that a decision rests on goes
/// to the leader. If the stream has one replica, that replica is the leader, and a direct read costs the server less.
///
/// No server is believed to be the leader for what it says alone. One that was stopped for a while answers as if it still
/// was, and the number of replicas may have changed since it was read. So an answer that is older than what the reader
/// knows, or that there is nothing, is judged by the state of the stream that the server itself gives.
#[derive(Debug)]
pub(crate) struct StreamReader {
    connection: Arc<Connection>,
    stream: String,
    reads: Arc<Reads>,
    facts: Arc<StreamFacts>,
}

impl StreamReader {
    /// Reads directly by `reads`, and from the leader over `connection`.
    pub(crate) fn new(
        connection: Arc<Connection>,
        reads: Arc<Reads>,
        stream: String,
        facts: Arc<StreamFacts>,
    ) -> Self {
        Self { connection, stream, reads, facts }
    }

    /// From now on, reads that a decision rests on go to the leader, or again to the only replica.
    pub(crate) fn prepare_for(&self, replicas: usize) {
        self.facts.prepare_for(replicas);
    }

    /// What is known of the stream.
    pub(crate) fn facts(&self) -> &StreamFacts {
        &self.facts
    }

    /// The latest message of a subject, including every write that was acknowledged before.
    ///
    /// # Errors
    /// `TooOld` if every answer is older than what was seen.
    pub(crate) async fn latest(&self, subject: &str, seen: Seen) -> Result<Option<StreamMessage>, Failure> {
        let is_met = |found: &StreamMessage| seen.is_met_by(found.sequence);
        if self.facts.one_replica()
            && let Some(found) = self.direct(subject).await?.filter(is_met)
        {
            return Ok(Some(self.noted(found)));
        }
        match api::latest(&self.connection, &self.stream, subject).await?.filter(is_met) {
            Some(found) => Ok(Some(self.noted(found))),
            None if seen == Seen::default() && self.facts.one_replica() => Ok(None),
            None => self.judged(subject, seen).await,
        }
    }

    /// The message of a subject that is written once and never changes. Any replica that has it may answer; if one does
    /// not have it, the leader decides.
    ///
    /// # Errors
    /// `TooOld` if the one that does not have it lacks other messages that were seen.
    pub(crate) async fn immutable(&self, subject: &str) -> Result<Option<StreamMessage>, Failure> {
        match self.direct(subject).await? {
            Some(found) => Ok(Some(found)),
            None => self.judged(subject, Seen::default()).await,
        }
    }

    /// The first message of a subject, wildcards allowed, from a sequence on. Any replica may answer.
    pub(crate) async fn first_from(
        &self,
        subject: String,
        sequence: u64,
    ) -> Result<Option<StreamMessage>, Failure> {
        let connection = self.reads.get().await?;
        match direct::first_from(&connection, &self.stream, subject.clone(), sequence).await {
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                self.reads.first_from(&self.stream, &subject, sequence).await
            }
            read => read.inspect_err(|failure| self.connection.note(failure)),
        }
    }

    async fn direct(&self, subject: &str) -> Result<Option<StreamMessage>, Failure> {
        let connection = self.reads.get().await?;
        match direct::latest(&connection, &self.stream, subject.to_owned()).await {
            Err(ref failure) if self.reads.is_lost(&connection, failure).await => {
                self.reads.latest(&self.stream, subject).await
            }
            read => read.inspect_err(|failure| self.connection.note(failure)),
        }
    }

    /// The answer of the leader, if the state of its stream proves that it has what was seen.
    async fn judged(&self, subject: &str, seen: Seen) -> Result<Option<StreamMessage>, Failure> {
        let read = || api::latest(&self.connection, &self.stream, subject);
        if !self.facts.is_inspected() {
            return read().await;
        }
        let known = self.facts.highest();
        let state = api::subject_state(&self.connection, &self.stream, subject).await?;
        let before = self.facts.store();
        self.facts.learn(&state);
        let store = self.facts.store();
        let latest = state.state.last_seq;
        let is_old = seen.judge(latest, store) == Belief::TooOld || (latest < known && store == before);
        // What the only replica lost with its server is lost.
        if is_old && !self.facts.one_replica() {
            return Err(Failure::TooOld {
                stream: self.stream.clone(),
                latest,
                seen: seen.revision.max(known),
            });
        }
        if state.state.subjects.is_none_or(|subjects| subjects.is_empty()) {
            return Ok(None);
        }
        // The stream was restored from a copy, or is another one: older than what was seen, and all that there is.
        let found = read().await?;
        found.map(|found| Some(self.noted(found))).ok_or_else(|| Failure::TooOld {
            stream: self.stream.clone(),
            latest,
            seen: seen.revision,
        })
    }

    fn noted(&self, found: StreamMessage) -> StreamMessage {
        self.facts.reached(found.sequence);
        found
    }
}
