//! Faults for tests of the whole system. Only with the feature `test-hooks`; not part of the public API.

use crate::{backend::NatsBackend, names::Stream, session::api};
use jetway_engine::backend::BackendError;
use jetway_state::RunKey;

/// Removes all tickets of a run, including those that workers hold, as a broken server might. Returns their number.
///
/// # Errors
/// The server does not answer.
pub async fn lose_tickets(backend: &NatsBackend, run: &RunKey) -> Result<u64, BackendError> {
    let names = backend.names();
    let (stream, tickets) = (names.stream(Stream::Tickets), names.tickets_of_run(run));
    let removed = api::delete_one_by_one(backend.connection(), &stream, &tickets).await;
    removed.map_err(|failure| failure.cannot(format!("remove the tickets of run {run}")))
}
