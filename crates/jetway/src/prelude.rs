//! The names that most workflows need: `use jetway::prelude::*;`.

pub use crate::{
    Client, Context, Error, Fixed, Host, Merge, Node, SharedState, Transition, Workflow, WorkflowCtx, step,
};
pub use jetway_macros::{node, workflow};
