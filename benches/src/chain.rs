//! Ten nodes that each add one, with a context of a given size that every step changes.

use jetway::{
    Transition,
    merge::{Counter, Register},
    node, workflow,
};
use serde::{Deserialize, Serialize};

/// A context that every step changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, jetway::Merge)]
pub(crate) struct Ballast {
    steps: Counter,
    bytes: Register<String>,
}

node! {
    /// Adds one; the first step of a run fills the context.
    pub(crate) struct Add { bytes: usize };
    context = Ballast;
    input = u64;
    output = u64;
    |ctx, number| {
        if ctx.steps.increment() == 1 {
            ctx.bytes.set("x".repeat(self.bytes));
        }
        Ok(Transition::Next(number + 1))
    }
}

workflow! {
    /// The chain.
    pub(crate) struct Chain10 {
        n0: Add, n1: Add, n2: Add, n3: Add, n4: Add, n5: Add, n6: Add, n7: Add, n8: Add, n9: Add,
    }
    name = "chain10";
    start = n0;
    context = Ballast;
    edges {
        n0 => [n1]; n1 => [n2]; n2 => [n3]; n3 => [n4]; n4 => [n5];
        n5 => [n6]; n6 => [n7]; n7 => [n8]; n8 => [n9]; n9 => {};
    }
}

impl Chain10 {
    pub(crate) fn new(bytes: usize) -> Self {
        let add = || Add { bytes };
        Self {
            n0: add(),
            n1: add(),
            n2: add(),
            n3: add(),
            n4: add(),
            n5: add(),
            n6: add(),
            n7: add(),
            n8: add(),
            n9: add(),
        }
    }
}
