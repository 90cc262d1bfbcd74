//! Refuses starts of workflows that no host serves. Otherwise such a request would time out.

use crate::backend::NatsBackend;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jetway_engine::backend::{Api, ApiError, Hosts as _};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::{Duration, Instant};

/// How long the list of served workflows is used, so that many requests do not cause many look-ups.
const FRESH: Duration = Duration::from_secs(1);

/// The look-up of the served workflows. Concurrent requests share it.
type Served = Shared<BoxFuture<'static, Result<Arc<BTreeSet<String>>, ApiError>>>;

/// Refuses starts of workflows that no host serves.
#[derive(Debug)]
pub(super) struct UnknownWorkflow {
    backend: Arc<NatsBackend>,
    api: Arc<dyn Api>,
    latest: Mutex<Option<(Instant, Served)>>,
}

impl UnknownWorkflow {
    pub(super) fn new(backend: Arc<NatsBackend>, api: Arc<dyn Api>) -> Self {
        Self { backend, api, latest: Mutex::new(None) }
    }

    /// The error for a start. `None` if a host serves the workflow: that host answers.
    pub(super) async fn refuse(&self, workflow: &str) -> Option<ApiError> {
        if self.api.serves(workflow) {
            return None;
        }
        let known = match self.served().await {
            Ok(known) => known,
            Err(error) => return Some(error),
        };
        if known.contains(workflow) {
            return None;
        }
        let sentence = if known.is_empty() {
            format!("no host serves workflow {workflow:?}, or any other workflow")
        } else {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            format!("no host serves workflow {workflow:?}; the served workflows are {}", known.join(", "))
        };
        Some(ApiError::new(404, sentence))
    }

    fn served(&self) -> Served {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, served)) = latest.as_ref().filter(|(since, _)| since.elapsed() < FRESH) {
            return served.clone();
        }
        let backend = Arc::clone(&self.backend);
        let look_up = async move {
            let hosts = backend.hosts().await?;
            let names = hosts.into_iter().flat_map(|host| host.workflows);
            Ok(Arc::new(names.map(|(workflow, _)| workflow.to_string()).collect()))
        };
        let served = look_up.boxed().shared();
        *latest = Some((Instant::now(), served.clone()));
        served
    }
}
