//! A node whose output differs from the input of its successor.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Parse; input = String; output = Vec<u8>; |_, x| Ok(Transition::Next(x.into_bytes())) }
node! { struct Index; input = u32; output = u32; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { parse: Parse, index: Index }
    start = parse;
    edges { parse => [index]; index => []; }
}

fn main() {}
