//! The nodes with time limits, some of which exceed them.

use super::{
    ledger::{Late, Ledger},
    nodes::{enter, stamp},
};
use crate::program::{Frame, Haste, Limit, Limited};
use jetway::{Error, Failure, Transition, node, step};
use std::{
    future::pending,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The node for a kind of limit.
#[derive(Debug, Clone, PartialEq)]
pub enum ToLimited {
    /// The one with `#[timeout]`.
    Timeout(Limited),
    /// The one with `#[within]`.
    Within(Limited),
    /// The one with `#[heartbeat]`.
    Heartbeat(Limited),
}

/// What a heartbeat of a node says: whose it is, and how many there were.
type Beat = (u64, String, u8);

/// How many heartbeats a node sends.
const BEATS: u8 = 4;

/// The pause between two of them.
const PAUSE: Duration = Duration::from_millis(20);

fn machine_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

node! {
    /// Decides which limit the next node has.
    pub struct Begin;
    context = Ledger; input = (Frame, Limit, Haste); output = ToLimited;
    |ctx, (frame, limit, haste)| {
        let mut frame = frame;
        let began = machine_millis();
        stamp(ctx, &mut frame, "begin")?;
        let limited = Limited { frame, limit, haste, began };
        Ok(Transition::Next(match limit {
            Limit::Timeout => ToLimited::Timeout(limited),
            Limit::Within => ToLimited::Within(limited),
            Limit::Heartbeat => ToLimited::Heartbeat(limited),
        }))
    }
}

/// Ends in time, or not.
async fn take_time(haste: Haste) {
    match (haste, step()) {
        (Haste::InTime, _) => {}
        (Haste::WhenTold, Some(step)) => step.cancel_token().cancelled().await,
        (Haste::WhenTold | Haste::Never, _) => pending().await,
    }
}

async fn limited(ctx: &Ledger, limited: Limited) -> Result<Transition<Frame>, Error> {
    let Limited { mut frame, haste, .. } = limited;
    let name = frame.stamp("limited");
    let not_before = std::mem::take(&mut frame.not_before);
    enter(ctx, &name, frame.mark, not_before)?;
    take_time(haste).await;
    Ok(Transition::Next(frame.done()))
}

node! {
    /// Has `#[timeout]`.
    pub struct Hasty;
    context = Ledger; input = Limited; output = Frame;
    |ctx, input| { limited(ctx, input).await }
}

node! {
    /// Has `#[within]`.
    pub struct Timely;
    context = Ledger; input = Limited; output = Frame;
    |ctx, input| { limited(ctx, input).await }
}

node! {
    /// Has `#[heartbeat]`.
    pub struct Lively;
    context = Ledger; input = Limited; output = Frame;
    |ctx, input| {
        beat(&input.frame).await?;
        limited(ctx, input).await
    }
}

/// Sends heartbeats, and checks that the last one of the attempt before is of the same step.
async fn beat(frame: &Frame) -> Result<(), Error> {
    let Some(step) = step() else { return Ok(()) };
    let (mark, path) = (frame.mark, frame.path());
    let last: Option<Beat> = step.last_heartbeat()?;
    if let Some((of, at, count)) = last
        && (of != mark || at != path || count > BEATS)
    {
        return Err(Error::Terminal(format!(
            "the last heartbeat of {path} is {count} of {at} of the run {of:x}"
        )));
    }
    for count in 1..=BEATS {
        step.heartbeat((mark, &path, count))?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

node! {
    /// Continues after a step that has exceeded its limit.
    pub struct Overdue;
    context = Ledger; input = Failure<Limited>; output = Frame;
    |ctx, failure| {
        let Failure { input: Limited { mut frame, limit, haste, began }, kind, message, .. } = failure;
        let took = machine_millis().saturating_sub(began);
        // As if it had succeeded: the digest of the run does not depend on that.
        let name = frame.stamp("limited");
        enter(ctx, &name, frame.mark, std::mem::take(&mut frame.not_before))?;
        ctx.late.push(Late { step: name, limit, haste, kind, message, took });
        Ok(Transition::Next(frame.done()))
    }
}
