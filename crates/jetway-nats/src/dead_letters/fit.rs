//! Makes a dead letter fit into one message.
//!
//! A message may have the largest size that the server accepts, and its dead letter has additional headers. So the dead
//! letter may hold only the first part of the message. Without a dead letter, the message would be delivered forever.

use crate::names;
use bytes::Bytes;

/// The longest reason, in bytes. A reason may quote text from a client.
const LONGEST_REASON: usize = 1024;

/// The most bytes of headers that are kept. JetStream accepts 64 KiB of headers, and base64 makes them a third larger.
const MAX_HEADERS: usize = 48 * 1024;

/// The bytes of a header besides name and value: the separator and the line end.
const PUNCTUATION: usize = 4;

/// The parts of a message that a dead letter holds.
#[derive(Debug, PartialEq)]
pub(super) struct FittedLetter {
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Bytes,
    /// The size of the message, if the dead letter does not hold all of it.
    pub(super) original_size: Option<String>,
}

/// As much of a message as fits into `room` bytes. If it does not fit, headers take at most half of the room.
pub(super) fn fit(headers: Vec<(String, String)>, mut payload: Bytes, room: usize) -> FittedLetter {
    let size_of =
        |name: &str, value: &str| names::ORIGINAL_HEADER.len() + name.len() + value.len() + PUNCTUATION;
    let of_headers = headers.iter().map(|(name, value)| size_of(name, value)).sum::<usize>();
    if of_headers <= MAX_HEADERS && of_headers + payload.len() <= room {
        return FittedLetter { headers, payload, original_size: None };
    }
    let original_size = Some(format!("{of_headers} bytes of headers, {} bytes of payload", payload.len()));
    let max = MAX_HEADERS.min(room / 2);
    let (mut used, mut kept) = (0, Vec::new());
    for (name, value) in headers {
        let value = start_of(&value, max.saturating_sub(used + size_of(&name, ""))).to_owned();
        let bytes = size_of(&name, &value);
        if used + bytes <= max {
            used += bytes;
            kept.push((name, value));
        }
    }
    payload.truncate(room - used);
    FittedLetter { headers: kept, payload, original_size }
}

/// The reason, cut off after [`LONGEST_REASON`] bytes.
pub(super) fn shortened(reason: &str) -> &str {
    start_of(reason, LONGEST_REASON)
}

/// As many characters from the start of the text as fit into `bytes`.
fn start_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sizes: &[usize]) -> Vec<(String, String)> {
        sizes.iter().map(|size| ("h".to_owned(), "é".repeat(size / 2))).collect()
    }

    fn size(kept: &FittedLetter) -> usize {
        let headers = kept
            .headers
            .iter()
            .map(|(name, value)| names::ORIGINAL_HEADER.len() + name.len() + value.len() + PUNCTUATION);
        headers.sum::<usize>() + kept.payload.len()
    }

    #[test]
    fn a_message_that_fits_is_kept_completely() {
        let payload = Bytes::from(vec![7; 900]);
        let kept = fit(headers(&[40]), payload.clone(), 1000);
        assert_eq!(kept, FittedLetter { headers: headers(&[40]), payload, original_size: None });
    }

    #[test]
    fn a_message_that_does_not_fit_is_shortened_with_a_note() {
        for (of_headers, of_payload) in [
            (vec![], 2000),
            (vec![40], 970),
            (vec![3000], 0),
            (vec![600, 10, 600], 500),
            (vec![300; 90], 5000),
        ] {
            let kept = fit(headers(&of_headers), Bytes::from(vec![7; of_payload]), 1000);
            assert!((900..=1000).contains(&size(&kept)) || kept.payload.len() == of_payload, "{kept:?}");
            assert!(size(&kept) <= 1000, "{kept:?}");
            assert!(
                kept.original_size
                    .as_ref()
                    .is_some_and(|size| size.contains(&format!("{of_payload} bytes of payload")))
            );
        }
        assert_eq!(fit(headers(&[50]), Bytes::from_static(b"x"), 0).headers, []);
        let kept = fit(headers(&[60_000]), Bytes::from_static(b"x"), 1_000_000);
        assert!((MAX_HEADERS - 2..=MAX_HEADERS + 1).contains(&size(&kept)), "{}", size(&kept));
        assert_eq!(shortened(&"é".repeat(2000)).len(), 1024);
        assert_eq!(shortened("a reason"), "a reason");
    }
}
