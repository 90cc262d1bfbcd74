//! Nodes with a limit (`at_most`).

use super::*;
use crate::run::pending_ticket;

/// `a` fans out to the bounded node `b`, which a gathering node follows.
fn bounded(at_most: u32, branches: usize) -> Run {
    let mut run = start(&[("a", "b"), ("b", "g")], &["g"]);
    let node = run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap();
    node.at_most = Some(at_most);
    let payloads: Vec<String> = (0..branches).map(|branch| branch.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    run.step("a", all("b", &payloads));
    run
}

fn out(run: &Run) -> usize {
    run.tickets.iter().filter(|(node, _)| node == "b").count()
}

#[test]
fn slots_are_given_in_the_order_of_the_fan_out() {
    let mut run = bounded(2, 4);
    assert_eq!((out(&run), run.snapshot.pending()), (2, 4));
    let waiting = ItemId::branch(&ItemId::start(), 2);
    assert!(run.snapshot.is_pending(&waiting) && run.snapshot.waits_for_slot(&waiting));
    let second = run.tickets[1].1.clone();
    run.tickets.remove(1);
    assert!(run.apply(run.attempt(&second, "b", next(&[("g", "1")]))));
    assert_eq!(run.tickets.last().unwrap().1, waiting);
    assert!(!run.snapshot.waits_for_slot(&waiting));
    for value in ["0", "2", "3"] {
        run.step("b", next(&[("g", value)]));
    }
    assert_eq!(run.gathered(&run.ticket("g")), ["0", "1", "2", "3"]);
}

#[test]
fn an_item_outside_a_fan_out_waits_for_a_slot_too() {
    let mut run = start(&[("a", "c"), ("c", "b"), ("b", "out")], &[]);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = Some(1);
    run.step("a", all("c", &["0", "1"]));
    run.step("c", next(&[("b", "0")]));
    run.step("c", next(&[("b", "1")]));
    assert_eq!(out(&run), 1);
    run.step("b", EncodedOutcome::Hold);
    assert_eq!(out(&run), 1);
    run.step("b", EncodedOutcome::Next(output("end")));
    assert_eq!((run.snapshot.status, run.done), (Status::Completed, 1));
}

#[test]
fn the_successors_of_a_lost_holder_are_found() {
    let mut run = bounded(2, 4);
    let (first, second) = (run.tickets[0].1.clone(), run.tickets[1].1.clone());
    run.step("b", next(&[("g", "0")]));
    assert_eq!(pending_ticket(&run.snapshot, &first, ANY_TIME), None, "it is done");
    for wanted in pending_tickets(&run.snapshot, ANY_TIME) {
        assert_eq!(pending_ticket(&run.snapshot, &wanted.item, ANY_TIME), Some(wanted));
    }
    assert_eq!(
        pending_ticket(&run.snapshot, &ItemId::branch(&ItemId::start(), 3), ANY_TIME),
        None,
        "it waits for a place"
    );
    let third = ItemId::branch(&ItemId::start(), 2);
    let items = |wanted: Vec<crate::run::TicketWanted>| {
        wanted.into_iter().map(|wanted| wanted.item).collect::<Vec<_>>()
    };
    // Whoever held the first ticket may not have published that of the third branch.
    assert_eq!(items(tickets_under(&run.snapshot, &first, ANY_TIME)), std::slice::from_ref(&third));
    assert_eq!(
        items(tickets_under(&run.snapshot, &ItemId::start(), ANY_TIME)),
        std::slice::from_ref(&second)
    );
    assert_eq!(
        items(pending_tickets(&run.snapshot, ANY_TIME)),
        [second, third],
        "what waits for a place wants no ticket"
    );
}

/// A newer build may bound the node no more, or not have it: nothing but a commit of this run will ever let anyone in.
#[test]
fn waiting_items_get_slots_when_the_limit_is_removed() {
    let mut run = bounded(2, 6);
    run.graph.nodes.iter_mut().find(|node| node.name == "b").unwrap().at_most = None;
    run.step("b", next(&[("g", "0")]));
    assert_eq!(out(&run), 5, "one is done, one is out, four were let in");
    for value in ["1", "2", "3", "4", "5"] {
        run.step("b", next(&[("g", value)]));
    }
    assert_eq!(run.gathered(&run.ticket("g")), ["0", "1", "2", "3", "4", "5"]);

    let mut run = bounded(1, 3);
    run.graph.nodes.retain(|node| node.name != "b");
    run.step("b", next(&[("g", "0")]));
    assert_eq!(out(&run), 2);
}

#[test]
fn a_failed_run_gives_no_slots() {
    let mut run = bounded(1, 3);
    run.step("b", EncodedOutcome::Failed(error("no")));
    assert_eq!((out(&run), run.snapshot.status, run.snapshot.pending()), (0, Status::Failed, 0));
}

proptest! {
    /// Whatever the order in which branches end, no more than the bound are out, and all of them run once.
    #[test]
    fn the_limit_is_never_exceeded(
        at_most in 1_u32..6,
        branches in 0_usize..30,
        order in prop::collection::vec(0_usize..100, 30),
    ) {
        let mut run = bounded(at_most, branches);
        for pick in order.into_iter().take(branches) {
            prop_assert!(out(&run) <= at_most as usize);
            let index = pick % run.tickets.len();
            let (node, item) = run.tickets.remove(index);
            prop_assert_eq!(&node, "b");
            prop_assert!(run.apply(run.attempt(&item, "b", next(&[("g", item.as_str())]))));
        }
        prop_assert_eq!(out(&run), 0);
        let gathered = run.gathered(&run.ticket("g"));
        let expected: Vec<String> = (0..u32::try_from(branches).unwrap())
            .map(|position| ItemId::branch(&ItemId::start(), position).to_string())
            .collect();
        prop_assert_eq!(gathered, expected);
    }
}
