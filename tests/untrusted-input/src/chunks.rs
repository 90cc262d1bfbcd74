//! Values that are kept beside a snapshot.

use jetway_nats::fuzzing;
use jetway_state::{codec, run::ChunkEntry};

/// Any bytes as a chunk; the first four also as the length of one.
pub(crate) fn chunks(bytes: &[u8]) -> bool {
    let mut length = [0; 4];
    let taken = bytes.len().min(4);
    length[..taken].copy_from_slice(&bytes[..taken]);
    divided(u32::from_le_bytes(length) as usize);
    let Ok(entries) = codec::decode::<Vec<ChunkEntry>>(bytes, "a chunk of payloads") else { return false };
    let written = codec::encode(&entries, "a chunk of payloads").expect("what was read can be written");
    let again: Vec<ChunkEntry> = codec::decode(&written, "a chunk of payloads").expect("and read again");
    assert_eq!(again, entries);
    let joined = fuzzing::parts(written.len()).flat_map(|part| written[part].to_vec()).collect::<Vec<_>>();
    assert_eq!(joined, written);
    true
}

/// Every byte of a chunk is in one part, and the parts are in order.
fn divided(bytes: usize) {
    let mut end = 0;
    for part in fuzzing::parts(bytes) {
        assert_eq!(part.start, end);
        assert!(part.end >= part.start && part.end <= bytes);
        end = part.end;
    }
    assert_eq!(end, bytes);
}
