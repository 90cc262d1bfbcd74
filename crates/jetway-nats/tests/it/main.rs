//! The backend against a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod cancels;
mod commits;
mod conformance;
mod connect;
mod disappearing;
mod fatal_headers;
mod hosts;
mod idle;
mod kept_records;
mod login;
mod namespace;
mod old_reads;
mod permissions;
mod provision;
mod results;
mod server_outages;
mod service;
mod signals;
mod snapshots;
mod starts;
mod stores;
mod stores_conformance;
mod strangers;
mod support;
mod tickets;
mod tls;
