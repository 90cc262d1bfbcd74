//! The backend against a real nats-server.

mod conformance;
mod commits;
mod connect;
mod hosts;
mod idle;
mod outages;
mod provision;
mod results;
mod service;
mod snapshots;
mod starts;
mod support;
mod tickets;
