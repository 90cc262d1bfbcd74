//! Which values are kept exactly, and which are errors.

use super::*;
use crate::run::EncodedOutput;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Debug, net::IpAddr};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Wei { amount: u128 },
    Host { ip: IpAddr },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Host {
    Ip(IpAddr),
    Other(serde_json::Value),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

fn tree(levels: usize) -> Tree {
    (1..levels).fold(Tree(Vec::new()), |inner, _| Tree(vec![inner]))
}

#[track_caller]
fn gives_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, as_json: bool) {
    let [compared, opaque] = [write(value, &"x").unwrap(), write_opaque(value, &"x").unwrap()];
    for written in [&compared, &opaque] {
        assert_eq!(read::<T>(written, &"x").unwrap(), *value);
    }
    assert_eq!(compared.starts_with(&EMBEDDED_JSON), as_json, "{value:?}");
}

#[test]
fn f2_what_cannot_be_read_back_is_an_error() {
    let refused = write(&Tagged::Wei { amount: 7 }, &"input of node \"pay\"").unwrap_err();
    assert_eq!(refused.to_string(), "cannot read back input of node \"pay\": u128 is not supported");
    assert_eq!(refused.kind(), "codec");
    let refused = write_opaque(&Tagged::Wei { amount: 1 << 70 }, &"the context").unwrap_err();
    assert!(refused.to_string().starts_with("cannot read back the context: "), "{refused}");
}

#[test]
fn f2_values_for_people_are_kept_as_json() {
    let ip = IpAddr::from([127, 0, 0, 1]);
    gives_back(&ip, false);
    // CBOR is no format for people, so the address is four numbers, and serde looks for a text.
    gives_back(&Tagged::Host { ip }, true);
    // Here CBOR would give another value back.
    gives_back(&Host::Ip(ip), true);
    gives_back(&Host::Other(serde_json::json!({ "V4": [127, 0, 0, 1] })), false);
}

#[test]
fn f2_numbers_maps_and_bytes_are_exact() {
    gives_back(&(u128::MAX, i128::MIN, f32::MIN_POSITIVE, 5e-324), false);
    gives_back(&BTreeMap::from([((1, true), 'x')]), false);
    gives_back(&ByteBuf::from(vec![0, 255]), false);
    let nan = write(&Some(f64::NAN), &"x").unwrap();
    assert!(read::<Option<f64>>(&nan, &"x").unwrap().unwrap().is_nan());
}

#[test]
fn f4_one_limit_of_depth_for_writing_and_reading() {
    gives_back(&tree(MAX_DEPTH), false);
    let refused = write(&tree(257), &"input of node \"a\"").unwrap_err().to_string();
    assert_eq!(
        refused,
        "cannot read back input of node \"a\": it is nested too deeply: the limit is 200 levels"
    );
    // What is accepted as JSON fits into a work item.
    gives_back(&(tree(MAX_DEPTH), "id".to_owned()), false);
}

/// A value without a type is as exact as serde_json makes it.
#[test]
fn f3_values_without_a_type_stay_as_they_were_read() {
    let text = r#"{"b":[1.5,null,18446744073709551615,-1,"x"],"a":123456789012345678901234567890.10}"#;
    let value: serde_json::Value = json::read(text.as_bytes(), &"x").unwrap();
    gives_back(&value, false);
    gives_back(&(Some(value.clone()), value["b"][0].clone()), false);
    let output = EncodedOutput::new(&value).unwrap();
    assert_eq!(output.json, serde_json::to_string(&value).unwrap());
    assert_eq!(output.read::<serde_json::Value>().unwrap(), value);
    let digits =
        String::from_utf8(output.json.to_vec()).unwrap().contains("123456789012345678901234567890.10");
    assert_eq!(digits, cfg!(feature = "arbitrary-precision"));
}

#[test]
fn foreign_bytes_are_errors() {
    assert!(read::<u8>(&EMBEDDED_JSON, &"x").is_err());
    assert!(read::<u8>(&[&EMBEDDED_JSON[..], &[0x42, b'1', b'x']].concat(), &"x").is_err());
    assert!(read::<u8>(&[1, 2], &"x").is_err());
}
