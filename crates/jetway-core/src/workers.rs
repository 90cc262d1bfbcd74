//! [`DistributedWorker`](worker::DistributedWorker) executes steps over stores,
//! [`DistributedOrchestrator`](orchestrator::DistributedOrchestrator) starts and controls runs over stores.

pub mod orchestrator;
mod setters;
#[cfg(test)]
pub(crate) mod testing;
pub mod worker;
