//! Blobs: large values that are stored as several messages, their parts.
//!
//! The parts are written first, under subjects that no other write uses, and never change. Then the message that refers to
//! them is written. Hosts store chunks of snapshots in this way, stores their values that exceed one message.

use crate::{
    committer::{Condition, Write},
    session::{Failure, PART_BYTES, StreamReader},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::ops::Range;

/// How many parts are read at once.
const READS_AT_ONCE: usize = 8;

/// The range of each part of a blob. An empty blob has one part, which is empty.
pub(crate) fn part_ranges(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let count = bytes.div_ceil(PART_BYTES).max(1);
    (0..count).map(move |part| part * PART_BYTES..((part + 1) * PART_BYTES).min(bytes))
}

/// The writes of a blob's parts. The functions give the subject of a part by its number, and its condition.
pub(crate) fn part_writes(
    bytes: &Bytes,
    subject: impl Fn(usize) -> String,
    condition: impl Fn() -> Condition,
) -> impl Iterator<Item = Write> {
    part_ranges(bytes.len()).enumerate().map(move |(number, range)| Write {
        subject: subject(number).into(),
        payload: bytes.slice(range),
        condition: condition(),
    })
}

/// Reads a blob of `size` bytes. The function gives the subject of a part by its number. `None` if a part does not exist
/// any more, or if the parts have another size.
pub(crate) async fn read(
    reader: &StreamReader,
    size: usize,
    subject: impl Fn(usize) -> String + Send,
) -> Result<Option<Bytes>, Failure> {
    let count = part_ranges(size).count();
    let reads = (0..count).map(|number| {
        let subject = subject(number);
        async move { reader.immutable(&subject).await }
    });
    let parts: Vec<_> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    let parts: Option<Vec<Bytes>> = parts.into_iter().map(|part| Some(part?.payload)).collect();
    Ok(parts.and_then(joined).filter(|blob| blob.len() == size))
}

fn joined(mut parts: Vec<Bytes>) -> Option<Bytes> {
    if parts.len() == 1 {
        return parts.pop();
    }
    let mut blob = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| blob.extend_from_slice(part));
    Some(blob.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_a_blob_without_gaps() {
        for bytes in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES + 7] {
            let parts: Vec<_> = part_ranges(bytes).collect();
            assert_eq!(parts.len(), bytes.div_ceil(PART_BYTES).max(1));
            assert_eq!(parts.last().map(|part| part.end), Some(bytes));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn parts_are_joined_in_their_order() {
        let parts = ["a", "bc", "d"].map(|part| Bytes::from_static(part.as_bytes()));
        assert_eq!(joined(parts.to_vec()).as_deref(), Some(b"abcd".as_slice()));
    }
}
