//! The suite against the in-memory backend.

use jetway_engine::memory::MemoryBackend;
use jetway_testing::conformance::{BackendUnderTest, LEASE};
use std::sync::Arc;

jetway_testing::conformance_suite!(async |_case: &str| BackendUnderTest::new(Arc::new(
    MemoryBackend::with_lease(LEASE)
)));
