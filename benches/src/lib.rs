//! What the benchmarks and the load generator share.

pub mod snapshots;
