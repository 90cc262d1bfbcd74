//! What the tests of the whole share.

mod collector;
pub(crate) mod corpus;
mod counters;
mod faketime;
mod go_tool;
mod jaeger;
mod processes;

pub(crate) use collector::{Collector, attributes};
pub(crate) use counters::{messages, monitoring};
pub(crate) use faketime::faketime;
pub(crate) use go_tool::go_tool;
pub(crate) use jaeger::{Jaeger, JaegerSpan, Trace as JaegerTrace};
pub(crate) use processes::{HostProcess, binary, built, jetway, jetway_json};

use std::time::Duration;

/// How long a test waits for what must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
