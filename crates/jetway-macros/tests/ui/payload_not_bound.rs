//! An arm that does not bind the payload of its variant.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

enum Kind {
    Good(u8),
    Bad,
}

node! { struct Judge; input = u8; output = Kind; |_, x| Ok(Transition::Next(Kind::Good(x))) }
node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Bare { judge: Judge, step: Step }
    start = judge;
    edges { judge => { Kind::Good => [step]; Kind::Bad => [judge]; }; step => []; }
}

fn main() {}
