//! Jetway as a whole, against a real nats-server, processes killed included.

mod clients;
mod command;
mod crashes;
mod demo;
mod golden;
mod hostile;
mod idle;
mod support;
mod tidy;
mod traces;
