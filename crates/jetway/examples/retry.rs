//! A node that is tried again: a policy beside the nodes says how often, after which errors, and how long to wait.
//!
//! ```text
//!            ┌──┐ up to 4 times, after 5, 10, 20 ms and a bit of chance
//!            ▼  │
//! city ──▶ forecast ──▶ "rain in Bergen"
//! ```
//!
//! The attempts are part of one step. What is to be done once all have failed is shown by the example `fallback`.
//!
//! ```sh
//! cargo run -p jetway --example retry
//! cargo run -p jetway --example retry -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! attempt 1: the service is busy
//! attempt 2: the service is busy
//! attempt 3: rain in Bergen
//! ```

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use anyhow::Result;
use jetway::{BackoffStrategy, RetryError, RetryPolicy, prelude::*};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

#[path = "support/run.rs"]
mod support;

/// A service out there, which has no time for its first two callers.
#[derive(Debug, Default)]
struct Service {
    calls: AtomicU32,
}

impl Service {
    fn ask(&self, city: &str) -> Result<String, Error> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call <= 2 {
            println!("attempt {call}: the service is busy");
            return Err(Error::Generic("the service is busy".to_owned()));
        }
        Ok(format!("attempt {call}: rain in {city}"))
    }
}

node! {
    struct Forecast { service: Arc<Service> }
    input = String;
    output = String;
    |_ctx, city| { Ok(Transition::Next(self.service.ask(&city)?)) }
}

workflow! {
    struct Weather {
        #[retry = patience]
        forecast: Forecast,
        // Not a node: what the attribute names.
        patience: RetryPolicy,
    }
    name = "retry";
    start = forecast;
    edges { forecast => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    let ms = Duration::from_millis;
    let patience = RetryPolicy::new(4, ms(5), ms(100), BackoffStrategy::Exponential, RetryError::Generic)
        // Those who failed at the same time should not come back at the same time.
        .with_jitter(ms(5));
    let weather = Weather { forecast: Forecast { service: Arc::default() }, patience };
    let [forecast] = support::run(weather, ["Bergen".to_owned()]).await?;
    println!("{forecast}");
    Ok(())
}
