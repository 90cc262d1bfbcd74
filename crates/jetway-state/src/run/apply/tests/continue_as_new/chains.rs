//! Random chains: whatever nodes answer, and whatever comes in between.

use super::*;
use std::collections::BTreeSet;

/// Checks that the run has begun afresh, and has all that goes along.
fn check_continued(before: &Snapshot, after: &Snapshot) -> Result<(), TestCaseError> {
    prop_assert!(after.follows(before.incarnation) && after.is_called(before.chain_id()));
    prop_assert_eq!((after.chain_id(), after.continued), (before.chain_id(), before.continued + 1));
    prop_assert_eq!((after.pending(), after.fan_outs.len(), after.waits.len()), (1, 0, 0));
    prop_assert!(after.items.contains_key(&ItemId::start()) && after.failures.is_empty());
    let kept = |of: &Snapshot| {
        (
            of.status,
            of.started_at,
            of.deadline,
            of.outputs.clone(),
            of.mailbox.clone(),
            of.input_digest.clone(),
        )
    };
    prop_assert_eq!(kept(after), kept(before));
    prop_assert_eq!(after.steps, before.steps + 1);
    Ok(())
}

proptest! {
    /// Every chain ends. Each incarnation is another one and begins with one item, nothing of the former one acts on it, and each signal
    /// is kept once.
    #[test]
    fn every_chain_ends_and_keeps_what_goes_along(
        choices in prop::collection::vec((any::<u8>(), 0_u8..4, any::<u16>()), 1..60),
        deadline in any::<bool>(),
    ) {
        let edges = [("a", "b"), ("a", "j"), ("b", "b"), ("b", "j"), ("j", "b"), ("j", "j")];
        let mut run = start(&edges, &["j"]);
        run.snapshot.deadline = deadline.then_some(Timestamp(1_000_000));
        let (mut incarnations, mut ids) = (vec![run.snapshot.incarnation], BTreeSet::new());
        let mut round = 0_usize;
        while !run.snapshot.status.is_terminal() {
            let wanted = pending_tickets(&run.snapshot, ANY_TIME).len();
            prop_assert_eq!((wanted, run.snapshot.pending()), (run.tickets.len(), run.tickets.len()));
            prop_assert!(round < 5000, "the run does not end");
            let (choice, width, pick) = choices[round % choices.len()];
            if pick % 3 == 0 {
                let id = (pick / 3 % 8).to_string();
                let verdict = receive(&mut run, signal(round as u64 + 1, &id, None));
                prop_assert_eq!(verdict, if ids.insert(id) { Verdict::Kept } else { Verdict::Duplicate });
            }
            let budget = 40_u32.saturating_sub(u32::try_from(round).unwrap());
            let (node, item) = run.tickets.remove(usize::from(pick) % run.tickets.len());
            let continues = budget > 0 && choice % 8 < 3;
            let produced = if continues { again("x") } else { answer(&node, choice / 8, width, budget) };
            let attempt = run.attempt(&item, &node, produced);
            let (before, may) = (run.snapshot.clone(), refuse_to_continue(&run.snapshot, &attempt).is_none());
            prop_assert!(run.apply(attempt.clone()), "a pending item was discarded");
            if continues && may {
                check_continued(&before, &run.snapshot)?;
                prop_assert!(!incarnations.contains(&run.snapshot.incarnation));
                incarnations.push(run.snapshot.incarnation);
                prop_assert!(!run.apply(attempt), "an attempt of the former incarnation was applied");
            } else {
                prop_assert_eq!(run.snapshot.incarnation, before.incarnation);
                prop_assert_eq!(continues, run.snapshot.error.as_ref().is_some_and(|error| error.kind == "branches_open"));
            }
            prop_assert_eq!(run.snapshot.mailbox.letters.len(), ids.len());
            round += 1;
        }
        prop_assert_eq!(run.done, 1);
        prop_assert_eq!((run.snapshot.chain_id(), run.snapshot.continued as usize), (incarnations[0], incarnations.len() - 1));
    }
}
