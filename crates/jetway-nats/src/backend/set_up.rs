//! Whether the namespace is set up: asked by clients, since hosts set it up themselves.

use super::NatsBackend;
use crate::session::{Failure, api};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use std::sync::atomic::Ordering;

impl NatsBackend {
    /// Finds out, once, whether the namespace has a stream of starts. Without one, a start message would be sent again and
    /// again, since a stream may be missing for a moment while its server restarts.
    ///
    /// # Errors
    /// `Misconfigured`, with the command that sets up the namespace.
    pub(super) async fn check_set_up(&self) -> Result<(), BackendError> {
        if self.is_set_up.load(Ordering::Relaxed) {
            return Ok(());
        }
        match api::stream_info(&self.connection, &self.streams.starts).await {
            Ok(_info) => {}
            Err(failure) if failure.is_absent() => {
                let namespace = self.names.namespace();
                let sentence = format!(
                    "namespace {namespace} is not set up on this server: run `jetway setup --namespace {namespace}`, or \
                     start a host"
                );
                return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
            }
            // A client need not have the permission to ask.
            Err(failure) => tracing::debug!(error = %failure, "cannot ask whether the namespace is set up"),
        }
        self.is_set_up.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The error `cannot <action>`, or that the namespace is not set up.
    pub(super) async fn failed(&self, failure: Failure, action: String) -> BackendError {
        if (failure.is_absent() || matches!(failure, Failure::NoResponders))
            && let Err(not_set_up) = self.check_set_up().await
        {
            return not_set_up;
        }
        failure.cannot(action)
    }
}
