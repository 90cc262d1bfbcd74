//! A start, a source and a successor that are not nodes of the workflow.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Typo { fetch: Step, store: Step }
    start = fetch;
    edges { fetch => [stor]; store => []; }
}

workflow! {
    struct Elsewhere { fetch: Step }
    start = begin;
    edges { fetch => []; publish => [fetch]; }
}

fn main() {}
