//! `nap`: waits for as long as its input says, and measures it by the clock of the server.

use crate::output::parse_words;
use jetway::{Error, Transition, node, step, workflow};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `{"for": "10s"}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nap {
    #[serde(rename = "for")]
    duration: Span,
}

/// A duration, written as for the flags of the command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_words(&text).map(Self)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        format!("{}ms", span.0.as_millis())
    }
}

/// A nap that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asleep {
    asked_ms: u64,
    since_ms: u64,
}

/// How long it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Slept {
    asked_ms: u64,
    slept_ms: u64,
}

/// The time of the run, in milliseconds since 1970.
fn now() -> Result<u64, Error> {
    let now = step().map_or_else(SystemTime::now, |step| step.now());
    let since = now.duration_since(UNIX_EPOCH).map_err(|error| Error::Generic(error.to_string()))?;
    Ok(millis(since))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

node! {
    /// Falls asleep.
    pub(crate) struct FallAsleep {};
    context = ();
    input = Nap;
    output = Asleep;
    |_ctx, nap| {
        let duration = nap.duration.0;
        Ok(Transition::NextAfter(duration, Asleep { asked_ms: millis(duration), since_ms: now()? }))
    }
}

node! {
    /// Looks at the clock.
    pub(crate) struct WakeUp {};
    context = ();
    input = Asleep;
    output = Slept;
    |_ctx, asleep| {
        let Asleep { asked_ms, since_ms } = asleep;
        Ok(Transition::Next(Slept { asked_ms, slept_ms: now()?.saturating_sub(since_ms) }))
    }
}

workflow! {
    /// Two steps with a wait between them, which takes no worker.
    pub(crate) struct Napping {
        fall_asleep: FallAsleep,
        wake_up: WakeUp,
    }
    name = "nap";
    start = fall_asleep;
    context = ();
    edges {
        fall_asleep => [wake_up];
        wake_up => {};
    }
}

/// The workflow with its nodes.
pub(crate) fn nap() -> Napping {
    Napping { fall_asleep: FallAsleep {}, wake_up: WakeUp {} }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway::{Workflow, WorkflowCtx};

    #[tokio::test]
    async fn a_nap_is_as_long_as_it_was_asked_to_be() {
        let input: Nap = serde_json::from_str(r#"{"for": "50ms"}"#).unwrap();
        let slept = nap().run(&WorkflowCtx::new(()), input).await.unwrap();
        assert_eq!(slept.asked_ms, 50);
        assert!(slept.slept_ms >= 50, "{slept:?}");
    }

    #[test]
    fn an_input_that_names_no_duration_is_refused() {
        for bad in
            [r#"{"for": "soon"}"#, r#"{"for": 10}"#, r#"{"for": "-1s"}"#, "{}", r#"{"for": "1s", "x": 1}"#]
        {
            assert!(serde_json::from_str::<Nap>(bad).is_err(), "{bad}");
        }
    }
}
