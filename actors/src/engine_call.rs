//! Calls the engine for one message, under the message's lease and slot.

use crate::{lease_keeper::HeldLease, slots::InFlight, supervisor::panic_message};
use futures::{FutureExt, future::BoxFuture};
use std::panic::AssertUnwindSafe;

/// The engine panicked. That is a defect of the engine: it catches the panics of nodes.
#[derive(Debug)]
pub(crate) struct EnginePanicked {
    /// The message of the panic.
    pub(crate) message: String,
}

/// Awaits a call of the engine, then releases the lease and the slot.
///
/// After a panic the lease is released and not returned, because the next worker may panic on the same message: the rest
/// of the lease is the delay before the next try. Dropped before its end, this future returns the lease as
/// [`HeldLease`] says.
///
/// The call is boxed: its future is many kilobytes, and those around it are moved from the actor to the runtime, and again
/// when their task ends.
pub(crate) async fn call_engine<T>(
    call: BoxFuture<'_, T>,
    held: HeldLease,
    in_flight: InFlight,
) -> Result<T, EnginePanicked> {
    jetway_state::hop!("call_engine");
    // The engine is shared by all messages and must be consistent at every await, panic or not.
    let result = AssertUnwindSafe(call).catch_unwind().await;
    held.release();
    drop(in_flight);
    result.map_err(|payload| EnginePanicked { message: panic_message(payload.as_ref()) })
}
