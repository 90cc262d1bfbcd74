//! A gathering node whose input is not a `Vec`.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Gathering { step: Step, #[gather] all: Step }
    start = step;
    edges { step => [all]; all => []; }
}

fn main() {}
