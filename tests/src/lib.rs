//! What tests of Jetway as a whole share with the processes that they start. The tests themselves are in `it/`.

pub mod clocks;
pub mod resources;
