//! The work item enum.

use jetway_core::{Transition, WorkItem, Workflow};
use jetway_macros::{node, workflow};

node! { pub struct Fetch; input = String; output = Vec<String>; |_, x| Ok(Transition::Next(vec![x])) }
node! { pub struct Store; input = Vec<String>; output = (); |_, _| Ok(Transition::Hold) }

workflow! {
    pub struct Corpus { fetch_page: Fetch, store: Store }
    start = fetch_page;
    edges { fetch_page => [store]; store => []; }
}

fn corpus() -> Corpus {
    Corpus { fetch_page: Fetch, store: Store }
}

#[test]
fn the_start_item_has_a_fixed_id() {
    let item = corpus().start_work_item("a".to_owned());
    assert_eq!(item, CorpusWorkItem::FetchPage("start".to_owned(), "a".to_owned()));
    assert_eq!(item.instance_id(), "start");
}

#[test]
fn items_know_their_node() {
    let fetch = CorpusWorkItem::FetchPage("1".to_owned(), "a".to_owned());
    let store = CorpusWorkItem::Store("2".to_owned(), vec!["a".to_owned()]);
    assert_eq!((fetch.node().as_str(), fetch.is_terminal()), ("fetch_page", false));
    assert_eq!((store.node().as_str(), store.is_terminal()), ("store", true));
    assert_eq!(store.to_string(), "Store([\"a\"])");
    assert_eq!(format!("{store:?}"), "Store(\"2\", [\"a\"])");
    assert_eq!(CorpusWorkItem::gathered("store", Vec::new()), None);
}

#[test]
fn items_are_equal_by_id_and_input() {
    let item = |id: &str, input: &str| CorpusWorkItem::FetchPage(id.to_owned(), input.to_owned());
    assert_eq!(item("1", "a"), item("1", "a").clone());
    assert_ne!(item("1", "a"), item("2", "a"));
    assert_ne!(item("1", "a"), item("1", "b"));
    assert_ne!(item("1", "a"), CorpusWorkItem::Store("1".to_owned(), Vec::new()));
    assert_eq!(item("1", "a").with_instance_id("2".to_owned()), item("2", "a"));
}

#[test]
fn items_are_encoded_as_variant_id_and_input() {
    let item = CorpusWorkItem::FetchPage("1".to_owned(), "a".to_owned());
    let json = serde_json::to_value(&item).unwrap();
    assert_eq!(json, serde_json::json!({ "FetchPage": ["1", "a"] }));
    assert_eq!(serde_json::from_value::<CorpusWorkItem>(json).unwrap(), item);
}

#[test]
fn items_in_cbor_are_an_entry_with_an_array() {
    let item = CorpusWorkItem::FetchPage("1".to_owned(), "a".to_owned());
    let mut bytes = Vec::new();
    ciborium::into_writer(&item, &mut bytes).unwrap();
    assert_eq!(bytes, b"\xa1\x69FetchPage\x82\x611\x61a");
    assert_eq!(ciborium::from_reader::<CorpusWorkItem, _>(bytes.as_slice()).unwrap(), item);
    for bad in [&b"\xa1\x69FetchPage\x81\x611"[..], b"\xa1\x69FetchPage\x611", b"\x69FetchPage"] {
        ciborium::from_reader::<CorpusWorkItem, _>(bad).unwrap_err();
    }
}
