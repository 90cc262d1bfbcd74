//! One step: the attempt at a work item, under every runner.

mod child;
mod encode;
mod erased;
mod scope;

pub(crate) use child::ChildSlot;
pub use child::ChildSpec;
pub(crate) use encode::{changed, decode_item, encode_outcome, run_input_of};
pub use erased::{AnyWorkflow, AttemptResult, ChildEnd, Task, TaskInput};
pub use scope::{StepScope, step};
pub(crate) use scope::{within, within_part};
