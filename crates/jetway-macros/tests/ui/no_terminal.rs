//! Workflows that never end, or whose end does not say what the output is.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

enum Kind {
    Good(u8),
}

node! { struct Judge; input = u8; output = Kind; |_, x| Ok(Transition::Next(Kind::Good(x))) }

workflow! {
    struct Endless { fetch: Step, parse: Step }
    start = fetch;
    edges { fetch => [parse]; parse => [fetch]; }
}

workflow! {
    struct Untold { judge: Judge }
    start = judge;
    edges { judge => { Kind::Good(_) => []; }; }
}

fn main() {}
