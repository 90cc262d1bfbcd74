//! What the tests of the whole share.

mod collector;
pub(crate) mod corpus;
mod counters;
mod faketime;
mod go_tool;
mod jaeger;
mod processes;
#[cfg(unix)]
mod terminal;

pub(crate) use collector::{Collector, attributes};
pub(crate) use counters::{messages, monitoring};
pub(crate) use faketime::faketime;
pub(crate) use go_tool::go_tool;
pub(crate) use jaeger::{Jaeger, JaegerSpan, Trace as JaegerTrace};
pub(crate) use processes::{HostProcess, binary, built, dev, jetway, jetway_json};
#[cfg(unix)]
pub(crate) use terminal::{Screen, on_terminal};

use std::time::Duration;

/// How long a test waits for what must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
