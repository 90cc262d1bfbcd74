//! Asks the server for its time, and for what may have changed of a stream: after each reconnect, and when nothing else has
//! asked for a while.
//!
//! Requests of the sweep tell the time too. So a host at work, or one that sweeps, sends no message for this.

use super::{Backoff, Connection, StreamFacts, api};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// The monotonic clocks of two machines differ by less than a tenth of a millisecond in a second, and by a few milliseconds
/// in this time.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// The delays between attempts while the server does not answer. Jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Starts the task, which asks for the state of `stream` and so learns the facts of the stream again. It ends with the
/// handle.
pub(crate) fn keep_time(
    connection: Arc<Connection>,
    stream: String,
    facts: Arc<StreamFacts>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut state = connection.state.clone();
        let mut connects = state.borrow_and_update().connects;
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        let mut wait = remaining(&connection);
        loop {
            tokio::select! {
                () = sleep(wait) => wait = remaining(&connection),
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let current = state.borrow_and_update().connects;
                    if current != connects {
                        // It may be another server, with another clock.
                        connects = current;
                        wait = Duration::ZERO;
                    }
                }
            }
            if !wait.is_zero() {
                continue;
            }
            wait = match api::stream_info(&connection, &stream).await {
                Ok(info) => {
                    facts.learn(&info);
                    backoff.reset();
                    remaining(&connection)
                }
                Err(failure) => {
                    tracing::debug!(error = %failure, "cannot ask the nats-server for its time");
                    backoff.next_delay()
                }
            };
        }
    }))
}

/// How long the last answer is good for.
fn remaining(connection: &Connection) -> Duration {
    connection.server_clock.age().map_or(Duration::ZERO, |age| ASK_EVERY.saturating_sub(age))
}
