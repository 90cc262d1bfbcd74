//! A workflow without a `start` clause.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { fetch: Step }
    edges { fetch => []; }
}

fn main() {}
