//! The inputs of runs, as anybody may send them: JSON and CBOR.

use jetway_core::{Transition, step::AnyWorkflow};
use jetway_engine::{Engine, memory::MemoryBackend};
use jetway_macros::{node, workflow};
use jetway_state::{
    CommitId, Error, Incarnation, RunId, RunKey, Timestamp,
    codec::{self, Encoding},
    run::{Begin, DoneView, Input, Limits, Payload, Snapshot, StatusView, Trace, begin, offload},
    value,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

/// An input with something of everything that serde knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    id: u64,
    #[serde(default)]
    price: f64,
    #[serde(default)]
    delta: i128,
    #[serde(default)]
    lines: Vec<Line>,
    #[serde(default)]
    notes: BTreeMap<String, Option<char>>,
    #[serde(default)]
    tags: BTreeSet<(u8, i16)>,
    #[serde(default)]
    bytes: bytes::Bytes,
    #[serde(flatten)]
    more: BTreeMap<String, serde_json::Value>,
}

/// A line of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// Nothing.
    Empty,
    /// A number.
    Item(u32),
    /// Two.
    Many(u32, Box<Line>),
    /// Names.
    Named {
        /// One.
        name: String,
        /// Another.
        of: Option<Box<Line>>,
    },
}

node! {
    pub(crate) struct Take;
    input = Order;
    output = u64;
    |_, order| Ok::<_, Error>(Transition::Next(order.id))
}

workflow! {
    pub(crate) struct Orders { take: Take }
    start = take;
    name = "orders";
    edges { take => []; }
}

static ORDERS: LazyLock<Arc<dyn AnyWorkflow>> = LazyLock::new(|| {
    let engine =
        Engine::builder(Arc::new(MemoryBackend::new())).workflow::<(), _>(Orders { take: Take }).build();
    Arc::clone(engine.expect("one workflow").workflows().get("orders").expect("it is known"))
});

/// Any bytes as the input of a run; the first one says how it is encoded.
pub(crate) fn starts(bytes: &[u8]) -> bool {
    let Some((first, bytes)) = bytes.split_first() else { return false };
    let encoding = if first % 2 == 0 { Encoding::Json } else { Encoding::Cbor };
    let input = match ORDERS.run_input(bytes, encoding) {
        Ok(input) => input,
        Err(refused) => {
            assert!(refused.to_string().contains("orders"), "{refused}");
            return false;
        }
    };
    let again = ORDERS.run_input(bytes, encoding).expect("it was taken before");
    assert_eq!(input.digest(), again.digest(), "one input has two digests");
    let key = RunKey::new(ORDERS.name().clone(), RunId::new("r").expect("a run id"));
    let commit = CommitId::default();
    let (mut snapshot, _) = begin(Begin {
        key,
        incarnation: Incarnation::default(),
        commit,
        at: Timestamp(1),
        due: None,
        trace: Trace::default(),
        input,
    });
    let payload = snapshot.items.values().find_map(|item| match &item.input {
        Input::One(Payload::Inline(bytes)) => Some(bytes.clone()),
        _ => None,
    });
    value::read::<IgnoredAny>(&payload.expect("a run begins with its input"), &"an input")
        .expect("an input is a value");
    let limits = Limits { inline: 0, group: 0, ..Limits::default() };
    offload(&mut snapshot, commit, 0, &limits).expect("an input fits into chunks");
    let sealed = codec::seal(&snapshot, ORDERS.fingerprint(), "a snapshot").expect("it is written");
    assert_eq!(codec::open::<Snapshot>(&sealed, "a snapshot").expect("it is read").0, snapshot);
    serde_json::to_vec(&(
        DoneView::new(&snapshot).expect("a result"),
        StatusView::new(&snapshot, snapshot.updated_at).expect("a status"),
    ))
    .expect("views are JSON");
    true
}
