//! A signal that starts its run if there is none.
//!
//! The first record of the run has the signal in its mailbox, so there is no moment at which one of them is there without the other.
//!
//! | crash after | state | repaired by |
//! |---|---|---|
//! | the first snapshot | the run exists with its signal, its first item has no ticket | the same request again, which finds that the signal is known; the sweep |
//! | the first ticket | complete, and not answered | the same request again |

use crate::{
    api::{ApiError, SignalAnswer},
    backend::{NewSignal, StartRequest},
    signals::Applier,
    starts::{FirstSignal, StartError, Starter},
};
use jetway_state::run::{Verdict, signal_id_hash};

/// Starts a run with a signal in its mailbox, or sends the signal to the run that has the id.
///
/// # Errors
/// Those of a start, and those of a signal.
pub(crate) async fn signal_with_start(
    starter: &Starter,
    signals: &Applier,
    start: StartRequest,
    signal: NewSignal,
) -> Result<SignalAnswer, ApiError> {
    let first = FirstSignal {
        name: signal.name.clone(),
        payload: signals.payload_of(&signal)?,
        id: signal.id.as_deref().map(signal_id_hash),
    };
    let refused = |error: StartError| ApiError::new(error.code(), error.to_string());
    if !starter.start_with(start, first).await.map_err(refused)? {
        return signals.request(signal).await;
    }
    let (run_id, name) = (signal.run.run_id, signal.name);
    Ok(SignalAnswer { run_id, name, applied: true, started: true, verdict: Verdict::Kept })
}
