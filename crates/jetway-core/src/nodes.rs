//! Nodes that are built in.

pub mod batch;
mod child;
pub mod composite;
mod delay;
pub mod retry;
mod signals;
pub mod source;
pub mod split;

pub use batch::BatchNode;
pub use child::{ChildOrSignal, ChildRun, ChildRuns, DetachedRun, FirstOf};
pub use composite::CompositeNode;
pub use delay::Delay;
pub use retry::{BackoffStrategy, Exhausted, RetryError, RetryNode, RetryPolicy, with_retry};
pub use signals::{Answered, Approval, Decision, WaitForSignal, YesOrNo};
pub use source::{Source, source};
pub use split::SplitNode;
