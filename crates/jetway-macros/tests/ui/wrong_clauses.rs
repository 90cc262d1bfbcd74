//! Clauses and attributes that are missing, duplicate or unknown.

use jetway_core::Transition;
use jetway_macros::{Merge, node, workflow};

node! { struct NoOutput; input = u8; |_, x| Ok(Transition::Next(x)) }

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Missing { step: Step }
    context = ();
    context = ();
    name = "no spaces";
}

workflow! {
    struct Unknown { #[gathr] step: Step, #[retry(policy)] other: Step }
    start = step;
    edges { step => []; }
}

workflow! {
    struct Typo { step: Step }
    strat = step;
    edges { step => []; }
}

#[derive(Merge)]
enum Either {}

fn main() {}
