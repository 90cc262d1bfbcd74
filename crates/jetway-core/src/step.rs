//! One step, under every runner: hosts, steps over stores, and runs within one process.
//!
//! ```text
//! record: pending item ──▶ run_node: scope, limit, panic ──▶ encode ──▶ rebased: on the latest context
//!                             ──▶ apply_fitting: the rules, within limits ──▶ swap_until: written once, or again
//! ```

mod apply;
mod attempt;
mod child;
mod encode;
mod erased;
mod rebase;
mod record;
mod scope;
mod swap;

pub use apply::apply_fitting;
pub(crate) use attempt::{limited, run_node};
pub(crate) use child::ChildSlot;
pub use child::ChildSpec;
pub(crate) use encode::{EncodedAttempt, decode_item, encode, encode_outcome, run_input_of};
pub use erased::{AnyWorkflow, AttemptResult, ChildEnd, Task, TaskInput};
pub use rebase::AttemptWithBase;
pub(crate) use rebase::rebase_context;
pub(crate) use record::{item_in, output_of};
pub(crate) use scope::within_part;
pub use scope::{StepScope, step};
pub use swap::{MAX_CONFLICTS, Swap, Swapped, swap_until};
