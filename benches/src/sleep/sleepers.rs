//! A workflow that waits for a time, and says how late it woke.

use jetway::{Error, Transition, node, step, workflow};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When to wake, in milliseconds since 1970. Zero is at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Until(pub(crate) u64);

fn now() -> Result<u64, Error> {
    let now = step().map_or_else(SystemTime::now, |step| step.now());
    let since = now.duration_since(UNIX_EPOCH).map_err(|error| Error::Generic(error.to_string()))?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

node! {
    /// Falls asleep.
    pub(crate) struct FallAsleep {};
    input = Until;
    output = Until;
    |_ctx, until| Ok(Transition::NextAt(UNIX_EPOCH + Duration::from_millis(until.0), until))
}

node! {
    /// Says how late it is, in milliseconds by the clock of the server. Fails when it is early.
    pub(crate) struct WakeUp {};
    input = Until;
    output = u64;
    |_ctx, until| {
        let now = now()?;
        match now.checked_sub(until.0) {
            Some(late) => Ok(Transition::Next(late)),
            None => Err(Error::Terminal(format!("woke {} ms too early", until.0 - now))),
        }
    }
}

workflow! {
    /// Two steps with a wait between them.
    pub(crate) struct Sleeper {
        fall_asleep: FallAsleep,
        wake_up: WakeUp,
    }
    name = "sleeper";
    start = fall_asleep;
    edges {
        fall_asleep => [wake_up];
        wake_up => {};
    }
}

/// The workflow with its nodes.
pub(crate) fn sleeper() -> Sleeper {
    Sleeper { fall_asleep: FallAsleep {}, wake_up: WakeUp {} }
}
