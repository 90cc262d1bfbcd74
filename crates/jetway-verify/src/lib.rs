//! Runs thousands of random workflows on several hosts while injecting faults, and checks every run against a reference
//! model.
//!
//! A seed decides the [programs](program): chains, nested fan-outs, joins that gather and joins that hold, loops, bounded
//! nodes, child runs, and changes of a context with every mergeable type. Nodes fail or panic, with and without a fallback, and exceed
//! their time limits. They wait for a time before any of these, and for signals. Runs continue as new, and have deadlines. Hosts run them on a real nats-server by an [interpreter]. A [driver] starts the runs, sends them signals, pauses,
//! cancels and terminates some. Meanwhile a [nemesis] kills and pauses hosts and the server, cuts, blocks and delays connections,
//! removes and duplicates tickets, and removes alarms. In the end each run is [compared](check) with what the
//! [reference model](reference_model) expects of its program, no step may have run before its time, each signal must be somewhere,
//! each item that was open at a cancel must be cleaned up, and the streams must be empty.
//!
//! The method is that of Restate's verification runner and of Jepsen: the system under test is never asked whether it
//! worked.

pub mod check;
#[cfg(feature = "defects")]
pub mod defects;
pub mod driver;
mod error;
mod failure;
pub mod fleet;
pub mod interpreter;
pub mod nemesis;
mod phase;
pub mod program;
pub mod reference_model;
mod replaced;
pub mod runs;
mod serve;
mod summary;
mod ticket_replay;
mod verify;

pub use error::Error;
pub use failure::Failure;
pub use fleet::HostCommand;
pub use phase::phases;
pub use serve::serve;
pub use summary::Summary;
pub use verify::{Options, Progress, verify};
