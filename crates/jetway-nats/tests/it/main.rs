//! The backend against a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commits;
mod conformance;
mod connect;
mod hosts;
mod idle;
mod model;
mod outages;
mod provision;
mod results;
mod service;
mod snapshots;
mod starts;
mod stores;
mod support;
mod tickets;
