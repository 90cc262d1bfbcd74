//! What is looked at.

use crate::{
    args::ServerArgs,
    output::{bytes, count},
};
use jetway::{
    NatsConfig,
    client::{ClientError, HostInfo},
    nats::{NatsBackend, Provisioning, ServerFacts},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) found: String,
}

/// Whether a check is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

fn check(name: &'static str, state: State, found: impl Into<String>) -> Check {
    Check { name, state, found: found.into() }
}

/// Looks at everything, from the server to the hosts; what cannot be looked at any more is left out.
///
/// # Errors
/// There is no server to look at.
pub(super) async fn all(server: &ServerArgs) -> anyhow::Result<Vec<Check>> {
    let config = server.config();
    let client = server.client().await?;
    let mut checks = server_checks(&config, client.server());
    let streams = streams(config).await;
    let there = streams.state == State::Ok;
    checks.push(streams);
    if there {
        checks.extend(host_checks(client.hosts().await));
    }
    Ok(checks)
}

fn server_checks(config: &NatsConfig, facts: &ServerFacts) -> Vec<Check> {
    let place = match &facts.cluster {
        Some(cluster) => format!("in cluster {cluster}"),
        None => "a single server".to_owned(),
    };
    let found = format!("nats-server {} at {}, {place}", facts.version, config.urls.join(", "));
    let storage = match facts.max_storage {
        Some(most) => format!("{} of {}", bytes(facts.storage), bytes(most)),
        None => format!("{}, no limit for the account", bytes(facts.storage)),
    };
    // The server refuses what does not fit, so a nearly full account is worth a word before that.
    let full = facts.max_storage.is_some_and(|most| facts.storage > most / 10 * 9);
    vec![
        check("server", State::Ok, found),
        check("largest message", State::Ok, bytes(facts.max_payload as u64)),
        check("storage", if full { State::Warning } else { State::Ok }, storage),
    ]
}

/// The streams of the namespace: there, and as this build needs them.
async fn streams(config: NatsConfig) -> Check {
    let namespace = config.namespace.clone();
    let config = NatsConfig { provisioning: Provisioning::Check, ..config };
    match NatsBackend::connect(config).await {
        Ok(_) => check("streams", State::Ok, format!("those of namespace {namespace} are as they should be")),
        Err(error) => {
            check("streams", State::Failed, format!("{error}; the first host of a namespace makes them"))
        }
    }
}

fn host_checks(hosts: Result<Vec<HostInfo>, ClientError>) -> Vec<Check> {
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(error) => return vec![check("hosts", State::Failed, error.to_string())],
    };
    if hosts.is_empty() {
        let found = "none is alive: runs wait until one is (`jetway host`)";
        return vec![check("hosts", State::Warning, found)];
    }
    let slots: usize = hosts.iter().map(|host| host.slots).sum();
    let found = format!("{} alive, {} steps at once", count(hosts.len() as u64), count(slots as u64));
    let mut checks = vec![check("hosts", State::Ok, found)];
    checks.extend(hosts.iter().map(|host| {
        let workflows: Vec<_> = host.workflows.iter().map(|(name, _)| name.as_str()).collect();
        let found = format!(
            "{} serves {} since {} (jetway {})",
            host.host,
            workflows.join(", "),
            host.started_at,
            host.version
        );
        check("host", State::Ok, found)
    }));
    checks.extend(builds(&hosts));
    checks
}

/// Hosts that know a workflow by the same name but not by the same graph: fine for the time of a deploy.
fn builds(hosts: &[HostInfo]) -> Vec<Check> {
    let mut fingerprints: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (workflow, fingerprint) in hosts.iter().flat_map(|host| &host.workflows) {
        *fingerprints.entry(workflow.as_str()).or_default().entry(fingerprint).or_default() += 1;
    }
    let differ = fingerprints.into_iter().filter(|(_, builds)| builds.len() > 1);
    differ
        .map(|(workflow, builds)| {
            let builds: Vec<_> =
                builds.into_iter().map(|(fingerprint, hosts)| format!("{fingerprint} ({hosts})")).collect();
            let found =
                format!("{workflow} is served in {} different builds: {}", builds.len(), builds.join(", "));
            check("builds", State::Warning, found)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, fingerprint: &str) -> HostInfo {
        serde_json::from_value(serde_json::json!({
            "host": name, "workflows": [["chain", fingerprint]], "slots": 8,
            "started_at": "2026-01-01T00:00:00.000Z", "version": "0.1.0",
        }))
        .unwrap()
    }

    #[test]
    fn no_host_is_a_warning_and_hosts_are_told() {
        assert_eq!(host_checks(Ok(Vec::new()))[0].state, State::Warning);
        let checks = host_checks(Ok(vec![host("a", "1"), host("b", "1")]));
        assert_eq!(checks.len(), 3);
        assert_eq!(checks[0].found, "2 alive, 16 steps at once");
        assert!(checks[1].found.starts_with("a serves chain since"), "{}", checks[1].found);
    }

    #[test]
    fn different_builds_of_a_workflow_are_a_warning() {
        let checks = builds(&[host("a", "1"), host("b", "2"), host("c", "2")]);
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].found, "chain is served in 2 different builds: 1 (1), 2 (2)");
    }

    #[test]
    fn a_full_account_is_a_warning() {
        let facts = |storage| ServerFacts {
            version: "2.15.1".to_owned(),
            name: "n".to_owned(),
            cluster: None,
            max_payload: 1 << 20,
            max_storage: Some(1000),
            storage,
        };
        let state = |storage| server_checks(&NatsConfig::default(), &facts(storage))[2].state;
        assert_eq!(state(900), State::Ok);
        assert_eq!(state(950), State::Warning);
    }
}
