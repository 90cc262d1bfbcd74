//! What the tests share.

use bytes::Bytes;
use jetway_engine::backend::{RunResult, SnapshotStore, SnapshotWrite, Ticket};
use jetway_nats::{NatsBackend, NatsConfig};
use jetway_state::{
    CommitId, Fingerprint, Incarnation, ItemId, Namespace, RunId, RunKey, Seen, WorkflowName, run::Status,
    trace::TraceHeaders,
};
use jetway_testing::{NatsServer, shared_server, unique_namespace};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Long enough for a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A configuration for the shared server, in a namespace of its own.
pub(crate) async fn config(label: &str) -> NatsConfig {
    config_for(shared_server().await, label)
}

pub(crate) fn config_for(server: &NatsServer, label: &str) -> NatsConfig {
    let namespace = Namespace::new(&unique_namespace(label)).unwrap();
    NatsConfig::new(server.url()).in_namespace(namespace)
}

/// A backend on the shared server, in a namespace of its own.
pub(crate) async fn backend(label: &str) -> NatsBackend {
    connect(config(label).await).await
}

pub(crate) async fn connect(config: NatsConfig) -> NatsBackend {
    NatsBackend::connect(config).await.unwrap()
}

/// A plain NATS client of the shared server.
pub(crate) async fn client() -> async_nats::Client {
    async_nats::connect(shared_server().await.url()).await.unwrap()
}

/// Waits until the server has processed everything that the client sent before. A flush does not wait for that.
pub(crate) async fn heard(client: &async_nats::Client) {
    async_nats::jetstream::new(client.clone()).query_account().await.unwrap();
}

pub(crate) fn workflow() -> WorkflowName {
    WorkflowName::new("pay").unwrap()
}

pub(crate) fn run(id: &str) -> RunKey {
    RunKey::new(workflow(), RunId::new(id).unwrap())
}

/// A unique commit id.
pub(crate) fn commit_id() -> CommitId {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    CommitId { writer: 7, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
}

pub(crate) fn write(run: &RunKey, expected: u64, text: &str) -> SnapshotWrite {
    SnapshotWrite {
        run: run.clone(),
        incarnation: Incarnation::default(),
        chain: None,
        commit: commit_id(),
        expected,
        status: Status::Running,
        may_expire: true,
        awaited: false,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        chunks: Vec::new(),
    }
}

/// A result of the default incarnation.
pub(crate) fn result(run: &RunKey, json: &str) -> RunResult {
    let json = Bytes::copy_from_slice(json.as_bytes());
    RunResult { run: run.clone(), incarnation: Incarnation::default(), revision: 1, json }
}

/// The text and the revision of a run.
pub(crate) async fn loaded(backend: &NatsBackend, run: &RunKey) -> Option<(String, u64)> {
    let stored = backend.load(run, Seen::default()).await.unwrap()?;
    Some((String::from_utf8(stored.bytes.to_vec()).unwrap(), stored.revision))
}

pub(crate) const FINGERPRINT: Fingerprint = Fingerprint(0xfeed);

pub(crate) fn ticket(run: &RunKey, item: &str) -> Ticket {
    Ticket {
        workflow: run.workflow.clone(),
        run_id: run.run_id.clone(),
        incarnation: Incarnation::default(),
        node: "charge".to_owned(),
        item: ItemId::new(item).unwrap(),
        revision: 1,
        store: jetway_state::StoreId::default(),
        woken_by: None,
        attempt: 1,
        given_back: 0,
        at: jetway_core::clock::now(),
        trace: TraceHeaders { parent: Some("00-aa-bb-01".to_owned()), state: Some("vendor=x".to_owned()) },
    }
}
