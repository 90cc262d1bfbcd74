//! A field whose type is not a node.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

#[derive(Debug, Clone)]
struct Plain;

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { fetch: Plain, parse: Step }
    start = fetch;
    edges { fetch => [parse]; parse => []; }
}

fn main() {}
