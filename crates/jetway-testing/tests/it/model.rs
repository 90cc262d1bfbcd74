//! The part of the suite about stores, in memory.

mod files;

use jetway_testing::conformance::model::MemoryStores;

jetway_testing::model_suite!(async |_case: &str| MemoryStores::new());
