//! A workflow that takes signals, one after the other.

use hdrhistogram::Histogram;
use jetway::{Error, Node, SignalType, Transition, WaitFor, node, step, workflow};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// When a signal was sent, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent(u64);

impl Sent {
    pub(crate) fn now() -> Result<Self, Error> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.map_err(|error| Error::Generic(error.to_string()))?;
        Ok(Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Whether more signals are to come, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Heard {
    More(usize),
    All,
}

/// Takes one signal, and notes how long it took to come.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    pub(crate) times: Arc<Mutex<Histogram<u64>>>,
}

#[async_trait::async_trait]
impl Node for Listen {
    type Input = usize;
    type Output = Heard;

    async fn process(&self, _ctx: &(), left: usize) -> Result<Transition<Heard>, Error> {
        let Some(answer) = step().and_then(|step| step.answer()) else {
            return Ok(Transition::WaitFor(WaitFor::signal("heard")));
        };
        let Some(signal) = answer.signal("heard") else {
            return Err(Error::Terminal("no signal came".to_owned()));
        };
        let (sent, now) = (signal.payload::<Sent>()?, Sent::now()?);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.record(now.0.saturating_sub(sent.0)).map_err(|error| Error::Terminal(error.to_string()))?;
        Ok(Transition::Next(if left > 1 { Heard::More(left - 1) } else { Heard::All }))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<Sent>("heard")]
    }
}

node! {
    /// The end.
    pub(crate) struct Finish {};
    input = ();
    output = ();
    |_ctx, ()| Ok(Transition::Next(()))
}

workflow! {
    /// Takes as many signals as its input says.
    pub(crate) struct Listener {
        listen: Listen,
        finish: Finish,
    }
    name = "listener";
    start = listen;
    edges {
        listen => {
            Heard::More(left) => [listen];
            Heard::All => [finish];
        };
        finish => {};
    }
}

/// The workflow with its nodes.
pub(crate) fn listener(listen: Listen) -> Listener {
    Listener { listen, finish: Finish {} }
}
