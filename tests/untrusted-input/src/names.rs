//! Names: what is taken as one comes back as it was, in text, in JSON and in CBOR.

use jetway_state::{CommitId, ItemId, Namespace, RunId, RunKey, Timestamp, WorkflowName, codec, run::Status};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr};

/// Any text as every kind of name.
pub(crate) fn names(bytes: &[u8]) -> bool {
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let named = [
        there_and_back::<Namespace>(text),
        there_and_back::<WorkflowName>(text),
        there_and_back::<RunId>(text),
        there_and_back::<ItemId>(text),
    ];
    if let Ok(item) = ItemId::new(text) {
        items(&item, bytes);
    }
    if let Ok(status) = text.parse::<Status>() {
        assert_eq!(status.to_string(), text);
    }
    numbers(bytes);
    named.contains(&true)
}

fn there_and_back<T>(text: &str) -> bool
where
    T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let name = match text.parse::<T>() {
        Ok(name) => name,
        Err(error) => {
            assert!(error.to_string().contains("use 1 to"), "{error}");
            let json = serde_json::to_string(text).expect("text is JSON");
            assert!(serde_json::from_str::<T>(&json).is_err(), "{text:?} is let in by its encoding");
            return false;
        }
    };
    assert_eq!(name.to_string(), text);
    let json = serde_json::to_string(&name).expect("a name is JSON");
    assert_eq!(serde_json::from_str::<T>(&json).ok().as_ref(), Some(&name));
    let cbor = codec::encode(&name, "a name").expect("a name is CBOR");
    assert_eq!(codec::decode::<T>(&cbor, "a name").ok().as_ref(), Some(&name));
    true
}

/// Whatever is derived of an item is an item.
fn items(item: &ItemId, bytes: &[u8]) {
    let number = bytes.iter().fold(0_u32, |number, byte| number.rotate_left(5) ^ u32::from(*byte));
    if let Some((fan_out, position)) = item.as_branch() {
        assert_eq!(&ItemId::branch(&fan_out, position), item);
        assert!(ItemId::new(fan_out.as_str()).is_ok(), "{fan_out:?} is no item");
    }
    let fan_out = ItemId::fan_out(item);
    let branch = ItemId::branch(&fan_out, number);
    assert_eq!(branch.as_branch(), Some((fan_out.clone(), number)));
    let derived = [
        branch,
        ItemId::branch(&fan_out, u32::MAX),
        ItemId::successor(item.as_str(), number as usize),
        ItemId::gathered(&fan_out, "node"),
        fan_out,
    ];
    for item in derived {
        assert!(ItemId::new(item.as_str()).is_ok(), "{item:?} is no item");
    }
}

fn numbers(bytes: &[u8]) {
    let mut number = [0; 8];
    let taken = bytes.len().min(8);
    number[..taken].copy_from_slice(&bytes[..taken]);
    let number = u64::from_le_bytes(number);
    assert!(!Timestamp(number).to_string().is_empty());
    let commit = CommitId { writer: number, number: number.rotate_left(17) };
    assert!(RunId::new(&commit.to_string()).is_ok(), "{commit} cannot stand in a subject");
    let key = codec::decode::<RunKey>(bytes, "a run");
    if let Ok(key) = key {
        assert!(key.to_string().contains('/'));
    }
}
