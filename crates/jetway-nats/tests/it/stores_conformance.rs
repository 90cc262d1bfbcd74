//! The conformance suite of all stores, on JetStream.

use crate::support::config;
use jetway_core::{Context, Merge, WorkItem};
use jetway_nats::{
    NatsCheckpointStore, NatsConfig, NatsContextStore, NatsErrorStore, NatsLivenessStore, NatsMetricsStore,
    NatsRunInfoStore, NatsStores, NatsWorkItemStateStore, NatsWorkQueue,
};
use jetway_testing::conformance::stores::Stores;
use std::time::Duration;

/// The stores of one application over a connection of their own.
#[derive(Debug, Clone)]
pub(crate) struct OnJetStream {
    config: NatsConfig,
    stores: NatsStores,
}

impl OnJetStream {
    pub(crate) async fn connect(config: NatsConfig) -> Self {
        let stores = NatsStores::connect(config.clone(), "suite").await.expect("the server is there");
        Self { config, stores: stores.waiting_for(Duration::from_millis(50)) }
    }
}

impl Stores for OnJetStream {
    type Queue<C: Context + 'static, WI: WorkItem + 'static> = NatsWorkQueue<WI>;
    type Contexts<C: Context + Merge + 'static> = NatsContextStore<C>;
    type Checkpoints<C: Context + 'static, WI: WorkItem + 'static> = NatsCheckpointStore<C, WI>;
    type Items<WI: WorkItem + 'static> = NatsWorkItemStateStore<WI>;
    type Runs = NatsRunInfoStore;
    type Metrics = NatsMetricsStore;
    type Errors = NatsErrorStore;
    type Liveness = NatsLivenessStore;

    async fn another(&self) -> Self {
        Self::connect(self.config.clone()).await
    }

    fn queue<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Queue<C, WI> {
        self.stores.work_queue()
    }

    fn contexts<C: Context + Merge + 'static>(&self) -> Self::Contexts<C> {
        self.stores.context_store()
    }

    fn checkpoints<C: Context + 'static, WI: WorkItem + 'static>(&self) -> Self::Checkpoints<C, WI> {
        self.stores.checkpoint_store()
    }

    fn items<WI: WorkItem + 'static>(&self) -> Self::Items<WI> {
        self.stores.work_item_state_store()
    }

    fn runs(&self) -> Self::Runs {
        self.stores.run_info_store()
    }

    fn metrics(&self) -> Self::Metrics {
        self.stores.metrics_store()
    }

    fn errors(&self) -> Self::Errors {
        self.stores.error_store()
    }

    fn liveness(&self) -> Self::Liveness {
        self.stores.liveness_store()
    }
}

jetway_testing::store_suite!(async |case: &str| OnJetStream::connect(config(case).await).await);
