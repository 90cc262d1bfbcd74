//! Contexts: shared state, event logs, fixed values, and their merging.

use floxide::context::{Context, SharedState, WorkflowCtx};
use floxide::distributed::event_log::{EventLog, LoggedEvent};
use floxide::merge::{Fixed, Merge};
use floxide::{node, workflow, FloxideError, Transition, Workflow};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Added(u64),
    Finished,
}

/// A value with a merge of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Highest(u64);

impl Merge for Highest {
    fn merge(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, floxide::Merge)]
pub struct Sums {
    limit: Fixed<u64>,
    highest: SharedState<Highest>,
    log: EventLog<Event>,
}

node! {
    pub struct Add {};
    context = Sums;
    input = u64;
    output = u64;
    |ctx, x| {
        ctx.log.append(Event::Added(x));
        let mut highest = ctx.highest.get().await;
        highest.0 = highest.0.max(x);
        Ok(Transition::Next(x + *ctx.limit.get()))
    }
}

node! {
    pub struct Finish {};
    context = Sums;
    input = u64;
    output = u64;
    |ctx, x| {
        ctx.log.append(Event::Finished);
        ctx.highest.set(Highest(x)).await;
        let sum: u64 = ctx.log.apply_all_default(|event, sum: &mut u64| {
            if let Event::Added(x) = event {
                *sum += x;
            }
        });
        if sum > 100 {
            Err(FloxideError::Generic(format!("{sum} is too much")))
        } else {
            Ok(Transition::Next(sum))
        }
    }
}

workflow! {
    pub struct Summing { add: Add, finish: Finish }
    start = add;
    context = Sums;
    edges { add => [finish]; finish => []; }
}

fn is_context<C: Context>(_: &C) {}

#[tokio::test]
async fn nodes_write_and_later_nodes_see_it() {
    let ctx = WorkflowCtx::new(Sums { limit: Fixed::new(10), ..Sums::default() });
    is_context(&ctx.store);
    is_context(&());
    let summing = Summing { add: Add {}, finish: Finish {} };
    assert_eq!(summing.run(&ctx, 7).await.unwrap(), 7);
    assert_eq!(ctx.store.highest.get().await.0, 17);
    let events: Vec<LoggedEvent<Event>> = ctx.with_store(|store| store.log.iter());
    assert_eq!(
        events.iter().map(|e| e.event.clone()).collect::<Vec<_>>(),
        [Event::Added(7), Event::Finished]
    );
    assert!(events[0].timestamp <= events[1].timestamp && events[0].uuid != events[1].uuid);
    let mut seen = 0;
    ctx.store.log.apply_all(&mut seen, |_event, seen: &mut u32| *seen += 1);
    assert_eq!(seen, 2);
    assert_eq!(
        summing.run(&ctx.clone(), 200).await.unwrap_err().to_string(),
        "Generic error: 207 is too much"
    );
}

#[tokio::test]
async fn contexts_are_merged_field_by_field() {
    let sums = |limit, highest| Sums {
        limit: Fixed::new(limit),
        highest: SharedState::new(Highest(highest)),
        log: EventLog::new(),
    };
    let (mut mine, theirs) = (sums(1, 5), sums(2, 9));
    mine.log.append(Event::Added(1));
    theirs.log.append(Event::Added(2));
    mine.merge(theirs);
    assert_eq!(*mine.limit, 1);
    assert_eq!(mine.highest.get().await.0, 9);
    assert_eq!(mine.log.iter().len(), 2);
    assert_eq!(*Fixed::<u64>::default(), 0);
}

#[test]
fn contexts_are_encoded_as_they_always_were() {
    let sums = Sums { limit: Fixed::new(4), highest: SharedState::new(Highest(2)), log: EventLog::new() };
    let json = serde_json::to_string(&sums).unwrap();
    assert_eq!(json, r#"{"limit":{"value":4},"highest":2,"log":[]}"#);
    let read: Sums = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{:?}", read.limit.get()), "4");
    let event = r#"[{"uuid":"936da01f-9abd-4d9d-80c7-02af85c822a8","timestamp":5,"event":"Finished"}]"#;
    let log: EventLog<Event> = serde_json::from_str(event).unwrap();
    assert_eq!(log.iter()[0].timestamp, 5_u128);
    assert_eq!(serde_json::to_string(&log).unwrap(), event);
    assert!(format!("{log:?}").contains("Finished"));
}
