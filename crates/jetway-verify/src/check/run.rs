//! Compares one run with the reference model.

use super::{
    Kind::{Doubled, EarlierRun, Lost, Wrong},
    Violation, chain, clean_up, deadlines, order, timers,
};
use crate::{interpreter::PlainLedger, program::BranchOutput, reference_model::Expected, runs::Started};
use jetway::{Timestamp, client::Status};
use jetway_state::{
    run::{CancelReason, Snapshot},
    value,
};
use std::collections::BTreeMap;

/// What is recorded of a run.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its last status.
    pub status: Status,
    /// Why it failed.
    pub error: Option<String>,
    /// Its outputs, in the order of their commits.
    pub outputs: Vec<BranchOutput>,
    /// The number of committed steps.
    pub steps: u64,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it was cancelled.
    pub cancel: Option<CancelReason>,
    /// The kind of the error.
    pub error_kind: Option<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
    /// How often it has continued as new.
    pub continued: u32,
    /// The contexts of its incarnations, as far as they are known. The last one is the present one.
    pub chain: Vec<PlainLedger>,
    /// What all these list, as one.
    pub ledger: PlainLedger,
}

impl Observed {
    /// Reads the record of a run.
    ///
    /// # Errors
    /// The context, or an output, is none of the verifier.
    pub(super) fn of(snapshot: &Snapshot) -> Result<Self, String> {
        let ledger: PlainLedger =
            value::read(&snapshot.context, &"the context").map_err(|error| error.to_string())?;
        let chain = ledger.chain().map_err(|error| format!("the former contexts: {error}"))?;
        let outputs = snapshot.outputs.iter().map(|output| output.value.read());
        Ok(Self {
            status: snapshot.status,
            error: snapshot.error.as_ref().map(|error| error.message.clone()),
            outputs: outputs.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
            steps: snapshot.steps,
            finished_at: snapshot.finished_at,
            cancel: snapshot.cancel.as_ref().map(|cancel| cancel.reason),
            error_kind: snapshot.error.as_ref().map(|error| error.kind.clone()),
            started_at: snapshot.started_at,
            deadline: snapshot.deadline,
            continued: snapshot.continued,
            ledger: PlainLedger::joined(&chain),
            chain,
        })
    }

    /// A run with this status and context, and with nothing else.
    #[cfg(test)]
    pub(super) fn with(status: Status, ledger: PlainLedger) -> Self {
        Self {
            status,
            error: None,
            outputs: Vec::new(),
            steps: 0,
            finished_at: None,
            cancel: None,
            error_kind: None,
            started_at: Timestamp(0),
            deadline: None,
            continued: 0,
            chain: vec![ledger.clone()],
            ledger,
        }
    }
}

/// The violations of a run that has ended. The commands that it got may have come in time.
pub fn check_run(expected: &Expected, observed: &Observed, started: Started) -> Vec<Violation> {
    let mut found = check_steps(expected, observed);
    found.extend(timers::check_end(observed));
    found.extend(deadlines::check(started.input.deadline(), observed));
    if started.stopped && observed.status != Status::Cancelled && !observed.is_past_deadline() {
        let what = format!("a host has said that the run is cancelled, and it is {}", observed.status);
        found.push(Violation::new(Wrong, what));
    }
    match observed.status {
        Status::Completed => found.extend(check_completed(expected, observed)),
        // That is checked already.
        Status::Failed if observed.is_past_deadline() => {}
        Status::Failed => found.extend(check_failed(expected, observed)),
        Status::Cancelled if started.may_end_for(observed.cancel) => {}
        Status::Cancelled => {
            let what =
                format!("the run was cancelled for the reason {:?}, and got {started:?}", observed.cancel);
            found.push(Violation::new(Wrong, what));
        }
        status @ (Status::Running | Status::Paused | Status::Cancelling) => {
            found.push(Violation::new(Wrong, format!("the run is {status}")));
        }
    }
    found
}

/// The violations of a run up to its last commit, whether or not it has ended.
pub fn check_steps(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let mut found = check_trail(expected, &observed.ledger);
    found.extend(observed.chain.iter().flat_map(|ledger| check_context(expected, ledger)));
    found.extend(chain::check(expected, observed));
    found.extend(order::check(expected, &observed.ledger.trail));
    found.extend(clean_up::check(expected, observed));
    found
}

/// Checks that each committed step is one of the program, has the expected item id, and was not committed too often.
fn check_trail(expected: &Expected, ledger: &PlainLedger) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in &ledger.trail {
        if entry.mark != 0 && entry.mark != expected.mark {
            let (step, mark, must) = (&entry.step, entry.mark, expected.mark);
            let what = format!("step {step:?} has the mark {mark:x} of another run, expected {must:x}");
            found.push(Violation::new(EarlierRun, what));
        }
        if order::is_clean_up(entry) {
            continue;
        }
        let Some(expected_step) = expected.steps.get(&entry.step) else {
            found.push(Violation::new(Wrong, format!("step {:?} is not in the program", entry.step)));
            continue;
        };
        let count = times.entry(&entry.step).or_default();
        *count += 1;
        if *count > expected_step.times {
            found.push(Violation::new(Doubled, format!("step {:?} was committed {count} times", entry.step)));
        }
        if let Some(items) = &expected_step.items
            && !items.contains(&entry.item)
        {
            let what = format!("step {:?} has the item id {:?}, expected {items:?}", entry.step, entry.item);
            found.push(Violation::new(Wrong, what));
        }
    }
    found
}

/// Checks that the context has all changes of the committed steps and no others.
fn check_context(expected: &Expected, ledger: &PlainLedger) -> Vec<Violation> {
    let mut found = Vec::new();
    let mark = expected.mark(&ledger.trail);
    if ledger.mark != mark {
        let what =
            format!("the register contains {:?}, but the last step that wrote it is {mark:?}", ledger.mark);
        found.push(Violation::new(Wrong, what));
    }
    let (is, must) = (ledger.clone().comparable(), expected.context(&ledger.trail));
    if is != must {
        found.push(Violation::new(Wrong, format!("the context is {is:?}, expected {must:?}")));
    }
    found
}

fn check_completed(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(doomed) = expected.failing_steps.first() {
        found.push(Violation::new(Wrong, format!("the run completed, but {doomed:?} had to fail it")));
    }
    // A step that has exceeded its limit was committed before its fallback.
    let (steps, total) = (observed.steps, expected.total() + observed.ledger.late.len() as u64);
    if steps != total {
        let kind = if steps > total { Doubled } else { Lost };
        found.push(Violation::new(kind, format!("{steps} steps were committed, expected {total}")));
    }
    for (step, expected_step) in &expected.steps {
        let times = observed.ledger.trail.iter().filter(|entry| entry.step == *step).count() as u64;
        if times < expected_step.times {
            let what = format!("step {step:?} was committed {times} times, expected {}", expected_step.times);
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
            format!("the outputs are {outputs:?}, expected {:?}", expected.outputs),
        ));
    }
    found
}

fn check_failed(expected: &Expected, observed: &Observed) -> Vec<Violation> {
    let error = observed.error.as_deref().unwrap_or("no reason was recorded");
    // A name may be the beginning of another one, so the word after it is compared, too.
    let as_planned = |step: &String| {
        [" fails as planned", " panics as planned"].iter().any(|how| error.contains(&format!("{step}{how}")))
    };
    if expected.failing_steps.iter().any(as_planned) {
        return Vec::new();
    }
    vec![Violation::new(Wrong, format!("the run failed: {error}"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interpreter::{Interpreter, Ledger},
        program::{Frame, GeneratorConfig, Input, Op, SIGNALS, Token},
    };
    use futures::future::{self, BoxFuture};
    use jetway::{Clock, SignalSender, Workflow, WorkflowCtx};
    use jetway_state::codec;
    use rand::{SeedableRng, rngs::StdRng};
    use std::{
        collections::BTreeSet,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
    };

    /// A clock that moves to the time that somebody waits for.
    #[derive(Debug, Default)]
    struct Impatient(AtomicU64);

    impl Clock for Impatient {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Relaxed))
        }

        fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
            self.0.fetch_max(time.0, Relaxed);
            Box::pin(future::ready(()))
        }
    }

    /// Runs a program in this process: the same rules, without faults.
    async fn run(program: Vec<Op>) -> Observed {
        let ctx = WorkflowCtx::new(Ledger::default()).with_clock(Arc::new(Impatient::default()));
        let interpreter = Interpreter::new();
        let sender = SignalSender::new(Workflow::<Ledger>::signals(&interpreter));
        for number in 0..100 {
            for name in SIGNALS {
                sender.send(name, &Token { number }).unwrap();
            }
        }
        let ctx = ctx.with_signals(&sender);
        let ended = interpreter.run(&ctx, Frame::new(program, 1)).await;
        let bytes = codec::encode(&ctx.store, "the context").unwrap();
        let mut ledger: PlainLedger = codec::decode(&bytes, "the context").unwrap();
        // In this runner nodes write to the context of the caller, also nodes that fail.
        ledger.trail.retain(|entry| !entry.step.starts_with("risky ") && !entry.step.starts_with("doomed "));
        let late: BTreeSet<String> = ledger.late.iter().map(|late| late.step.clone()).collect();
        for step in late {
            let last = ledger.trail.iter().rposition(|entry| entry.step == step);
            let mut places = 0..;
            ledger.trail.retain(|entry| {
                let place = places.next();
                entry.step != step || place == last
            });
        }
        let (status, error) = match &ended {
            Ok(_) => (Status::Completed, None),
            Err(error) => (Status::Failed, Some(error.to_string())),
        };
        Observed {
            error,
            outputs: ended.into_iter().collect(),
            finished_at: Some(ctx.clock().now()),
            ..Observed::with(status, ledger)
        }
    }

    /// Checks the program of one seed.
    async fn check(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let config = GeneratorConfig {
            size: 30,
            depth: 3,
            uncaught: seed.is_multiple_of(5),
            far: true,
            listens: true,
            anew: 0,
        };
        let program = Op::random(&mut rng, config);
        let expected = Expected::of(Frame::new(program.clone(), 1));
        let mut observed = run(program.clone()).await;
        // This runner returns the first output only, and does not count steps.
        observed.steps = expected.total() + observed.ledger.late.len() as u64;
        assert!(expected.outputs.len() >= observed.outputs.len());
        if expected.outputs.len() > 1 {
            let output = |(path, value): &(String, u64)| BranchOutput {
                path: path.clone(),
                value: *value,
                not_before: 0,
                parent: None,
            };
            observed.outputs = expected.outputs.iter().map(output).collect();
        }
        // This runner knows no deadlines.
        let input = Input::lingering(seed, 1);
        let started =
            Started { input, acknowledged: true, cancelled: false, terminated: false, stopped: false };
        let found = check_run(&expected, &observed, started);
        assert!(found.is_empty(), "seed {seed}: {found:#?}\n{program:?}");
    }

    #[tokio::test]
    async fn the_reference_model_agrees_with_a_run_without_faults() {
        // At the same time, since time limits take real time.
        future::join_all((0..200).map(check)).await;
    }

    /// The outputs show all steps of a chain in their order. The contexts of later incarnations do not leave this runner.
    async fn check_chain(seed: u64) -> u32 {
        let mut rng = StdRng::seed_from_u64(seed);
        let config =
            GeneratorConfig { size: 20, depth: 2, uncaught: false, far: true, listens: true, anew: 3 };
        let program = Op::random(&mut rng, config);
        let expected = Expected::of(Frame::new(program.clone(), 1));
        let observed = run(program.clone()).await;
        let outputs = observed.outputs.iter().map(|output| (output.path.clone(), output.value));
        assert!(outputs.clone().count() == 1, "seed {seed}: {:?}\n{program:?}", observed.error);
        for output in outputs {
            let must = &expected.outputs;
            assert!(must.contains(&output), "seed {seed}: {output:?}, expected {must:?}\n{program:?}");
        }
        expected.continues
    }

    #[tokio::test]
    async fn the_reference_model_agrees_with_a_chain_without_faults() {
        let continued = future::join_all((0..60).map(check_chain)).await;
        assert!(continued.iter().filter(|times| **times == 3).count() > 10, "{continued:?}");
    }
}
