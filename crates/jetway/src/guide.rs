//! How to write workflows and run them, chapter by chapter.
//!
//! | chapter | |
//! |---|---|
//! | [`concepts`] | what the parts are called, and what is guaranteed |
//! | [`first_workflow`] | nodes, edges, running and testing |
//! | [`context`] | state that the nodes of a run share, and how it is merged |
//! | [`joins`] | fan-outs, gathering, bounds |
//! | [`errors`] | failures, fallbacks, retries |
//! | [`checkpoints`] | going on in one process after a crash |
//! | [`distributed`] | hosts, stores, and what happens in a crash |
//! | [`crash_points`] | what is true when a host dies between any two operations |
//! | [`limits`] | how large things may become, and what happens at the limits |
//! | [`from_floxide`] | for code that was written against floxide |

#[doc = include_str!("../docs/concepts.md")]
pub mod concepts {}

#[doc = include_str!("../docs/first-workflow.md")]
pub mod first_workflow {}

#[doc = include_str!("../docs/context.md")]
pub mod context {}

#[doc = include_str!("../docs/joins.md")]
pub mod joins {}

#[doc = include_str!("../docs/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/checkpoints.md")]
pub mod checkpoints {}

#[doc = include_str!("../docs/distributed.md")]
pub mod distributed {}

#[doc = include_str!("../docs/crash-points.md")]
pub mod crash_points {}
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = include_str!("../docs/from-floxide.md")]
pub mod from_floxide {}
