//! Finding out what became of a write whose answer was lost.

use super::Job;
use crate::{jsapi, link::Link, names::COMMIT, write::Body};
use async_nats::jetstream::message::StreamMessage;
use jetway_state::CommitId;

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the subject's latest message, of this sequence.
    Stored(u64),
    /// It is not stored. It may still be on its way; sending it again is safe, since only one of the two can win.
    NotYet,
    /// Somebody else's message is the latest.
    Overtaken,
    /// The leader cannot be asked now.
    Unknown(String),
}

/// Asks the leader of the stream for the subject's latest message.
///
/// Never a direct get, which a follower may answer: it may not have what the leader has acknowledged.
pub(super) async fn find_out(link: &Link, stream: &str, job: &Job) -> Fate {
    let (Body::Snapshot { expected, commit, .. } | Body::Value { expected, commit, .. }) = &job.write.body
    else {
        return Fate::NotYet;
    };
    match jsapi::latest(link, stream, &job.write.subject).await {
        Ok(latest) => {
            judge(latest.as_ref().map(|found| (found.sequence, commit_of(found))), *expected, *commit)
        }
        Err(failure) => Fate::Unknown(failure.to_string()),
    }
}

fn commit_of(message: &StreamMessage) -> Option<&str> {
    message.headers.get(COMMIT).map(|commit| commit.as_str())
}

fn judge(latest: Option<(u64, Option<&str>)>, expected: u64, commit: CommitId) -> Fate {
    match latest {
        Some((sequence, Some(found))) if found == commit.to_string() => Fate::Stored(sequence),
        Some((sequence, _)) if sequence == expected => Fate::NotYet,
        None if expected == 0 => Fate::NotYet,
        _ => Fate::Overtaken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_message_tells_what_became_of_a_write() {
        let mine = CommitId { writer: 1, number: 2 };
        let (mine_text, other) = (mine.to_string(), CommitId { writer: 1, number: 3 }.to_string());
        assert_eq!(judge(Some((9, Some(&mine_text))), 7, mine), Fate::Stored(9));
        assert_eq!(judge(Some((7, Some(&other))), 7, mine), Fate::NotYet);
        assert_eq!(judge(Some((7, None)), 7, mine), Fate::NotYet);
        assert_eq!(judge(Some((9, Some(&other))), 7, mine), Fate::Overtaken);
        assert_eq!(judge(None, 0, mine), Fate::NotYet);
        assert_eq!(judge(None, 7, mine), Fate::Overtaken);
        assert_eq!(judge(Some((9, Some(&other))), 0, mine), Fate::Overtaken);
    }
}
