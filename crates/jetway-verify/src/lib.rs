//! Random programs under random faults, and a model that knows what must come of them.
//!
//! The verifier makes programs out of a seed: chains, fan-outs within fan-outs, joins that gather and joins that hold,
//! circles, bounded nodes, failing and panicking nodes with and without a fallback, child runs, and changes of a context
//! with every type that can be merged. A sequential [model] knows what must come of each. Real hosts then run thousands
//! of them on a real nats-server, while a [nemesis] kills, stops, cuts off, slows down and robs them. At the end every run
//! is held against its model, and the streams against emptiness.
//!
//! The idea is that of the verification programs of Restate, and of Jepsen's nemesis; neither asks the system under test
//! for its opinion.

pub mod check;
pub mod drive;
mod error;
pub mod fleet;
pub mod model;
pub mod nemesis;
pub mod play;
pub mod program;
pub mod runs;
mod serve;
mod summary;
mod tickets;
mod verify;

pub use error::Error;
pub use fleet::HostCommand;
pub use serve::serve;
pub use summary::{Failure, Summary};
pub use verify::{Options, Progress, acts, verify};
