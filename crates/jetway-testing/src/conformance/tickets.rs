//! Tickets and their leases.

use super::{BackendUnderTest, DEADLINE, LEASE, snapshots::key};
use crate::wait_until;
use futures::{StreamExt, stream::BoxStream};
use jetway_engine::backend::{Backend, BackendError, Delivery, Ticket};
use jetway_state::{Fingerprint, Incarnation, ItemId, RunKey, StoreId, Timestamp, trace::TraceHeaders};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

type Tickets = BoxStream<'static, Result<Delivery, BackendError>>;

fn ticket(run: &RunKey, item: &str) -> (Ticket, Fingerprint) {
    let ticket = Ticket {
        workflow: run.workflow.clone(),
        run_id: run.run_id.clone(),
        incarnation: Incarnation::default(),
        node: "n".to_owned(),
        item: ItemId::new(item).expect("a good id"),
        revision: 3,
        store: StoreId::default(),
        woken_by: None,
        attempt: 1,
        given_back: 0,
        at: Timestamp(9),
        trace: TraceHeaders::default(),
    };
    (ticket, Fingerprint(5))
}

async fn tickets(backend: &Arc<dyn Backend>, run: &RunKey, slots: usize) -> Tickets {
    backend.tickets(&run.workflow, Arc::new(Semaphore::new(slots))).await.expect("tickets are handed out")
}

async fn next(tickets: &mut Tickets) -> Delivery {
    let delivery = tokio::time::timeout(DEADLINE, tickets.next()).await.expect("a ticket comes in time");
    delivery.expect("the stream goes on").expect("a ticket is delivered")
}

/// Whether nothing comes for longer than a lease.
async fn silent(tickets: &mut Tickets, time: Duration) -> bool {
    tokio::time::timeout(time, tickets.next()).await.is_err()
}

async fn live(backend: &Arc<dyn Backend>, run: &RunKey) -> usize {
    backend.items_with_tickets(run, None).await.expect("it can be asked").len()
}

pub(super) async fn a_ticket_is_published_once(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish(vec![ticket(&run, "a"), ticket(&run, "b")]).await.expect("they are published");
    backend.publish(vec![ticket(&run, "b"), ticket(&run, "c")]).await.expect("the second b is left out");
    assert_eq!(live(backend, &run).await, 3);
    let mut stream = tickets(backend, &run, 10).await;
    let mut items = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut stream).await;
        assert_eq!((delivery.delivered, delivery.fingerprint), (1, Fingerprint(5)));
        assert_eq!((delivery.ticket.run(), delivery.ticket.revision), (run.clone(), 3));
        items.push(delivery.ticket.item.to_string());
        delivery.lease.ack().await.expect("it is settled");
    }
    items.sort();
    assert_eq!(items, ["a", "b", "c"]);
    wait_until("no ticket is left", DEADLINE, async || live(backend, &run).await == 0).await;
    assert!(silent(&mut stream, LEASE + LEASE / 2).await);
}

pub(super) async fn a_lost_worker_s_ticket_is_delivered_again(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish(vec![ticket(&run, "a")]).await.expect("it is published");
    let mut first = tickets(backend, &run, 1).await;
    let lost = next(&mut first).await;
    drop(first);
    assert_eq!(lost.lease.duration(), LEASE);
    let again = next(&mut tickets(backend, &run, 1).await).await;
    assert_eq!((again.delivered, &again.ticket), (2, &lost.ticket));
}

pub(super) async fn a_ticket_that_is_kept_alive_is_nobody_else_s(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish(vec![ticket(&run, "a")]).await.expect("it is published");
    let held = next(&mut tickets(backend, &run, 1).await).await;
    let mut other = tickets(backend, &run, 1).await;
    for _ in 0..6 {
        held.lease.extend().await.expect("it is kept alive");
        assert!(silent(&mut other, LEASE / 3).await, "the ticket was delivered to another");
    }
    held.lease.ack().await.expect("it is settled");
    assert!(silent(&mut other, LEASE + LEASE / 2).await);
}

pub(super) async fn a_ticket_that_is_given_back_comes_at_once(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    backend.publish(vec![ticket(&run, "a")]).await.expect("it is published");
    let mut stream = tickets(backend, &run, 2).await;
    let held = next(&mut stream).await;
    let before = tokio::time::Instant::now();
    held.lease.nak().await.expect("it is given back");
    let again = next(&mut stream).await;
    assert_eq!((again.delivered, again.ticket.attempt, again.ticket.given_back), (1, 1, 1));
    assert!(before.elapsed() < LEASE, "it came only when the lease was over");
}

pub(super) async fn no_more_tickets_than_slots(tested: BackendUnderTest) {
    let (backend, run) = (&tested.backend, key("w", "r"));
    let all: Vec<_> = (0..20).map(|number| ticket(&run, &format!("i{number}"))).collect();
    backend.publish(all).await.expect("they are published");
    let mut stream = tickets(backend, &run, 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut stream).await);
    }
    assert!(silent(&mut stream, LEASE / 4).await, "a fourth ticket took up no slot");
    let mut others = tickets(backend, &run, 17).await;
    // What this worker has no slot for is there for others at once, not when some lease ends.
    let before = tokio::time::Instant::now();
    let mut rest = Vec::new();
    for _ in 0..17 {
        rest.push(next(&mut others).await);
    }
    assert!(before.elapsed() < LEASE, "tickets were held without a slot");
    assert!(rest.iter().all(|delivery| delivery.delivered == 1));
}
