//! Both conformance suites with the rights of a worker: whatever a host or a store needs is allowed.

use crate::stores_conformance::OnJetStream;
use jetway_nats::{
    NatsAuth, NatsBackend, NatsConfig, PermissionSettings, Permissions, Role, ServerUser, UserLogin,
};
use jetway_state::Namespace;
use jetway_testing::{
    NatsServer, conf_for_many_namespaces,
    conformance::{BackendUnderTest, LEASE},
};
use serde_json::{Map, Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::OnceCell;

/// More than there are cases.
const NAMESPACES: usize = 500;

fn namespace(number: usize) -> Namespace {
    Namespace::new(&format!("allowed-{number}")).unwrap()
}

/// The accounts of a namespace, with a worker who may start runs too: the cases do so over the connection of the host.
fn accounts(number: usize) -> Map<String, Value> {
    let namespace = namespace(number);
    let start = format!("jetway.{namespace}.start.*");
    let login = UserLogin::Password { user: format!("worker-{number}"), hash: "secret".to_owned() };
    let mut settings = PermissionSettings::new(namespace);
    settings.account = format!("A{number}");
    settings.users = vec![ServerUser { role: Role::Worker, login }];
    let mut printed = serde_json::to_value(Permissions::new(&settings).unwrap()).unwrap();
    let allowed = &mut printed["accounts"][&settings.account]["users"][0]["permissions"]["publish"]["allow"];
    allowed.as_array_mut().unwrap().push(json!(start));
    printed["accounts"].as_object().unwrap().clone()
}

/// A server that enforces the rights of each namespace.
async fn server() -> &'static NatsServer {
    static SERVER: OnceCell<NatsServer> = OnceCell::const_new();
    let start = async || {
        let accounts: Map<String, Value> = (0..NAMESPACES).flat_map(accounts).collect();
        let config = format!("accounts: {}", Value::Object(accounts));
        let server = NatsServer::builder().config(conf_for_many_namespaces()).extra_config(&config);
        server.start().await.unwrap()
    };
    SERVER.get_or_init(start).await
}

/// The next namespace, as its worker.
pub(crate) async fn worker() -> NatsConfig {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let auth = NatsAuth::password(format!("worker-{number}"), "secret");
    NatsConfig::new(server().await.url()).in_namespace(namespace(number)).with_auth(auth)
}

mod p13_hosts {
    use super::*;

    jetway_testing::conformance_suite!(async |_case: &str| {
        let config = NatsConfig { ack_wait: LEASE, ..worker().await };
        let backend = NatsBackend::connect(config).await.expect("the server is there");
        BackendUnderTest::new(Arc::new(backend))
    });
}

mod p13_stores {
    use super::*;

    jetway_testing::store_suite!(async |_case: &str| OnJetStream::connect(worker().await).await);
}
