//! Looking up whether a write was stored whose reply was lost.

use super::{Condition, Job};
use crate::{
    names::COMMIT,
    session::{Connection, api},
};
use async_nats::jetstream::message::StreamMessage;
use jetway_state::CommitId;

/// The result of looking up a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It is the subject's latest message, with this sequence.
    Stored(u64),
    /// It is not stored. It may still arrive. Sending it again is safe, since the server stores only one of the two.
    NotStored,
    /// The message of another writer is the latest.
    Replaced,
    /// The leader did not answer.
    Unknown(String),
}

/// Asks the leader of the stream for the subject's latest message.
///
/// This is no direct get: a follower could answer that, and may lack what the leader has acknowledged.
pub(super) async fn look_up(connection: &Connection, stream: &str, job: &Job) -> Lookup {
    let (Condition::Snapshot { expected, commit, .. } | Condition::StoreValue { expected, commit, .. }) =
        &job.write.condition
    else {
        return Lookup::NotStored;
    };
    match api::latest(connection, stream, &job.write.subject).await {
        Ok(latest) => {
            classify(latest.as_ref().map(|found| (found.sequence, commit_of(found))), *expected, *commit)
        }
        Err(failure) => Lookup::Unknown(failure.to_string()),
    }
}

fn commit_of(message: &StreamMessage) -> Option<&str> {
    message.headers.get(COMMIT).map(|commit| commit.as_str())
}

fn classify(latest: Option<(u64, Option<&str>)>, expected: u64, commit: CommitId) -> Lookup {
    match latest {
        Some((sequence, Some(found))) if found == commit.to_string() => Lookup::Stored(sequence),
        Some((sequence, _)) if sequence == expected => Lookup::NotStored,
        None if expected == 0 => Lookup::NotStored,
        _ => Lookup::Replaced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_message_decides_whether_a_write_was_stored() {
        let mine = CommitId { writer: 1, number: 2 };
        let (mine_text, other) = (mine.to_string(), CommitId { writer: 1, number: 3 }.to_string());
        assert_eq!(classify(Some((9, Some(&mine_text))), 7, mine), Lookup::Stored(9));
        assert_eq!(classify(Some((7, Some(&other))), 7, mine), Lookup::NotStored);
        assert_eq!(classify(Some((7, None)), 7, mine), Lookup::NotStored);
        assert_eq!(classify(Some((9, Some(&other))), 7, mine), Lookup::Replaced);
        assert_eq!(classify(None, 0, mine), Lookup::NotStored);
        assert_eq!(classify(None, 7, mine), Lookup::Replaced);
        assert_eq!(classify(Some((9, Some(&other))), 0, mine), Lookup::Replaced);
    }
}
