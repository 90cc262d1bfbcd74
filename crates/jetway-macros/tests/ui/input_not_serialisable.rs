//! An input without `Serialize` and `Deserialize`.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

#[derive(Debug, Clone, PartialEq)]
struct Page(u8);

node! { struct Fetch; input = u8; output = Page; |_, x| Ok(Transition::Next(Page(x))) }
node! { struct Parse; input = Page; output = u8; |_, x| Ok(Transition::Next(x.0)) }

workflow! {
    struct Pages { fetch: Fetch, parse: Parse }
    start = fetch;
    edges { fetch => [parse]; parse => []; }
}

fn main() {}
