//! A workflow, a host and a backend that tests have in their hands.

mod faulty;
mod host;
mod probe;

pub(crate) use faulty::{Fate, Fault, FaultyBackend};
pub(crate) use host::{DEADLINE, Host};
pub(crate) use probe::Probe;
