//! Workflows that never end, or whose end does not show the type of the output.

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
    struct UnknownOutput { judge: Judge }
    start = judge;
    edges { judge => { Kind::Good(_) => []; }; }
}

fn main() {}
