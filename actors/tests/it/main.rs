//! The actors on the in-memory backend.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod drain;
mod failing;
mod leases;
mod recovery;
mod running;
mod signals;
mod support;
