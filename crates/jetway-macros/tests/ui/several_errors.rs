//! Several errors in the edges, all reported at once.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { #[derive(Default)] struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Pages { fetch: Step, parse: Step, index: Step, store: Step }
    start = fetch;
    edges {
        fetch => [prase, store, store];
        parse => [index];
        parse => [store];
        indx => [store];
        store => [];
    }
}

fn main() {}
