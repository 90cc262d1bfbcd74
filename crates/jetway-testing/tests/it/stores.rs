//! The part of the suite about stores, in memory.

mod files;

use jetway_testing::conformance::stores::MemoryStores;

jetway_testing::store_suite!(async |_case: &str| MemoryStores::new());
