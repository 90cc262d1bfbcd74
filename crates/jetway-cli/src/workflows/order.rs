//! `order`: waits until somebody approves it, and expires at a deadline.

use crate::output::parse_words;
use jetway::{Answer, Error, Node, SignalType, Transition, WaitFor, YesOrNo, node, step, workflow};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `{"id": "o1", "cents": 1200, "wait": "3 days"}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    id: String,
    cents: u64,
    /// How long it waits for its approval.
    wait: Patience,
}

/// A duration in words or in short: `3 days`, `3d`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Patience(Duration);

impl TryFrom<String> for Patience {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_words(&text).map(Self)
    }
}

impl From<Patience> for String {
    fn from(patience: Patience) -> Self {
        format!("{}ms", patience.0.as_millis())
    }
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Decided {
    Approved(Order),
    Declined(Order),
    Expired(Order),
}

/// `{"id": "o1", "outcome": "shipped"}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    id: String,
    outcome: String,
}

/// Waits for the signal `approval`.
#[derive(Debug, Clone)]
pub(crate) struct Approve {}

#[async_trait::async_trait]
impl Node for Approve {
    type Input = Order;
    type Output = Decided;

    async fn process(&self, _ctx: &(), order: Order) -> Result<Transition<Decided>, Error> {
        let Some(answer) = step().and_then(|step| step.answer()) else {
            return Ok(Transition::WaitFor(WaitFor::signal("approval").within(order.wait.0)));
        };
        let approval = match &answer {
            Answer::DeadlinePassed => None,
            Answer::Signals(signals) => signals.first(),
        };
        Ok(Transition::Next(match approval.map(|signal| signal.payload::<YesOrNo>()).transpose()? {
            None => Decided::Expired(order),
            Some(YesOrNo { yes: true }) => Decided::Approved(order),
            Some(YesOrNo { yes: false }) => Decided::Declined(order),
        }))
    }

    fn signals(&self) -> Vec<SignalType> {
        vec![SignalType::of::<YesOrNo>("approval")]
    }
}

node! {
    /// The end of an order.
    pub(crate) struct Finish { outcome: &'static str };
    context = ();
    input = Order;
    output = Outcome;
    |_ctx, order| { Ok(Transition::Next(Outcome { id: order.id, outcome: self.outcome.to_owned() })) }
}

workflow! {
    /// An order that is shipped, refunded, or expires. One that is cancelled is paid back.
    pub(crate) struct Ordering {
        approve: Approve,
        ship: Finish,
        refund: Finish,
        expire: Finish,
        pay_back: Finish,
    }
    name = "order";
    start = approve;
    context = ();
    edges {
        approve => {
            Decided::Approved(order) => [ship];
            Decided::Declined(order) => [refund];
            Decided::Expired(order) => [expire];
        };
        approve on_cancel => [pay_back];
        pay_back => {};
        ship => {};
        refund => {};
        expire => {};
    }
}

/// The workflow with its nodes.
pub(crate) fn order() -> Ordering {
    Ordering {
        approve: Approve {},
        ship: Finish { outcome: "shipped" },
        refund: Finish { outcome: "refunded" },
        expire: Finish { outcome: "expired" },
        pay_back: Finish { outcome: "paid back" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway::{SignalSender, Workflow, WorkflowCtx};
    use serde_json::json;

    #[tokio::test]
    async fn an_order_is_shipped_refunded_or_expires() {
        for (wait, yes, outcome) in
            [("3 days", Some(true), "shipped"), ("3d", Some(false), "refunded"), ("10ms", None, "expired")]
        {
            let sender = SignalSender::new(Workflow::<()>::signals(&order()));
            if let Some(yes) = yes {
                sender.send("approval", &json!({ "yes": yes })).unwrap();
            }
            let input = serde_json::from_value(json!({ "id": "o1", "cents": 1200, "wait": wait })).unwrap();
            let ctx = WorkflowCtx::new(()).with_signals(&sender);
            let end = order().run(&ctx, input).await.unwrap();
            assert_eq!(serde_json::to_value(end).unwrap(), json!({ "id": "o1", "outcome": outcome }));
        }
    }
}
