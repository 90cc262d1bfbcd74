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
//! | [`verification`] | how to check that nothing is lost |
//! | [`limits`] | how large things may become, and what happens at the limits |
//! | [`examples`] | programs that show one thing each, with their pictures |
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

#[doc = include_str!("../docs/verification.md")]
pub mod verification {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

/// The chapter of the examples: a section for each, with its picture. Only the documentation reads the pictures: they are
/// drawn by programs that are built without it.
macro_rules! examples {
    ($($name:literal: $what:literal;)+) => {
        #[doc = include_str!("../docs/examples.md")]
        $(
            #[cfg_attr(doc, doc = concat!(
                "\n# ", $name, "\n\n", $what, "\n\n```sh\ncargo run -p jetway --example ", $name, "\n```\n\n<div>\n",
                include_str!(concat!("../docs/pictures/", $name, ".svg")), "</div>\n",
            ))]
        )+
        pub mod examples {}
    };
}

examples! {
    "hello": "Two nodes, one after the other, and all that it takes to run them.";
    "branching": "A node that decides: each variant of its output has a way of its own, with and without a condition.";
    "fan_out_gather": "One value becomes many, and a node runs once when all of them have arrived.";
    "loop_with_exit": "A node improves what it is given and decides whether it is to run again.";
    "fallback": "What to do when a node fails: an `on_failure` edge.";
    "retry": "A node that is tried again, as a policy beside the nodes says.";
    "checkpoint_resume": "A process that dies in the middle of a run, and another one that goes on where it was.";
    "nested": "A workflow as one step of another.";
    "child_runs": "Runs that start other runs, and hold nothing while they wait for them.";
    "order_saga": "An order that is carried out whole or undone: what was done before a step that fails is taken back.";
    "batch": "Many small things in few steps.";
    "timer_source": "Time that starts runs.";
    "context_merge": "A context that a hundred branches change at the same time.";
}

#[doc = include_str!("../docs/from-floxide.md")]
pub mod from_floxide {}
