//! Retry: a policy defines how often a failed node runs again, for which errors, and with which pauses.
//!
//! ```text
//!            ┌──┐ up to 4 attempts, with pauses of 5, 10, 20 ms plus jitter
//!            ▼  │
//! city ──▶ forecast ──▶ "rain in Bergen"
//! ```
//!
//! With `--nats` the run waits for each attempt without a worker, and the count survives crashes. The example `fallback` shows what to do when all of them have failed.
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

#![expect(clippy::print_stdout, reason = "an example prints its result")]

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

/// A service that rejects its first two calls.
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
        #[retry = policy]
        forecast: Forecast,
        // Not a node, but the policy that the attribute names.
        policy: RetryPolicy,
    }
    name = "retry";
    start = forecast;
    edges { forecast => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    let ms = Duration::from_millis;
    let policy = RetryPolicy::new(4, ms(5), ms(100), BackoffStrategy::Exponential, RetryError::Generic)
        // Jitter: callers that failed together should not retry together.
        .with_jitter(ms(5));
    let weather = Weather { forecast: Forecast { service: Arc::default() }, policy };
    let [forecast] = support::run(weather, ["Bergen".to_owned()]).await?;
    println!("{forecast}");
    Ok(())
}
