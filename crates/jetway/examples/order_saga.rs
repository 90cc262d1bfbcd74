//! An order that is carried out whole or undone: what was done before a step that fails is taken back, last thing first.
//!
//! ```text
//! order ──▶ reserve ──▶ charge ──▶ ship ──▶ "shipped to Oslo"
//!              ┆           ┆         ▼
//!              ┆           ┆       refund
//!              ┆           ▼         │
//!              ┆        release ◀────┘
//!              ┆           │
//!              └┄▶ reject ◀┘ ──▶ "rejected: ..."         ┄ where the step fails
//! ```
//!
//! A step may be executed more than once (here: the bank loses its answer, and `charge` is tried again). Each call out of
//! the workflow therefore bears the key of its step, and the other side does it once.
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
//! order 2: rejected: node `charge` failed: Generic error: the card is refused
//! order 3: rejected: node `ship` failed: Generic error: nobody drives to Atlantis
//! order 4: shipped to Rome
//! order 5: rejected: node `reserve` failed: Generic error: sold out
//! in stock: 0, in the till: 60
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

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

/// The stock and the bank: systems of others, which do what they are asked for once for each key.
#[derive(Debug, Clone, Default)]
struct World(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    stock: i32,
    till: i32,
    keys: HashSet<String>,
}

impl World {
    /// Books a change; `false` where this step has booked it before.
    async fn book(&self, stock: i32, till: i32) -> Result<bool, Error> {
        let step = step().ok_or_else(|| Error::Generic("this is no step".to_owned()))?;
        let mut books = self.0.lock().await;
        if books.keys.contains(&step.idempotency_key()) {
            return Ok(false);
        }
        if books.stock + stock < 0 {
            return Err(Error::Generic("sold out".to_owned()));
        }
        books.stock += stock;
        books.till += till;
        Ok(books.keys.insert(step.idempotency_key()))
    }
}

node! {
    struct Reserve { world: World } input = Order; output = Order;
    |_ctx, order| { self.world.book(-1, 0).await?; Ok(Transition::Next(order)) }
}

node! {
    struct Charge { world: World } input = Order; output = Order;
    |_ctx, order| {
        if order.euros > 100 {
            // Its own last word: an abort is not tried again.
            return Ok(Transition::Abort(Error::Generic("the card is refused".to_owned())));
        }
        if self.world.book(0, order.euros).await? {
            // The money is there, and the answer is lost.
            return Err(Error::Generic("the bank does not answer".to_owned()));
        }
        Ok(Transition::Next(order))
    }
}

node! {
    struct Ship; input = Order; output = String;
    |_ctx, order| {
        match order.to.as_str() {
            "Atlantis" => Err(Error::Generic("nobody drives to Atlantis".to_owned())),
            to => Ok(Transition::Next(format!("shipped to {to}"))),
        }
    }
}

node! {
    struct Refund { world: World } input = Failure<Order>; output = Failure<Order>;
    |_ctx, failure| { self.world.book(0, -failure.input.euros).await?; Ok(Transition::Next(failure)) }
}

node! {
    struct Release { world: World } input = Failure<Order>; output = Failure<Order>;
    |_ctx, failure| { self.world.book(1, 0).await?; Ok(Transition::Next(failure)) }
}

node! {
    struct Reject; input = Failure<Order>; output = String;
    |_ctx, failure| { Ok(Transition::Next(format!("rejected: {failure}"))) }
}

workflow! {
    struct OrderSaga {
        reserve: Reserve, #[retry = patience] charge: Charge, ship: Ship,
        refund: Refund, release: Release, reject: Reject,
        patience: RetryPolicy,
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
    let world = World::default();
    world.0.lock().await.stock = 2;
    let ms = Duration::from_millis;
    let saga = OrderSaga {
        reserve: Reserve { world: world.clone() },
        charge: Charge { world: world.clone() },
        ship: Ship,
        refund: Refund { world: world.clone() },
        release: Release { world: world.clone() },
        reject: Reject,
        patience: RetryPolicy::new(3, ms(5), ms(50), BackoffStrategy::Exponential, RetryError::Generic),
    };
    let orders = [(25, "Oslo"), (999, "Rome"), (10, "Atlantis"), (35, "Rome"), (5, "Rome")];
    let orders = orders.map(|(euros, to)| Order { euros, to: to.to_owned() });
    for (number, outcome) in (1..).zip(support::run(saga, orders).await?) {
        println!("order {number}: {outcome}");
    }
    let Books { stock, till, .. } = &*world.0.lock().await;
    println!("in stock: {stock}, in the till: {till}");
    Ok(())
}
