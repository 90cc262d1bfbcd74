//! The guide: how to write and run workflows.
//!
//! | page | content |
//! |---|---|
//! | [`concepts`] | terms and guarantees |
//! | [`first_workflow`] | nodes, edges, running and testing |
//! | [`context`] | state that the nodes of a run share, and how concurrent changes are merged |
//! | [`joins`] | fan-outs, gathering, concurrency limits |
//! | [`waiting_for_time`] | timers: a run waits without a worker |
//! | [`waiting_for_people`] | signals: a run waits for a person or another system |
//! | [`child_runs`] | runs that start other runs, one or many, and wait for them or not |
//! | [`long_loops`] | loops that never end: a run continues as new |
//! | [`errors`] | failures and fallbacks |
//! | [`retries_and_deadlines`] | retry policies, waiting for a person, time limits, heartbeats |
//! | [`cancelling`] | cancel with clean-up, and terminate |
//! | [`checkpoints`] | resuming a run in one process after a crash |
//! | [`distributed`] | hosts, stores, and what happens in a crash |
//! | [`crash_points`] | the state after a host crashes between any two operations, and how it recovers |
//! | [`verification`] | how the guarantees are tested |
//! | [`values`] | which values a run can keep, their JSON, and how clients get them |
//! | [`connection`] | servers, logins, TLS, contexts of the `nats` command, namespaces and replicas |
//! | [`permissions`] | who may do what: accounts, users and permissions of a server |
//! | [`limits`] | sizes, full streams, memory, and what happens at each limit |
//! | [`examples`] | example programs with their graphs |
//! | [`from_floxide`] | migrating from floxide |

#[doc = include_str!("../docs/concepts.md")]
pub mod concepts {}

#[doc = include_str!("../docs/first-workflow.md")]
pub mod first_workflow {}

#[doc = include_str!("../docs/context.md")]
pub mod context {}

#[doc = include_str!("../docs/joins.md")]
pub mod joins {}

#[doc = include_str!("../docs/waiting-for-time.md")]
pub mod waiting_for_time {}

#[doc = include_str!("../docs/waiting-for-people.md")]
pub mod waiting_for_people {}

#[doc = include_str!("../docs/child-runs.md")]
pub mod child_runs {}

#[doc = include_str!("../docs/long-loops.md")]
pub mod long_loops {}

#[doc = include_str!("../docs/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/retries-and-deadlines.md")]
pub mod retries_and_deadlines {}

#[doc = include_str!("../docs/cancelling.md")]
pub mod cancelling {}

#[doc = include_str!("../docs/checkpoints.md")]
pub mod checkpoints {}

#[doc = include_str!("../docs/distributed.md")]
pub mod distributed {}

#[doc = include_str!("../docs/crash-points.md")]
pub mod crash_points {}

#[doc = include_str!("../docs/verification.md")]
pub mod verification {}

#[doc = include_str!("../docs/values.md")]
pub mod values {}

#[doc = include_str!("../docs/connection.md")]
pub mod connection {}

#[doc = include_str!("../docs/permissions.md")]
pub mod permissions {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

/// The page of the examples: a section for each, with its picture. The pictures are read only when the documentation is
/// built, because the examples, which draw them, have to compile without them.
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
    "hello": "Two nodes in sequence, and the complete program to run them.";
    "branching": "A node chooses its successor by the variant of its output, with and without a condition.";
    "fan_out_gather": "One value becomes many; a gathering node runs once when all branches have arrived.";
    "loop_with_exit": "A node runs again until its result is good enough.";
    "fallback": "An `on_failure` edge leads to another node when a node fails.";
    "retry": "A retry policy runs a failed node again.";
    "checkpoint_resume": "A process crashes in the middle of a run, and another one resumes it.";
    "nested": "A workflow as one step of another workflow.";
    "child_runs": "A node starts a run of another workflow and waits for it without occupying a worker.";
    "order_saga": "A saga: when a step fails, the steps before it are compensated.";
    "batch": "Many small tasks in few steps.";
    "timer_source": "A timer starts runs.";
    "context_merge": "A hundred branches change one context concurrently.";
}

#[doc = include_str!("../docs/from-floxide.md")]
pub mod from_floxide {}
