//! Continuing as new: the context begins anew, so the input carries along what the incarnations before have left in theirs.

use super::{
    ledger::{Ledger, PlainLedger},
    nodes::stamp,
};
use crate::program::Frame;
use jetway::{Error, Transition, node};

node! {
    /// Continues the run as new.
    pub struct Renew;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| {
        let mut frame = frame;
        stamp(ctx, &mut frame, "renew")?;
        let past = ctx.so_far().map_err(|error| Error::Generic(format!("the context is no JSON: {error}")))?;
        Ok(Transition::ContinueAsNew(frame.anew(past).into()))
    }
}

impl Ledger {
    /// What the incarnations before have left.
    pub(super) fn remember(&self, past: Vec<String>) {
        for ledger in past {
            self.past.push(ledger);
        }
    }

    /// What this incarnation leaves, after what those before have left. What the step that continues as new changes is in no context,
    /// so that it has to be added here.
    fn so_far(&self) -> Result<Vec<String>, serde_json::Error> {
        let mut last: PlainLedger = serde_json::from_value(serde_json::to_value(self)?)?;
        let mut past = std::mem::take(&mut last.past);
        past.push(serde_json::to_string(&last)?);
        Ok(past)
    }
}
