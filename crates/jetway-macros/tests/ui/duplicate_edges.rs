//! Duplicate edges: in one list, in two lists, and on failure.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Twice { fetch: Step, store: Step }
    start = fetch;
    edges { fetch => [store, store]; store => []; }
}

workflow! {
    struct Separate { fetch: Step, store: Step }
    start = fetch;
    edges {
        fetch => [store];
        fetch => [store];
        fetch on_failure => [store];
        fetch on_failure => [store];
        store => [];
    }
}

fn main() {}
