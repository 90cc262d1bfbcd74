//! A cycle that a run never leaves, although the workflow has a terminal node.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { fetch: Step, wait: Step, again: Step, store: Step }
    start = fetch;
    edges { fetch => [wait, store]; wait => [again]; again => [wait]; store => []; }
}

workflow! {
    struct Waiting { fetch: Step, again: Step, store: Step }
    start = fetch;
    edges { fetch => [again, store]; again => [again]; store => []; }
}

enum Kind {
    Found(u8),
}

workflow! {
    struct Shadowed { fetch: Step, again: Step, store: Step }
    start = fetch;
    edges { fetch => [again]; again => [fetch]; again => { Kind::Found(_) => [store]; }; store => []; }
}

fn main() {}
