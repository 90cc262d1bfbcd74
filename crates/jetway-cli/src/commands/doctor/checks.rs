//! The checks.

mod queues;
mod waiting;

use crate::{
    args::ServerArgs,
    output::{bytes, count},
};
use jetway::{
    NatsConfig,
    client::{ClientError, HostInfo, check_streams, obsolete_streams},
    nats::ServerFacts,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The account of all clients of a server that has none.
const DEFAULT_ACCOUNT: &str = "$G";

/// A check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) status: CheckStatus,
    pub(super) details: String,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckStatus {
    Ok,
    Warning,
    Failed,
}

impl CheckStatus {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

fn check(name: &'static str, status: CheckStatus, details: impl Into<String>) -> Check {
    Check { name, status, details: details.into() }
}

/// Runs all checks, from the server to the hosts. The hosts are checked only if the streams are.
///
/// # Errors
/// The server does not answer.
pub(super) async fn all(server: &ServerArgs) -> anyhow::Result<Vec<Check>> {
    let config = server.config()?;
    let client = server.client().await?;
    let mut checks = server_checks(&config, client.server());
    checks.push(access(client.account().await));
    let streams = streams(config).await;
    let streams_ok = streams.iter().all(|check| check.status != CheckStatus::Failed);
    checks.extend(streams);
    if streams_ok {
        checks.extend(made_again(client.streams_made_again().await));
        let hosts = client.hosts().await;
        let queues = queues::checks(&client, hosts.as_deref().ok()).await;
        checks.extend(host_checks(hosts));
        checks.extend(queues);
        checks.extend(waiting::checks(&client).await);
    }
    Ok(checks)
}

fn server_checks(config: &NatsConfig, facts: &ServerFacts) -> Vec<Check> {
    let topology = match &facts.cluster {
        Some(cluster) => format!("cluster {cluster}"),
        None => "single server".to_owned(),
    };
    let server = format!("nats-server {} at {}, {topology}", facts.version, config.servers);
    let storage = match facts.max_storage {
        Some(limit) => format!("{} of {} used", bytes(facts.storage), bytes(limit)),
        None => format!("{} used, the account has no limit", bytes(facts.storage)),
    };
    // The server rejects writes to a full account, so warn at 90 %.
    let nearly_full = facts.max_storage.is_some_and(|limit| facts.storage > limit / 10 * 9);
    let storage_status = if nearly_full { CheckStatus::Warning } else { CheckStatus::Ok };
    vec![
        check("server", CheckStatus::Ok, server),
        check("max_payload", CheckStatus::Ok, bytes(facts.max_payload as u64)),
        check("storage", storage_status, storage),
    ]
}

/// Whether the server has accounts. Inside one account, whoever may publish can make the server itself write anywhere.
fn access(account: Result<Option<String>, ClientError>) -> Check {
    match account {
        Ok(Some(account)) if account == DEFAULT_ACCOUNT => {
            let details = "the server has no accounts, so whoever may publish is trusted: a client can overwrite runs with the \
                           reply subject of a start; if you do not trust all clients, use the accounts that `jetway \
                           permissions` prints";
            check("access", CheckStatus::Warning, details)
        }
        Ok(Some(account)) => {
            let details = format!(
                "account {account}: whoever may publish in it is trusted; clients that start runs belong into an account of \
                 their own, as `jetway permissions` prints it"
            );
            check("access", CheckStatus::Ok, details)
        }
        Ok(None) => check("access", CheckStatus::Ok, "this user may not ask for its account"),
        Err(error) => check("access", CheckStatus::Warning, error.to_string()),
    }
}

/// The streams of the namespace exist and are configured as this version needs them, and none has an old name.
async fn streams(config: NatsConfig) -> Vec<Check> {
    let namespace = config.namespace.clone();
    let streams = match check_streams(config.clone()).await {
        Ok(()) => {
            let details = format!("the streams of namespace {namespace} exist and are configured correctly");
            check("streams", CheckStatus::Ok, details)
        }
        Err(error) => {
            let details = format!("{error}; the first host of a namespace creates its streams");
            check("streams", CheckStatus::Failed, details)
        }
    };
    let mut checks = vec![streams];
    checks.extend(old_names(config).await);
    checks
}

/// A warning for each stream that had disappeared: what was lost with it.
fn made_again(sentences: Result<Vec<String>, ClientError>) -> Vec<Check> {
    let warning = |details| check("made again", CheckStatus::Warning, details);
    match sentences {
        Ok(sentences) => sentences.into_iter().map(warning).collect(),
        Err(error) => vec![warning(error.to_string())],
    }
}

/// A warning for each stream that an earlier version used under another name.
async fn old_names(config: NatsConfig) -> Vec<Check> {
    match obsolete_streams(config).await {
        Ok(sentences) => {
            sentences.into_iter().map(|sentence| check("old name", CheckStatus::Warning, sentence)).collect()
        }
        Err(error) => vec![check("old name", CheckStatus::Warning, error.to_string())],
    }
}

fn host_checks(hosts: Result<Vec<HostInfo>, ClientError>) -> Vec<Check> {
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(error) => return vec![check("hosts", CheckStatus::Failed, error.to_string())],
    };
    if hosts.is_empty() {
        let details = "no host is running: runs wait until one starts (for example `jetway host`)";
        return vec![check("hosts", CheckStatus::Warning, details)];
    }
    let slots: usize = hosts.iter().map(|host| host.slots).sum();
    let hosts_and_slots =
        format!("{} running, {} concurrent steps", count(hosts.len() as u64), count(slots as u64));
    let mut checks = vec![check("hosts", CheckStatus::Ok, hosts_and_slots)];
    checks.extend(hosts.iter().map(|host| {
        let workflows: Vec<_> = host.workflows.iter().map(|(name, _)| name.as_str()).collect();
        let details = format!(
            "{} serves {}; started {}, jetway {}",
            host.host,
            workflows.join(", "),
            host.started_at,
            host.version
        );
        check("host", CheckStatus::Ok, details)
    }));
    checks.extend(builds(&hosts));
    checks.extend(hosts.iter().filter_map(no_room));
    checks
}

/// Warns of a host that found the server full, also after there is room again: timers that were due meanwhile came late.
fn no_room(host: &HostInfo) -> Option<Check> {
    let at = host.no_room_at.as_deref()?;
    let details = format!(
        "at {at} the server had no room for a write of {}: steps wait then, and timers that are due ring late; raise the limits of \
         the server, the account and its streams, or remove data",
        host.host
    );
    Some(check("room", CheckStatus::Warning, details))
}

/// Warns of hosts that serve different graphs under one workflow name. That is normal during a deployment only.
fn builds(hosts: &[HostInfo]) -> Vec<Check> {
    let mut fingerprints: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (workflow, fingerprint) in hosts.iter().flat_map(|host| &host.workflows) {
        *fingerprints.entry(workflow.as_str()).or_default().entry(fingerprint).or_default() += 1;
    }
    let differ = fingerprints.into_iter().filter(|(_, builds)| builds.len() > 1);
    differ
        .map(|(workflow, builds)| {
            let hosts: Vec<_> = builds
                .iter()
                .map(|(fingerprint, hosts)| match hosts {
                    1 => format!("{fingerprint} on 1 host"),
                    hosts => format!("{fingerprint} on {} hosts", count(*hosts as u64)),
                })
                .collect();
            let details = format!(
                "hosts serve {} versions of workflow {workflow} (fingerprint {}): deploy one version to all hosts",
                builds.len(),
                hosts.join(", ")
            );
            check("builds", CheckStatus::Warning, details)
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
    fn no_host_is_a_warning_and_hosts_are_listed() {
        assert_eq!(host_checks(Ok(Vec::new()))[0].status, CheckStatus::Warning);
        let checks = host_checks(Ok(vec![host("a", "1"), host("b", "1")]));
        assert_eq!(checks.len(), 3);
        assert_eq!(checks[0].details, "2 running, 16 concurrent steps");
        assert!(checks[1].details.starts_with("a serves chain; started"), "{}", checks[1].details);
    }

    #[test]
    fn w26_a_server_that_was_full_is_a_warning() {
        let full = HostInfo { no_room_at: Some("2026-01-01T00:00:00.000Z".to_owned()), ..host("b", "1") };
        let checks = host_checks(Ok(vec![host("a", "1"), full]));
        let warnings: Vec<_> = checks.iter().filter(|check| check.status == CheckStatus::Warning).collect();
        let [Check { name: "room", details, .. }] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(
            details.starts_with("at 2026-01-01T00:00:00.000Z the server had no room for a write of b:"),
            "{details}"
        );
    }

    #[test]
    fn different_builds_of_a_workflow_are_a_warning() {
        let checks = builds(&[host("a", "1"), host("b", "2"), host("c", "2")]);
        assert_eq!(checks.len(), 1);
        let expected = "hosts serve 2 versions of workflow chain (fingerprint 1 on 1 host, 2 on 2 hosts)";
        assert!(checks[0].details.starts_with(expected), "{}", checks[0].details);
    }

    #[test]
    fn a_nearly_full_account_is_a_warning() {
        let facts = |storage| ServerFacts {
            version: "2.15.1".to_owned(),
            name: "n".to_owned(),
            cluster: None,
            max_payload: 1 << 20,
            max_storage: Some(1000),
            storage,
        };
        let status = |storage| server_checks(&NatsConfig::default(), &facts(storage))[2].status;
        assert_eq!(status(900), CheckStatus::Ok);
        assert_eq!(status(950), CheckStatus::Warning);
    }
}
