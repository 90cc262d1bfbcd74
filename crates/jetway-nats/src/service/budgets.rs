//! How many requests of each verb a host answers at once, and how many bytes these requests may have together.
//!
//! Each verb has a budget of its own, so that requests of one kind cannot keep the host from answering others. Starts that
//! wait for a result have one of their own, too: they are the longest.

use super::{BUSY, Endpoint};
use crate::names::ApiMethod;
use async_nats::Message;
use jetway_engine::backend::ApiError;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: usize = 1024 * 1024;

/// The budgets of all verbs.
#[derive(Debug)]
pub(super) struct Budgets {
    start: Budget,
    wait: Budget,
    status: Budget,
    output: Budget,
    control: Budget,
    signal: Budget,
    runs: Budget,
    workflows: Budget,
    unknown: Budget,
    refused: AtomicU64,
}

/// The budget of one verb.
#[derive(Debug)]
struct Budget {
    name: &'static str,
    limit: usize,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// The part of a budget that a request uses while it exists.
#[derive(Debug)]
pub(super) struct Admission {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self {
            start: Budget::new("starts", 512, 64 * MIB),
            wait: Budget::new("starts that wait for a result", 1024, 64 * MIB),
            // An answer needs the whole record of its run.
            status: Budget::new("requests for a status", 128, 8 * MIB),
            output: Budget::new("requests for an output", 64, 8 * MIB),
            control: Budget::new("commands to runs", 128, 8 * MIB),
            signal: Budget::new("signals", 512, 64 * MIB),
            // An answer needs a page of records.
            runs: Budget::new("requests for runs", 8, 8 * MIB),
            workflows: Budget::new("requests for workflows", 64, 8 * MIB),
            unknown: Budget::new("starts", 512, 64 * MIB),
            refused: AtomicU64::new(0),
        }
    }

    /// Admits a request if its budget allows it. `waits`: it waits for a result.
    ///
    /// # Errors
    /// 429 if other requests use the budget.
    pub(super) fn admit(
        &self,
        endpoint: Endpoint,
        waits: bool,
        request: &Message,
    ) -> Result<Admission, ApiError> {
        let budget = match endpoint {
            Endpoint::UnknownWorkflow => &self.unknown,
            Endpoint::Method(ApiMethod::Start) if waits => &self.wait,
            Endpoint::Method(ApiMethod::Start) => &self.start,
            Endpoint::Method(ApiMethod::Status) => &self.status,
            Endpoint::Method(ApiMethod::Output) => &self.output,
            Endpoint::Method(ApiMethod::Control(_) | ApiMethod::Retry) => &self.control,
            Endpoint::Method(ApiMethod::Signal | ApiMethod::SignalWithStart) => &self.signal,
            Endpoint::Method(ApiMethod::Runs) => &self.runs,
            Endpoint::Method(ApiMethod::Workflows | ApiMethod::Workflow) => &self.workflows,
        };
        let admitted = budget.admit(request.length);
        admitted.ok_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let Budget { name, limit, .. } = budget;
            ApiError::new(
                BUSY,
                format!("the host has too many other {name}, of {limit} at once: try again later"),
            )
        })
    }

    /// The number of requests that were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Budget {
    fn new(name: &'static str, limit: usize, bytes: usize) -> Self {
        let requests = Arc::new(Semaphore::new(limit));
        Self { name, limit, requests, bytes: Arc::new(Semaphore::new(bytes)) }
    }

    fn admit(&self, bytes: usize) -> Option<Admission> {
        let bytes = u32::try_from(bytes).ok()?;
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(Admission { _request: request, _bytes: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_a_budget_has_requests_and_bytes() {
        let budget = Budget::new("things", 2, 10);
        let first = budget.admit(6).unwrap();
        assert!(budget.admit(6).is_none(), "too many bytes");
        let second = budget.admit(4).unwrap();
        assert!(budget.admit(0).is_none(), "too many requests");
        drop(first);
        assert!(budget.admit(6).is_some());
        drop(second);
        assert!(budget.admit(11).is_none());
        assert!(budget.admit(10).is_some(), "what is not admitted uses nothing");
    }
}
