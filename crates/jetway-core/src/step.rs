//! The pipeline that executes one step, shared by hosts, steps over stores and runs within one process.
//!
//! | stage | function | what it does |
//! |---|---|---|
//! | attempt | `run_node` | runs the node once, with its scope and time limit |
//! | encode | `encode` | encodes the outcome and the changed context |
//! | rebase | [`AttemptWithBase::rebased`] | re-applies the change of the context to the latest context |
//! | apply | [`apply_fitting`] | applies the attempt to the snapshot, by the rules of `jetway-state` and within limits |
//! | swap | [`swap_until`] | writes the snapshot by compare-and-swap; after a conflict it starts again at rebase |

mod apply;
mod attempt;
mod child;
mod decode;
mod encode;
mod erased;
mod heartbeat;
mod limits;
mod rebase;
mod scope;
mod swap;

pub use apply::apply_fitting;
pub(crate) use attempt::{limited, run_node, until_cancelled};
pub(crate) use child::ChildSlot;
pub use child::{ChildError, ChildNews, ChildRequest, ChildResult, ChildSpec, ManySpec};
pub(crate) use decode::{decode_item, item_in, output_of};
pub(crate) use encode::{
    EncodedAttempt, encode, encode_emission, encode_failure, encode_outcome, run_input_of,
};
pub use erased::{AnyWorkflow, AttemptResult, RetryOf, Task, TaskInput, Unreadable};
pub use heartbeat::{Beat, Heartbeats, MAX_HEARTBEAT};
pub(crate) use limits::TimeLeft;
pub use limits::{LimitedNode, within_context};
pub use rebase::AttemptWithBase;
pub(crate) use rebase::rebase_context;
pub(crate) use scope::within_part;
pub use scope::{StepScope, step};
pub(crate) use swap::contended;
pub use swap::{MAX_CONFLICTS, Swap, Swapped, swap_until};
