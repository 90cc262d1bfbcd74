//! Jetway as a whole, against a real nats-server, processes killed included.

mod architecture;
mod builds;
mod clients;
mod clocks;
mod command;
mod corpus_root;
mod crashes;
mod demo;
mod fail_points;
mod golden;
mod idle;
mod jaeger;
mod login;
mod messages;
mod misbehaving_clients;
mod nats_command;
mod permissions;
#[cfg(unix)]
mod readme;
mod resources;
mod restarts;
mod setup;
mod signals;
mod sleeping;
mod start_times;
mod support;
#[cfg(unix)]
mod tables;
mod telemetry;
mod traces;
mod values;
mod verifier;
