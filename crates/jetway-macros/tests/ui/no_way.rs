//! Nodes that no run comes to, and nodes that no run comes out of.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Step; input = u8; output = u8; |_, x| Ok(Transition::Next(x)) }

workflow! {
    struct Lost { fetch: Step, retry: Step, again: Step, end: Step, island: Step }
    start = fetch;
    edges { fetch => [retry, end]; retry => [again]; again => [retry]; end => []; island => [end]; }
}

workflow! {
    struct Endless { fetch: Step }
    start = fetch;
    edges { fetch => [fetch]; }
}

enum Kind {
    Good(u8),
}

node! { struct Judge; input = u8; output = Kind; |_, x| Ok(Transition::Next(Kind::Good(x))) }

workflow! {
    struct Untold { judge: Judge }
    start = judge;
    edges { judge => { Kind::Good(_) => []; }; }
}

fn main() {}
