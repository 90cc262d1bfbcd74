//! Random programs under random faults, and a model that knows what must come of them.
pub mod check;
pub mod model;
pub mod play;
pub mod program;
