//! Workers and orchestrators over stores that the caller chooses.

pub mod orchestrator;
mod setters;
#[cfg(test)]
pub(crate) mod testing;
pub mod worker;
