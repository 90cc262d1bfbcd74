//! The workflow, the host and the backend of the tests.

mod faulty;
mod host;
mod probe;

pub(crate) use faulty::{Fault, Faults, FaultyBackend, ResultFault};
pub(crate) use host::{DEADLINE, Host};
pub(crate) use probe::Probe;
