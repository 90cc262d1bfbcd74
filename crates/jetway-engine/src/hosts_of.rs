//! What a status says of the hosts of a workflow.

use crate::backend::{Backend, BackendError, HostInfo};
use jetway_state::view::{HostsOf, StatusView};

/// Adds what is known of these live hosts to the status of a run. Asks the backend only if it depends on hosts whether the run goes
/// on. `serves`: whoever asks serves the workflow itself, also if it is not among the hosts yet.
///
/// # Errors
/// An error of the backend.
pub async fn with_hosts(
    backend: &dyn Backend,
    view: StatusView,
    hosts: &[HostInfo],
    serves: bool,
) -> Result<StatusView, BackendError> {
    let workflow = &view.run.workflow;
    let serve = |host: &&HostInfo| host.workflows.iter().any(|(name, _)| name == workflow);
    let serving: Vec<_> = hosts.iter().filter(serve).collect();
    let count = serving.len().max(usize::from(serves));
    let queued = match view.depends_on_hosts() && !serving.is_empty() {
        true => backend.queued(workflow).await?,
        false => None,
    };
    let slots = serving.iter().map(|host| host.slots).sum();
    Ok(view.with_hosts(HostsOf { hosts: count, slots, queued }))
}
