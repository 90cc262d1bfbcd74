//! A node that cannot be reached from the start.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { fetch: Step, store: Step, island: Step }
    start = fetch;
    edges { fetch => [store]; store => []; island => [store]; }
}

fn main() {}
