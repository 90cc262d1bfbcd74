//! Nodes whose first attempt fails.

use super::{ledger::Ledger, nodes::enter};
use crate::program::Frame;
use jetway::{Error, Transition, node, step};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Remembers which steps have failed once. The memory is lost with its host, which causes one more failure.
#[derive(Debug, Clone, Default)]
pub struct FailedOnce(Arc<Mutex<HashSet<String>>>);

impl FailedOnce {
    /// Whether this attempt at the step has to fail. The next attempt may be made by another host, which does not know of this one.
    pub(super) fn fails_now(&self, name: &str) -> bool {
        let (key, is_first_attempt) = match step() {
            Some(step) => (step.idempotency_key(), step.attempt() == 1),
            None => (name.to_owned(), true),
        };
        is_first_attempt && self.is_first(&key)
    }

    fn is_first(&self, name: &str) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !failed.remove(name) && failed.insert(name.to_owned())
    }
}

node! {
    /// Fails once.
    #[derive(Default)]
    pub struct Flaky { failed: FailedOnce };
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        let name = frame.stamp("flaky");
        if self.failed.fails_now(&name) {
            return Err(Error::Generic("flaky: fails once".to_owned()));
        }
        enter(ctx, &name, frame.mark, std::mem::take(&mut frame.not_before))?;
        Ok(Transition::Next(frame.done()))
    }
}
