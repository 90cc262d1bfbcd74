//! One value with all that serde can do, from the input over nodes, a context, a gathering node and a child run to the output.

use super::support::{Fixture, RawDone, key};
use crate::support::jetway;
use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};
use jetway::{ChildRun, Transition, merge::Register, node, workflow};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::{collections::BTreeMap, net::IpAddr, time::Duration};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype(u8);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair(i8, String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum External {
    Unit,
    Newtype(Uuid),
    Tuple(u128, f32),
    Struct { ip: IpAddr },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Unit,
    Host { id: Uuid, ip: IpAddr, at: DateTime<Utc>, share: f64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    Unit,
    Newtype(i128),
    Struct { ip: IpAddr },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Ip(IpAddr),
    Text(String),
    Any(serde_json::Value),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    z: u8,
    a: Option<f64>,
}

/// Its derived code calls every method of `Serializer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    zeta: bool,
    signed: (i8, i16, i32, i64, i128),
    unsigned: (u8, u16, u32, u64, u128),
    floats: (f32, f64, f64, f64),
    character: char,
    text: String,
    bytes: ByteBuf,
    none: Option<u8>,
    some: Option<String>,
    nothing: (),
    unit: Unit,
    newtype: Newtype,
    pair: Pair,
    list: Vec<External>,
    internal: Vec<Internal>,
    adjacent: Vec<Adjacent>,
    untagged: Vec<Untagged>,
    by_int: BTreeMap<i64, u8>,
    by_bool: BTreeMap<bool, u8>,
    by_char: BTreeMap<char, u8>,
    by_variant: BTreeMap<Colour, u8>,
    by_uuid: BTreeMap<Uuid, IpAddr>,
    at: DateTime<Utc>,
    day: NaiveDate,
    for_long: Duration,
    any: serde_json::Value,
    #[serde(flatten)]
    inner: Inner,
    alpha: u8,
}

fn everything() -> Everything {
    let (id, ip) = (Uuid::from_u128(7 << 100), IpAddr::from([127, 0, 0, 1]));
    let at = DateTime::from_timestamp(1_780_000_000, 123_456_789).expect("a time");
    Everything {
        zeta: true,
        signed: (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN),
        unsigned: (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX),
        floats: (0.1, 0.1 + 0.2, 5e-324, -0.0),
        character: 'ß',
        text: "\"a\\b\"\n\u{7}€😀".to_owned(),
        bytes: ByteBuf::from(vec![0, 1, 255]),
        none: None,
        some: Some(String::new()),
        nothing: (),
        unit: Unit,
        newtype: Newtype(1),
        pair: Pair(-1, "b".to_owned()),
        list: vec![
            External::Unit,
            External::Newtype(id),
            External::Tuple(1 << 64, f32::MAX),
            External::Struct { ip },
        ],
        internal: vec![Internal::Unit, Internal::Host { id, ip, at, share: 1.0 }],
        adjacent: vec![Adjacent::Unit, Adjacent::Newtype(i128::MIN), Adjacent::Struct { ip }],
        untagged: vec![
            Untagged::Number(-1),
            Untagged::Ip(ip),
            Untagged::Text("x".to_owned()),
            Untagged::Any(serde_json::json!({ "V4": [127, 0, 0, 1] })),
        ],
        by_int: BTreeMap::from([(-1, 1), (10, 2)]),
        by_bool: BTreeMap::from([(false, 0), (true, 1)]),
        by_char: BTreeMap::from([('"', 0)]),
        by_variant: BTreeMap::from([(Colour::Red, 0), (Colour::Green, 1)]),
        by_uuid: BTreeMap::from([(id, ip)]),
        at,
        day: at.date_naive(),
        for_long: Duration::new(1, 2),
        any: serde_json::json!({ "b": [1.5, null, u64::MAX, -1, "x"], "a": {} }),
        inner: Inner { z: 1, a: Some(-1.5e300) },
        alpha: 0,
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
struct Seen {
    last: Register<Option<Everything>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
struct OfChild {}

node! {
    struct Look; context = Seen; input = Everything; output = Everything;
    |seen, value| {
        assert_eq!(value, everything());
        seen.last.set(Some(value.clone()));
        Ok(Transition::Next(value))
    }
}
node! {
    struct Twice; context = Seen; input = Everything; output = Everything;
    |seen, value| {
        assert_eq!(seen.last.get(), Some(value.clone()));
        Ok(Transition::NextAll(vec![value.clone(), value]))
    }
}
node! {
    struct Join; context = Seen; input = Vec<Everything>; output = Vec<Everything>;
    |_, values| {
        assert_eq!(values, [everything(), everything()]);
        Ok(Transition::Next(values))
    }
}
node! {
    struct Same; context = OfChild; input = Everything; output = Everything;
    |_, value| {
        assert_eq!(value, everything());
        Ok(Transition::Next(value))
    }
}

workflow! {
    struct Echo { same: Same } name = "echo";
    context = OfChild; start = same; edges { same => []; }
}

workflow! {
    struct Table { look: Look, twice: Twice, child: ChildRun<OfChild, Echo>, #[gather] join: Join } name = "table";
    context = Seen;
    start = look;
    edges { look => [twice]; twice => [child]; child => [join]; join => []; }
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_every_client_sees_the_json_of_serde_json() -> Result<()> {
    let table = Table { look: Look, twice: Twice, child: ChildRun::new(Echo { same: Same }), join: Join };
    let fixture = Fixture::start("table", |host| host.workflow(table).workflow(Echo { same: Same })).await?;
    let (input, output) =
        (serde_json::to_string(&everything())?, serde_json::to_string(&[everything(), everything()])?);
    for bytes in
        [fixture.published("table", "a", &input).await?, fixture.requested("table", "b", &input).await?]
    {
        let done: RawDone = serde_json::from_slice(&bytes)?;
        assert_eq!((done.status.as_str(), &done.error), ("completed", &None));
        assert_eq!(done.output.get(), output);
        assert_eq!(done.outputs, [done.output]);
    }
    let status: RawDone =
        serde_json::from_slice(&fixture.ask("status.table.a", "").await?.expect("a status"))?;
    assert_eq!(status.output.get(), output);
    let run = key("table", "a")?;
    let done = fixture.result(&run).await?.output.expect("an output");
    assert_eq!(done.get(), output);
    assert_eq!(done.read::<Vec<Everything>>()?, [everything(), everything()]);
    assert_eq!(fixture.client.output(&run, 0).await?.get(), output);
    let (url, ns) = (&fixture.url, &fixture.ns);
    for command in
        [&["result", "table", "a"][..], &["start", "table", "--id", "c", "--wait", "--input", &input]]
    {
        let plain = jetway(command).args(["--nats", url, "--namespace", ns]).output().await?;
        assert_eq!(String::from_utf8(plain.stdout)?, format!("{output}\n"), "{command:?}");
        let json = jetway(command).args(["--json", "--nats", url, "--namespace", ns]).output().await?;
        let done: RawDone = serde_json::from_slice(&json.stdout)?;
        assert_eq!(done.output.get(), output, "{command:?}");
    }
    fixture.stop().await;
    Ok(())
}
