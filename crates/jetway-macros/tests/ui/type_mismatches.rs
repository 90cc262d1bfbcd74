//! Type mismatches: in a chain, in an arm, on failure, at a gathering node and at an end.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

enum Kind {
    Good(String),
    Bad,
}

node! { struct Parse; input = String; output = Vec<u8>; |_, x| Ok(Transition::Next(x.into_bytes())) }
node! { struct Index; input = u32; output = Kind; |_, _| Ok(Transition::Hold) }
node! { struct Merge; input = Vec<u32>; output = u32; |_, _| Ok(Transition::Hold) }
node! { struct Store; input = u32; output = String; |_, _| Ok(Transition::Hold) }

workflow! {
    struct Pages { parse: Parse, index: Index, #[gather] merge: Merge, store: Store }
    start = parse;
    edges {
        parse => [index];
        parse on_failure => [index];
        index => { Kind::Good(word) => [merge]; Kind::Bad => [store] };
        merge => [];
        store => [];
    }
}

fn main() {}
