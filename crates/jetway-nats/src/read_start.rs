//! Start messages that are read from their stream, and not delivered: also those whose headers cannot be parsed.

use crate::{
    dead_letters::sender_headers,
    headers::{chosen_start_id, first_of_raw, run_id_of},
    names::{ORIGINAL_HEADERS, RUN_ID, START_ID},
    session::api::RawOrParsed,
};
use bytes::Bytes;
use data_encoding::BASE64;
use jetway_engine::{RefusedStart, backend::DeadLetter};
use jetway_state::StartId;

/// A start message, as far as it can be read.
#[derive(Debug)]
pub(crate) struct ReadStart {
    pub(crate) sequence: u64,
    start_id: StartId,
    /// The run id that its sender has chosen.
    run_id: Option<String>,
    /// In nanoseconds since 1970.
    published: u64,
    subject: String,
    headers: Vec<(String, String)>,
    payload: Bytes,
}

/// What the refusal of a start message names: what its sender has chosen, or an id of the stored message. `published` is in
/// nanoseconds since 1970.
pub(crate) fn start_id_of(chosen: Option<&str>, sequence: u64, published: u64) -> StartId {
    let chosen = chosen.and_then(|text| text.trim().parse().ok());
    chosen.unwrap_or_else(|| StartId::of_stored(sequence, published))
}

/// The id of the dead letter of a start message. The sequence alone is not enough, because a stream that is created again starts
/// with sequence 1.
pub(crate) fn letter_id(sequence: u64, published: u64) -> String {
    format!("start-{sequence}-{published}")
}

impl ReadStart {
    pub(crate) fn of(RawOrParsed { message, raw_headers }: RawOrParsed) -> Self {
        let published = u64::try_from(message.time.unix_timestamp_nanos()).unwrap_or(0);
        let mut headers = sender_headers(Some(&message.headers));
        let (run_id, chosen) = match &raw_headers {
            None => (run_id_of(&message.headers).map(ToOwned::to_owned), chosen_start_id(&message.headers)),
            Some(_) => (None, None),
        };
        let raw = raw_headers.as_ref().and_then(|raw| BASE64.decode(raw.as_bytes()).ok());
        let raw = raw.map(|raw| String::from_utf8_lossy(&raw).into_owned()).unwrap_or_default();
        let chosen = chosen.or_else(|| first_of_raw(&raw, &START_ID));
        let start_id = start_id_of(chosen, message.sequence, published);
        let named = first_of_raw(&raw, &RUN_ID).map(ToOwned::to_owned);
        // So that the letter says which run it was for.
        headers.extend(named.clone().map(|run_id| (RUN_ID.to_string(), run_id)));
        headers.extend(raw_headers.map(|raw| (ORIGINAL_HEADERS.to_string(), raw)));
        Self {
            sequence: message.sequence,
            start_id,
            run_id: run_id.or(named),
            published,
            subject: message.subject.to_string(),
            headers,
            payload: message.payload,
        }
    }

    /// The refusal for its sender, if it names a run.
    pub(crate) fn refused<'a>(
        &'a self,
        workflow: &'a str,
        why: &'a str,
        reason: &str,
    ) -> Option<RefusedStart<'a>> {
        let (run_id, start_id) = (self.run_id.as_ref()?, self.start_id);
        Some(RefusedStart { workflow, run_id, start_id, why, reason: reason.to_owned() })
    }

    /// Its dead letter.
    pub(crate) fn into_letter(self, workflow: &str, why: &str, reason: String) -> DeadLetter {
        DeadLetter {
            workflow: workflow.to_owned(),
            why: why.to_owned(),
            reason,
            id: letter_id(self.sequence, self.published),
            subject: self.subject,
            headers: self.headers,
            payload: self.payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u11_a_bad_start_id_counts_as_none() {
        let stored = StartId::of_stored(1, 1_000);
        for bad in [None, Some(""), Some("0000000000000000"), Some("x")] {
            assert_eq!(start_id_of(bad, 1, 1_000), stored);
        }
        assert_eq!(start_id_of(Some(" 00000000000000ff "), 1, 1_000), StartId::from_random(255));
        assert_ne!(start_id_of(None, 1, 2_000), stored);
        assert_ne!(letter_id(1, 1_000), letter_id(1, 2_000));
    }
}
