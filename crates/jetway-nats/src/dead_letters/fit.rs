//! Making a letter fit.
//!
//! A message may be as large as the server takes any, and a letter says more than the message did. What cannot be kept
//! whole is cut: a message without a letter would come again for ever.

use crate::names;
use bytes::Bytes;

/// As much of a reason is kept, in bytes: it may quote what a stranger sent.
const LONGEST_REASON: usize = 1024;

/// As much of the headers is kept, in bytes: JetStream takes messages with 64 KiB of headers, and base64 needs a third more
/// than that.
const MOST_HEADERS: usize = 48 * 1024;

/// The line end of a header, and what stands between its name and its value.
const PUNCTUATION: usize = 4;

/// What a letter keeps of a message.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Bytes,
    /// What the message had, where not all of it is kept.
    pub(super) cut: Option<String>,
}

/// As much of a message as there is room for, in bytes. Of headers that are cut, half of it is kept at most.
pub(super) fn fit(headers: Vec<(String, String)>, mut payload: Bytes, room: usize) -> Kept {
    let weight =
        |name: &str, value: &str| names::ORIGINAL_HEADER.len() + name.len() + value.len() + PUNCTUATION;
    let of_headers = headers.iter().map(|(name, value)| weight(name, value)).sum::<usize>();
    if of_headers <= MOST_HEADERS && of_headers + payload.len() <= room {
        return Kept { headers, payload, cut: None };
    }
    let cut = Some(format!("{of_headers} bytes of headers, {} bytes of payload", payload.len()));
    let most = MOST_HEADERS.min(room / 2);
    let (mut used, mut kept) = (0, Vec::new());
    for (name, value) in headers {
        let value = start_of(&value, most.saturating_sub(used + weight(&name, ""))).to_owned();
        let bytes = weight(&name, &value);
        if used + bytes <= most {
            used += bytes;
            kept.push((name, value));
        }
    }
    payload.truncate(room - used);
    Kept { headers: kept, payload, cut }
}

/// A reason that is not too long for a header.
pub(super) fn short(reason: &str) -> &str {
    start_of(reason, LONGEST_REASON)
}

/// As many whole characters as fit into so many bytes.
fn start_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(sizes: &[usize]) -> Vec<(String, String)> {
        sizes.iter().map(|size| ("h".to_owned(), "é".repeat(size / 2))).collect()
    }

    fn size(kept: &Kept) -> usize {
        let headers = kept
            .headers
            .iter()
            .map(|(name, value)| names::ORIGINAL_HEADER.len() + name.len() + value.len() + PUNCTUATION);
        headers.sum::<usize>() + kept.payload.len()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let payload = Bytes::from(vec![7; 900]);
        let kept = fit(headers(&[40]), payload.clone(), 1000);
        assert_eq!(kept, Kept { headers: headers(&[40]), payload, cut: None });
    }

    #[test]
    fn what_does_not_fit_is_cut_and_said() {
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
                kept.cut.as_ref().is_some_and(|cut| cut.contains(&format!("{of_payload} bytes of payload")))
            );
        }
        assert_eq!(fit(headers(&[50]), Bytes::from_static(b"x"), 0).headers, []);
        let kept = fit(headers(&[60_000]), Bytes::from_static(b"x"), 1_000_000);
        assert!((MOST_HEADERS - 2..=MOST_HEADERS + 1).contains(&size(&kept)), "{}", size(&kept));
        assert_eq!(short(&"é".repeat(2000)).len(), 1024);
        assert_eq!(short("a reason"), "a reason");
    }
}
