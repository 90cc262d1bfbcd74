//! The conformance suite of all backends, on JetStream.

use crate::support::config;
use jetway_nats::{NatsBackend, NatsConfig};
use jetway_testing::conformance::{BackendUnderTest, LEASE};
use std::sync::Arc;

jetway_testing::conformance_suite!(async |case: &str| {
    let config = NatsConfig { ack_wait: LEASE, ..config(case).await };
    let backend = NatsBackend::connect(config).await.expect("the server is there");
    BackendUnderTest::new(Arc::new(backend))
});
