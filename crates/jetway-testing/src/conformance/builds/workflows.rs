//! Workflows that different builds know by the same name, and values that are hard to read.

use super::super::workflows::{AddOne, Probe, Shared};
use jetway_core::{Merge, SharedState, Transition};
use jetway_macros::{Merge, node, workflow};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

workflow! {
    /// The first build.
    pub(super) struct FirstBuild { first: AddOne, second: AddOne }
    name = "builds";
    context = Shared;
    start = first;
    edges { first => [second]; second => []; }
}

impl FirstBuild {
    pub(super) fn new(probe: &Probe) -> Self {
        let add = || AddOne { probe: probe.clone() };
        Self { first: add(), second: add() }
    }
}

node! {
    pub(super) struct Spell {};
    context = Shared; input = u64; output = String;
    |_ctx, number| { Ok(Transition::Next("x".repeat(usize::try_from(number).unwrap_or_default()))) }
}

node! {
    pub(super) struct Measure {};
    context = Shared; input = String; output = u64;
    |_ctx, text| { Ok(Transition::Next(text.len() as u64)) }
}

workflow! {
    /// The next build: between the nodes there is a text instead of a number.
    pub(super) struct NextBuild { first: Spell, second: Measure }
    name = "builds";
    context = Shared;
    start = first;
    edges { first => [second]; second => []; }
}

impl NextBuild {
    pub(super) fn new() -> Self {
        Self { first: Spell {}, second: Measure {} }
    }
}

/// A context that has a field which that of the other builds lacks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(super) struct Wider {
    currency: SharedState<String>,
}

node! {
    pub(super) struct Double {};
    context = Wider; input = u64; output = u64;
    |_ctx, number| { Ok(Transition::Next(number * 2)) }
}

workflow! {
    /// A build with another context, and one node more.
    pub(super) struct OtherContext { first: Double, second: Double, third: Double }
    name = "builds";
    context = Wider;
    start = first;
    edges { first => [second]; second => [third]; third => []; }
}

impl OtherContext {
    pub(super) fn new() -> Self {
        Self { first: Double {}, second: Double {}, third: Double {} }
    }
}

/// How often the next decodings of fickle values fail, by their keys.
static FAILS: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

fn fails() -> MutexGuard<'static, BTreeMap<String, u32>> {
    FAILS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value whose type fails to read it when a test says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Fickle(pub(super) String);

impl Fickle {
    /// The next decodings of the value fail.
    pub(super) fn fail(&self, times: u32) {
        fails().insert(self.0.clone(), times);
    }
}

impl<'de> Deserialize<'de> for Fickle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        match fails().get_mut(&key).filter(|times| **times > 0) {
            Some(times) => {
                *times -= 1;
                Err(de::Error::custom("this value is read badly"))
            }
            None => Ok(Self(key)),
        }
    }
}

impl Merge for Fickle {
    fn merge(&mut self, _other: Self) {}
}

/// A context that holds a fickle value.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(super) struct Holder {
    value: Fickle,
}

node! {
    pub(super) struct Take {};
    context = Holder; input = Fickle; output = String;
    |_ctx, value| { Ok(Transition::Next(value.0)) }
}

node! {
    pub(super) struct Instead {};
    context = Holder; input = Fickle; output = String;
    |_ctx, value| { Ok(Transition::Next(format!("instead of {}", value.0))) }
}

workflow! {
    /// One node with a fallback.
    pub(super) struct Reads { take: Take, instead: Instead }
    name = "reads";
    context = Holder;
    start = take;
    edges { take => []; take on_failure => {[instead]}; instead => []; }
}

impl Reads {
    pub(super) fn new() -> Self {
        Self { take: Take {}, instead: Instead {} }
    }
}
