//! No time in a record is before an earlier one, whatever the clocks of the hosts say.

use super::*;
use crate::run::control;

/// Every time of a record, with the end or the time of the last commit as the last one.
fn check(before: &Snapshot, after: &Snapshot) {
    assert!(
        after.updated_at >= before.updated_at,
        "updated {} after {}",
        after.updated_at,
        before.updated_at
    );
    assert_eq!(after.started_at, before.started_at);
    assert!(after.finished_at.is_none_or(|end| end == after.updated_at), "{after:?}");
    let items = after.items.values().map(|item| item.pending_since);
    let fan_outs = after.fan_outs.values().map(|fan_out| fan_out.pending_since);
    for since in items.chain(fan_outs) {
        assert!((after.started_at..=after.updated_at).contains(&since), "pending since {since}: {after:?}");
    }
}

/// A clock that is off by an hour or less, or that says anything at all.
fn clock() -> impl Strategy<Value = u64> {
    const HOUR: u64 = 3_600_000;
    prop_oneof![10 * HOUR..12 * HOUR, any::<u64>()]
}

fn outcome(choice: u8) -> EncodedOutcome {
    match choice {
        0 => next(&[("b", "x")]),
        1 => all("b", &["x", "y"]),
        2 => EncodedOutcome::Await(
            RunKey::new(WorkflowName::new("w").unwrap(), RunId::new("child").unwrap()).into(),
        ),
        3 => EncodedOutcome::Started(crate::Seen::default()),
        4 => EncodedOutcome::Handled(error("handled"), to(&[("b", "x")])),
        5 => EncodedOutcome::Failed(error("failed")),
        _ => EncodedOutcome::Hold,
    }
}

proptest! {
    #[test]
    fn f1_no_time_is_before_an_earlier_one(
        steps in prop::collection::vec((clock(), 0..7_u8, any::<prop::sample::Index>()), 1..20),
        pause in clock(),
        resume in clock(),
        end in clock(),
    ) {
        let mut run = start(&[("a", "b"), ("b", "b")], &[]);
        run.snapshot.started_at = Timestamp(11 * 3_600_000);
        run.snapshot.updated_at = run.snapshot.started_at;
        for item in run.snapshot.items.values_mut() {
            item.pending_since = run.snapshot.started_at;
        }
        for (now, choice, index) in steps {
            let pending = pending_tickets(&run.snapshot, ANY_TIME);
            if pending.is_empty() {
                break;
            }
            let ticket = &pending[index.index(pending.len())];
            let node = ticket.node.clone().unwrap_or_else(|| "b".to_owned());
            let attempt = run.attempt(&ticket.item, &node, outcome(choice));
            let before = run.snapshot.clone();
            run.apply(AttemptReport { timestamp: Timestamp(now), ..attempt });
            check(&before, &run.snapshot);
        }
        for (rule, now) in [(control::pause as fn(_, _, _) -> _, pause), (control::resume, resume), (control::cancel, end)] {
            if let Some(Applied { snapshot, .. }) = rule(run.snapshot.clone(), CommitId::default(), Timestamp(now)) {
                check(&run.snapshot, &snapshot);
                run.snapshot = snapshot;
            }
        }
    }
}
