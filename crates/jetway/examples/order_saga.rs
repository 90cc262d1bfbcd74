//! A saga: when a step of an order fails, the steps before it are compensated, in reverse order.
//!
//! ```text
//! order ──▶ reserve ──▶ charge ──▶ ship ──▶ "shipped to Oslo"
//!              ┆           ┆         ▼
//!              ┆           ┆       refund
//!              ┆           ▼         │
//!              ┆        release ◀────┘
//!              ┆           │
//!              └┄▶ reject ◀┘ ──▶ "rejected: ..."         ┄ on failure
//! ```
//!
//! A step may be executed more than once (here the answer of the bank is lost, and `charge` is retried). Each call to
//! another system therefore carries the idempotency key of its step, and the other system ignores repeated calls.
//!
//! ```sh
//! cargo run -p jetway --example order_saga
//! cargo run -p jetway --example order_saga -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! order 1: shipped to Oslo
//! order 2: rejected: node `charge` failed: Generic error: card declined
//! order 3: rejected: node `ship` failed: Generic error: no delivery to Atlantis
//! order 4: shipped to Rome
//! order 5: rejected: node `reserve` failed: Generic error: sold out
//! stock: 0, account: 60
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::{BackoffStrategy, Failure, RetryError, RetryPolicy, prelude::*};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::Mutex;

#[path = "support/run.rs"]
mod support;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    euros: i32,
    to: String,
}

/// The warehouse and the bank: external systems that execute each idempotency key once.
#[derive(Debug, Clone, Default)]
struct ExternalSystems(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    stock: i32,
    account: i32,
    keys: HashSet<String>,
}

impl ExternalSystems {
    /// Books a change. Returns `false` if this step has booked it before.
    async fn book(&self, stock: i32, account: i32) -> Result<bool, Error> {
        let step = step().ok_or_else(|| Error::Generic("not in a step".to_owned()))?;
        let mut ledger = self.0.lock().await;
        if ledger.keys.contains(&step.idempotency_key()) {
            return Ok(false);
        }
        if ledger.stock + stock < 0 {
            return Err(Error::Generic("sold out".to_owned()));
        }
        ledger.stock += stock;
        ledger.account += account;
        Ok(ledger.keys.insert(step.idempotency_key()))
    }
}

node! {
    struct Reserve { systems: ExternalSystems } input = Order; output = Order;
    |_ctx, order| { self.systems.book(-1, 0).await?; Ok(Transition::Next(order)) }
}

node! {
    struct Charge { systems: ExternalSystems } input = Order; output = Order;
    |_ctx, order| {
        if order.euros > 100 {
            // An abort is not retried.
            return Ok(Transition::Abort(Error::Generic("card declined".to_owned())));
        }
        if self.systems.book(0, order.euros).await? {
            // The money is booked, but the answer is lost.
            return Err(Error::Generic("no answer from the bank".to_owned()));
        }
        Ok(Transition::Next(order))
    }
}

node! {
    struct Ship; input = Order; output = String;
    |_ctx, order| {
        match order.to.as_str() {
            "Atlantis" => Err(Error::Generic("no delivery to Atlantis".to_owned())),
            to => Ok(Transition::Next(format!("shipped to {to}"))),
        }
    }
}

node! {
    struct Refund { systems: ExternalSystems } input = Failure<Order>; output = Failure<Order>;
    |_ctx, failure| { self.systems.book(0, -failure.input.euros).await?; Ok(Transition::Next(failure)) }
}

node! {
    struct Release { systems: ExternalSystems } input = Failure<Order>; output = Failure<Order>;
    |_ctx, failure| { self.systems.book(1, 0).await?; Ok(Transition::Next(failure)) }
}

node! {
    struct Reject; input = Failure<Order>; output = String;
    |_ctx, failure| { Ok(Transition::Next(format!("rejected: {failure}"))) }
}

workflow! {
    struct OrderSaga {
        reserve: Reserve, #[retry = policy] charge: Charge, ship: Ship,
        refund: Refund, release: Release, reject: Reject,
        policy: RetryPolicy,
    }
    name = "order-saga";
    start = reserve;
    edges {
        reserve => [charge]; reserve on_failure => [reject];
        charge => [ship];    charge on_failure => [release];
        ship => [];          ship on_failure => [refund];
        refund => [release]; release => [reject]; reject => [];
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let systems = ExternalSystems::default();
    systems.0.lock().await.stock = 2;
    let ms = Duration::from_millis;
    let saga = OrderSaga {
        reserve: Reserve { systems: systems.clone() },
        charge: Charge { systems: systems.clone() },
        ship: Ship,
        refund: Refund { systems: systems.clone() },
        release: Release { systems: systems.clone() },
        reject: Reject,
        policy: RetryPolicy::new(3, ms(5), ms(50), BackoffStrategy::Exponential, RetryError::Generic),
    };
    let orders = [(25, "Oslo"), (999, "Rome"), (10, "Atlantis"), (35, "Rome"), (5, "Rome")];
    let orders = orders.map(|(euros, to)| Order { euros, to: to.to_owned() });
    for (number, outcome) in (1..).zip(support::run(saga, orders).await?) {
        println!("order {number}: {outcome}");
    }
    let Ledger { stock, account, .. } = &*systems.0.lock().await;
    println!("stock: {stock}, account: {account}");
    Ok(())
}
