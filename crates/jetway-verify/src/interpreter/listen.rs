//! The nodes that wait for signals.

use super::{
    ledger::{Answered, Ledger},
    nodes::{note, stamp},
};
use crate::program::{Deadline, Frame, Listen, SIGNALS, Token, micros};
use async_trait::async_trait;
use jetway::{Answer, Error, Node, SignalType, Transition, WaitFor, node, step};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The input of the node that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hearing {
    pub(super) frame: Frame,
    listen: Listen,
    /// The deadline, in microseconds since 1970; 0 for none.
    due: u64,
}

/// How a wait for signals ends.
#[derive(Debug, Clone, PartialEq)]
pub enum HeardOf {
    /// With the signals.
    Signals(Frame),
    /// With the deadline.
    Nothing(Frame),
}

node! {
    /// Decides until when the next node waits.
    pub struct Ask;
    context = Ledger; input = (Frame, Listen); output = Hearing;
    |ctx, (frame, listen)| {
        let mut frame = frame;
        stamp(ctx, &mut frame, listen.step())?;
        let due = listen.due(step().map_or_else(SystemTime::now, |step| step.now())).map_or(0, micros);
        Ok(Transition::Next(Hearing { frame, listen, due }))
    }
}

/// Waits for signals.
#[derive(Debug, Clone)]
pub struct Hear;

#[async_trait]
impl Node<Ledger> for Hear {
    type Input = Hearing;
    type Output = HeardOf;

    async fn process(&self, ctx: &Ledger, hearing: Hearing) -> Result<Transition<HeardOf>, Error> {
        let Hearing { mut frame, listen, due } = hearing;
        let Some(answer) = step().and_then(|step| step.answer()) else {
            let mut early = frame.clone();
            let name = early.stamp("hear");
            note(&name, early.mark, early.not_before)?;
            return Ok(Transition::WaitFor(wait(&listen, due)));
        };
        // The step after the wait is not due before the deadline, if that has ended the wait.
        let name = stamp(ctx, &mut frame, "hear")?;
        let (signals, heard): (_, fn(Frame) -> HeardOf) = match answer {
            Answer::DeadlinePassed => {
                frame.not_before = due;
                (None, HeardOf::Nothing)
            }
            Answer::Signals(signals) => {
                let token =
                    |signal: &jetway::Signal| Ok((signal.name.clone(), signal.payload::<Token>()?.number));
                (Some(signals.iter().map(token).collect::<Result<_, Error>>()?), HeardOf::Signals)
            }
        };
        ctx.answers.push(Answered { step: name, listen, signals });
        Ok(Transition::Next(heard(frame)))
    }

    fn signals(&self) -> Vec<SignalType> {
        SIGNALS.map(SignalType::of::<Token>).into()
    }
}

fn wait(listen: &Listen, due: u64) -> WaitFor {
    let wait = match listen.all {
        true => WaitFor::all_of(listen.names()),
        false => match listen.names.as_slice() {
            [_one] => WaitFor::signal(listen.names().next().unwrap_or_default()),
            _ => WaitFor::first_of(listen.names()),
        },
    };
    match listen.deadline {
        None => wait,
        Some(within @ Deadline::Within(_)) => wait.within(within.duration()),
        Some(Deadline::Until(_)) => wait.until(UNIX_EPOCH + Duration::from_micros(due)),
    }
}

/// Continues after a wait, whichever way it ended: the digest of the run does not depend on that.
fn answered(ctx: &Ledger, frame: Frame) -> Result<Transition<Frame>, Error> {
    let mut frame = frame;
    stamp(ctx, &mut frame, "answered")?;
    Ok(Transition::Next(frame.done()))
}

node! {
    /// Continues after the signals.
    pub struct Heard;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| { answered(ctx, frame) }
}

node! {
    /// Continues after the deadline.
    pub struct Expired;
    context = Ledger; input = Frame; output = Frame;
    |ctx, frame| { answered(ctx, frame) }
}
