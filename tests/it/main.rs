//! Jetway as a whole, against a real nats-server, processes killed included.

mod architecture;
mod clients;
mod clocks;
mod command;
mod corpus_root;
mod crashes;
mod demo;
mod fail_points;
mod golden;
mod idle;
mod misbehaving_clients;
mod resources;
mod support;
mod traces;
mod values;
mod verifier;
