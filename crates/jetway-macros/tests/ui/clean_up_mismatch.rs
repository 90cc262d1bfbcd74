//! Clean-up edges: a target of another type, one of a gathering node, without a target, and with arms.

use jetway_core::Transition;
use jetway_macros::{node, workflow};

node! { struct Reserve; input = u32; output = String; |_, _| Ok(Transition::Hold) }
node! { struct Pay; input = String; output = String; |_, _| Ok(Transition::Hold) }
node! { struct Release; input = String; output = u8; |_, _| Ok(Transition::Hold) }
node! { struct Refund; input = Vec<u32>; output = u8; |_, _| Ok(Transition::Hold) }

workflow! {
    struct Order { reserve: Reserve, pay: Pay, release: Release, #[gather] refund: Refund }
    start = reserve;
    edges {
        reserve => [pay];
        reserve on_cancel => [release];
        pay => [];
        pay on_cancel => [refund];
        release => [];
        refund => [];
    }
}

workflow! {
    struct Empty { pay: Pay }
    start = pay;
    edges { pay => []; pay on_cancel => []; }
}

workflow! {
    struct Arms { pay: Pay }
    start = pay;
    edges { pay => []; pay on_cancel => { Kind::A => [pay]; }; }
}

fn main() {}
