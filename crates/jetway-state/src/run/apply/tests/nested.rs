//! Fan-outs within fan-outs.

use super::{Run, all, output, start};
use crate::{
    Fingerprint, ItemId, codec,
    run::{EncodedOutcome, Snapshot, Status},
};

/// So deep that a stack frame for each would be too much for the thread below.
const DEPTH: usize = 600;

fn nested(depth: usize) -> Run {
    let mut run = start(&[("a", "a")], &[]);
    for _ in 0..depth {
        run.step("a", all("a", &["x"]));
    }
    run
}

#[test]
fn the_items_of_nested_fan_outs_have_valid_ids() {
    let run = nested(60);
    let sealed = codec::seal(&run.snapshot, Fingerprint(1), "a snapshot").unwrap();
    assert_eq!(Snapshot::open(&sealed).map(|(snapshot, _)| snapshot), Ok(run.snapshot));
    assert!(run.tickets.iter().all(|(_, item)| ItemId::new(item.as_str()).is_ok()), "{:?}", run.tickets);
}

#[test]
#[expect(clippy::disallowed_types, reason = "the test needs a thread with a small stack")]
fn deeply_nested_fan_outs_close_without_recursion() {
    let closing = || {
        let mut run = nested(DEPTH);
        assert_eq!(run.snapshot.fan_outs.len(), DEPTH);
        run.step("a", EncodedOutcome::Next(output("out")));
        (run.snapshot.status, run.snapshot.fan_outs.len())
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(closing).unwrap();
    assert_eq!(thread.join().unwrap(), (Status::Completed, 0));
}
