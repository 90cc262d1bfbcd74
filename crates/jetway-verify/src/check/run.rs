//! One run against its model.

use super::{
    Kind::{Doubled, Lost, Wrong},
    Violation,
};
use crate::{model::Expected, play::PlainLedger, program::Closing};
use jetway::run::Status;
use std::collections::BTreeMap;

/// What is recorded of a run.
#[derive(Debug, Clone)]
pub struct Observed {
    /// How it ended.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// Its outputs, in the order of their commits.
    pub outputs: Vec<Closing>,
    /// How many steps were committed.
    pub steps: u64,
    /// Its context.
    pub ledger: PlainLedger,
}

/// What is wrong with a run that has ended. `cancelled`: it was told to stop, and may have heard it in time.
pub fn judge(expected: &Expected, observed: &Observed, cancelled: bool) -> Vec<Violation> {
    let mut found = trail(expected, &observed.ledger);
    found.extend(context(expected, &observed.ledger));
    match observed.status {
        Status::Completed => found.extend(completed(expected, observed)),
        Status::Failed => found.extend(failed(expected, observed)),
        Status::Cancelled if cancelled => {}
        status @ (Status::Cancelled | Status::Running | Status::Paused) => {
            found.push(Violation::new(Wrong, format!("the run is {status}")));
        }
    }
    found
}

/// Every step that was committed is one of the program, under the name that it must have, and not too often.
fn trail(expected: &Expected, ledger: &PlainLedger) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in &ledger.trail {
        let Some(planned) = expected.steps.get(&entry.step) else {
            found.push(Violation::new(Wrong, format!("step {:?} is not in the program", entry.step)));
            continue;
        };
        let count = times.entry(&entry.step).or_default();
        *count += 1;
        if *count > planned.times {
            found.push(Violation::new(Doubled, format!("step {:?} was committed {count} times", entry.step)));
        }
        if let Some(items) = &planned.items
            && !items.contains(&entry.item)
        {
            let what = format!("step {:?} is item {:?} and must be {items:?}", entry.step, entry.item);
            found.push(Violation::new(Wrong, what));
        }
    }
    found
}

/// The context is what the committed steps make of it: each of them all, or not at all.
fn context(expected: &Expected, ledger: &PlainLedger) -> Vec<Violation> {
    let mut found = Vec::new();
    let mark = expected.mark(&ledger.trail);
    if ledger.mark != mark {
        let what = format!("the register says {:?}, and the last to write it was {mark:?}", ledger.mark);
        found.push(Violation::new(Wrong, what));
    }
    let (is, must) = (ledger.clone().comparable(), expected.context(&ledger.trail));
    if is != must {
        found.push(Violation::new(Wrong, format!("the context is {is:?} and must be {must:?}")));
    }
    found
}

fn completed(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(doomed) = expected.doomed.first() {
        found.push(Violation::new(Wrong, format!("the run completed, and {doomed:?} had to fail it")));
    }
    let (steps, total) = (observed.steps, expected.total());
    if steps != total {
        let kind = if steps > total { Doubled } else { Lost };
        found.push(Violation::new(kind, format!("{steps} steps were committed and {total} had to be")));
    }
    for (step, planned) in &expected.steps {
        let times = observed.ledger.trail.iter().filter(|entry| entry.step == *step).count() as u64;
        if times < planned.times {
            let what = format!("step {step:?} was committed {times} times instead of {}", planned.times);
            found.push(Violation::new(Lost, what));
        }
    }
    let mut outputs: Vec<_> =
        observed.outputs.iter().map(|output| (output.path.clone(), output.value)).collect();
    outputs.sort_unstable();
    if outputs != expected.outputs {
        let kind = match outputs.len().cmp(&expected.outputs.len()) {
            std::cmp::Ordering::Less => Lost,
            std::cmp::Ordering::Equal => Wrong,
            std::cmp::Ordering::Greater => Doubled,
        };
        found.push(Violation::new(
            kind,
            format!("the outputs are {outputs:?} and must be {:?}", expected.outputs),
        ));
    }
    found
}

fn failed(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let error = observed.error.as_deref().unwrap_or("no reason is given");
    // A name may begin like another one, so the word behind it is looked for as well.
    let as_told = |step: &String| {
        [" fails as told", " panics as told"].iter().any(|told| error.contains(&format!("{step}{told}")))
    };
    if expected.doomed.iter().any(as_told) {
        return Vec::new();
    }
    vec![Violation::new(Wrong, format!("the run failed: {error}"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        play::{Ledger, Play},
        program::{Frame, Op, Taste},
    };
    use jetway::{Workflow, WorkflowCtx};
    use jetway_state::codec;
    use rand::{SeedableRng, rngs::StdRng};

    /// The in-memory runner of one process: the same rules, no faults.
    async fn run(program: Vec<Op>) -> Observed {
        let ctx = WorkflowCtx::new(Ledger::default());
        let ended = Play::new().run(&ctx, Frame::new(program)).await;
        let bytes = codec::encode(&ctx.store, "the context").unwrap();
        let mut ledger: PlainLedger = codec::decode(&bytes, "the context").unwrap();
        // Within a process nodes write to the caller's context itself, also those that fail.
        ledger.trail.retain(|entry| !entry.step.starts_with("risky ") && !entry.step.starts_with("doomed "));
        let (status, error) = match &ended {
            Ok(_) => (Status::Completed, None),
            Err(error) => (Status::Failed, Some(error.to_string())),
        };
        Observed { status, error, outputs: ended.into_iter().collect(), steps: 0, ledger }
    }

    #[tokio::test]
    async fn the_model_agrees_with_a_run_without_faults() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let program = Op::random(&mut rng, Taste { size: 30, depth: 3, uncaught: seed % 5 == 0 });
            let expected = Expected::of(program.clone());
            let mut observed = run(program.clone()).await;
            // A run within a process tells its first output alone, and does not count.
            observed.steps = expected.total();
            assert!(expected.outputs.len() >= observed.outputs.len());
            if expected.outputs.len() > 1 {
                observed.outputs = expected
                    .outputs
                    .iter()
                    .map(|(path, value)| Closing { path: path.clone(), value: *value, parent: None })
                    .collect();
            }
            let found = judge(&expected, &observed, false);
            assert!(found.is_empty(), "seed {seed}: {found:#?}\n{program:?}");
        }
    }
}
