//! Merging: a hundred branches change one context concurrently. No change is lost, and none counts twice. At most eight
//! branches run at once.
//!
//! ```text
//!                     ┌─▶ visit ─┐
//! houses ──▶ spread ──┼─▶  ...  ─┼─▶ report ──▶ summary of the context
//!                     └─▶ visit ─┘  (gathers)
//!                   (at most 8 at once)
//! ```
//!
//! ```sh
//! cargo run -p jetway --example context_merge
//! cargo run -p jetway --example context_merge -- --nats nats://127.0.0.1:4222
//! ```
//!
//! It prints:
//!
//! ```text
//! 100 houses of the census of 2026 were visited, never more than 8 at once
//! 300 people: 150 in even streets, 150 in odd ones
//! the largest house has 5 people
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use anyhow::Result;
use jetway::{Counter, merge::Map, prelude::*};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[path = "support/run.rs"]
mod support;

/// The context. The type of each field determines how it is merged.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
struct Census {
    /// Set once, by `spread`.
    year: SharedState<Option<u32>>,
    people: Counter,
    by_street: Map<String, u32>,
    largest: SharedState<Largest>,
}

/// A type with its own merge. Merging twice has the same effect as merging once, so `merge` is sufficient.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Largest(u32);

impl Merge for Largest {
    fn merge(&mut self, other: Self) {
        self.0 = self.0.max(other.0);
    }
}

node! {
    struct Spread;
    context = Census;
    input = u32;
    output = u32;
    |census, houses| {
        census.year.set(Some(2026)).await;
        Ok(Transition::NextAll((0..houses).collect()))
    }
}

node! {
    struct Visit { now: Arc<AtomicUsize>, most: Arc<AtomicUsize> }
    context = Census;
    input = u32;
    output = usize;
    |census, house| {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.most.fetch_max(now, Ordering::Relaxed).max(now);
        // Simulates the duration of a visit.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let people = 1 + house % 5;
        census.people.add(people.into());
        let street = if house.is_multiple_of(2) { "even" } else { "odd" };
        census.by_street.update(street.to_owned(), |all| *all += people);
        // The lock has to be released before the node returns.
        census.largest.get().await.merge(Largest(people));
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(Transition::Next(most))
    }
}

node! {
    /// Runs when all visits are committed, and sees the changes of all of them.
    struct Report;
    context = Census;
    input = Vec<usize>;
    output = String;
    |census, visits| {
        let within = if visits.iter().all(|most| *most <= 8) { "never" } else { "sometimes" };
        let year = census.year.get().await.ok_or_else(|| Error::Generic("the year is not set".to_owned()))?;
        let [even, odd] = ["even", "odd"].map(|street| census.by_street.get(street).unwrap_or_default());
        Ok(Transition::Next(format!(
            "{} houses of the census of {year} were visited, {within} more than 8 at once\n\
             {} people: {even} in even streets, {odd} in odd ones\n\
             the largest house has {} people",
            visits.len(),
            census.people.get(),
            census.largest.get().await.0,
        )))
    }
}

workflow! {
    struct ContextMerge {
        spread: Spread,
        #[at_most = 8]
        visit: Visit,
        #[gather]
        report: Report,
    }
    name = "context-merge";
    start = spread;
    context = Census;
    edges { spread => [visit]; visit => [report]; report => []; }
}

#[tokio::main]
async fn main() -> Result<()> {
    let visit = Visit { now: Arc::default(), most: Arc::default() };
    let [report] = support::run(ContextMerge { spread: Spread, visit, report: Report }, [100]).await?;
    println!("{report}");
    Ok(())
}
