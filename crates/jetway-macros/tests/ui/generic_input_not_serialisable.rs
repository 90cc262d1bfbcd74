//! An input without `Serialize` and `Deserialize`, in a workflow with a type parameter.

use jetway_core::{Node, Transition};
use jetway_macros::{node, workflow};

#[derive(Debug, Clone, PartialEq)]
struct Page(u8);

node! { struct Parse; input = Page; output = u8; |_, x| Ok(Transition::Next(x.0)) }

workflow! {
    struct Pages<F: Node<(), Input = u8, Output = Page> + std::fmt::Debug + Clone> { fetch: F, parse: Parse }
    start = fetch;
    edges { fetch => [parse]; parse => []; }
}

fn main() {}
