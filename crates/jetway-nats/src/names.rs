//! All names on the server: streams, buckets, consumers, subjects and headers. No other file contains one.
//!
//! `ns` is the namespace. Every token of a subject is valid before it is used here: the types of workflow names, run ids and
//! item ids allow no dot and no wildcard. Names of nodes and hosts, and text from clients, are checked in [`subjects`].
//!
//! | what | subject |
//! |---|---|
//! | start message | `jetway.ns.start.<workflow>` |
//! | ticket | `jetway.ns.work.<workflow>.<node>.<run_id>.<item_id>.<activation>`, see [`Ticket::activation`](jetway_engine::backend::Ticket::activation) |
//! | alarm | `jetway.ns.timer.<minute>.<workflow>.<run_id>.<incarnation>.<millisecond>`, see [`timer`](Names::timer) |
//! | wake-up, which an alarm publishes | `jetway.ns.wake.<workflow>.<run_id>.<incarnation>.<millisecond since 1970>` |
//! | signal | `jetway.ns.signal.<workflow>.<run_id>.<name>`, see [`signals`] for those that are put off |
//! | snapshot | `$KV.JETWAY_ns_RUNS.<workflow>.<run_id>` |
//! | part of a chunk | `$KV.JETWAY_ns_RUNS.<workflow>.<run_id>.<incarnation>.<commit>.<number>.<part>` |
//! | result | `jetway.ns.done.<workflow>.<run_id>` |
//! | refusal of a start | `jetway.ns.done.<workflow>.<run_id>.<start id>` |
//! | dead letter | `jetway.ns.dead.<workflow>.<why>` |
//! | a run is cancelled | `jetway.ns.event.<workflow>.cancel`, see [`cancelled`](Names::cancelled) |
//! | host | `$KV.JETWAY_ns_HOSTS.<host>` |
//! | last heartbeat of a step | `$KV.JETWAY_ns_BEATS.<workflow>.<run_id>.<incarnation>.<item_id>` |
//! | request | `jetway.ns.api.<verb>[.<workflow>[.<run_id>]]` |
//! | question about the service | `$SRV.<PING, INFO or STATS>[.jetway[.<id>]]` |
//! | question about the own user | `$SYS.REQ.USER.INFO` |
//! | work item of a store | `jetway.ns.item.<application>.<run_id>.<item_id>` |
//! | value of a store for a run | `$KV.JETWAY_ns_STORE_STATE.<application>.run.<run_id>.<key>[.<item_id>]` |
//! | value of a store for a worker | `$KV.JETWAY_ns_STORE_STATE.<application>.worker.<number>.<key>` |
//! | part of a large value of a store | the value's subject and `.<commit>.<part>` |
//!
//! `roles` says who may use each name. A new name needs its roles there, or a test fails.

mod alarms;
mod discovery;
mod events;
mod headers;
mod kind;
mod operations;
mod replies;
mod roles;
mod signals;
mod stores;
mod subjects;

pub(crate) use alarms::{WakeTokens, minute_of};
pub(crate) use discovery::{DiscoveryVerb, discovery_subjects};
pub(crate) use headers::*;
pub(crate) use kind::Kind;
pub(crate) use operations::*;
pub(crate) use replies::{INBOX, ReplyPrefixes};
pub use roles::Role;
pub(crate) use roles::{Rights, Scope};
pub(crate) use signals::{PutOffTokens, SignalTokens};
pub(crate) use stores::{StoreKey, StoreNames};
pub(crate) use subjects::{ApiMethod, subject_token};

use jetway_state::Namespace;

/// The streams and buckets of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// Start messages.
    Starts,
    /// Tickets.
    Tickets,
    /// Alarms, and the wake-ups that they publish.
    Timers,
    /// Signals.
    Signals,
    /// Snapshots and chunks.
    Runs,
    /// Results.
    Done,
    /// Dead letters.
    Dead,
    /// Live hosts.
    Hosts,
    /// The last heartbeats of steps.
    Beats,
    /// The values of the stores for runs without hosts.
    StoreState,
    /// The work items of the stores for runs without hosts.
    StoreItems,
}

impl Stream {
    /// Those of hosts.
    pub(crate) const OF_HOSTS: [Self; 9] = [
        Self::Starts,
        Self::Tickets,
        Self::Timers,
        Self::Signals,
        Self::Runs,
        Self::Done,
        Self::Dead,
        Self::Hosts,
        Self::Beats,
    ];

    /// Those of the stores for runs without hosts.
    pub(crate) const OF_STORES: [Self; 3] = [Self::StoreState, Self::StoreItems, Self::Dead];

    /// All of a namespace.
    pub(crate) const ALL: [Self; 11] = [
        Self::Starts,
        Self::Tickets,
        Self::Timers,
        Self::Signals,
        Self::Runs,
        Self::Done,
        Self::Dead,
        Self::Hosts,
        Self::Beats,
        Self::StoreState,
        Self::StoreItems,
    ];

    fn suffix(self) -> &'static str {
        match self {
            Self::Starts => "START",
            Self::Tickets => "WORK",
            Self::Timers => "TIMERS",
            Self::Signals => "SIGNAL",
            Self::Runs => "RUNS",
            Self::Done => "DONE",
            Self::Dead => "DEAD",
            Self::Hosts => "HOSTS",
            Self::Beats => "BEATS",
            Self::StoreState => "STORE_STATE",
            Self::StoreItems => "STORE_ITEMS",
        }
    }

    fn is_bucket(self) -> bool {
        matches!(self, Self::Runs | Self::Hosts | Self::Beats | Self::StoreState)
    }
}

/// In the metadata of the bucket of snapshots: the number of replicas that the namespace is set up for.
pub(crate) const REPLICAS_RECORD: &str = "jetway-replicas";
/// In the metadata of the stream of tickets: it was made anew, and tickets of pending items may still be missing.
pub(crate) const TICKETS_MISSING: &str = "jetway-tickets-missing";

/// In the metadata of a stream that had disappeared while hosts were up: when it was made again.
pub(crate) const MADE_AGAIN: &str = "jetway-made-again";

/// How the subjects of the keys of all buckets begin.
pub(crate) const KEYS_OF_BUCKETS: &str = "$KV.";

/// The name of the micro service, as `nats micro ls` shows it.
pub(crate) const SERVICE: &str = "jetway";
/// The queue group of the hosts that answer requests.
pub(crate) const SERVICE_QUEUE: &str = "jetway";
/// The queue group of the hosts that refuse starts of workflows that no host serves.
pub(crate) const UNKNOWN_WORKFLOW_QUEUE: &str = "jetway-unknown";

/// The names of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    namespace: Namespace,
}

impl Names {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The stream's name. For a bucket, the name of the stream that holds it.
    pub(crate) fn stream(&self, stream: Stream) -> String {
        if stream.is_bucket() {
            format!("KV_{}", self.bucket(stream))
        } else {
            format!("JETWAY_{}_{}", self.namespace, stream.suffix())
        }
    }

    /// The bucket's name, as `nats kv` takes it.
    pub(crate) fn bucket(&self, stream: Stream) -> String {
        format!("JETWAY_{}_{}", self.namespace, stream.suffix())
    }

    /// The streams that earlier versions used, with the stream that replaces each.
    pub(crate) fn obsolete_streams(&self) -> [(String, Stream); 1] {
        [(format!("KV_JETWAY_{}_WORKERS", self.namespace), Stream::Hosts)]
    }

    /// The durable consumer of the tickets of a workflow.
    pub(crate) fn work_consumer(workflow: &str) -> String {
        format!("work_{workflow}")
    }

    /// The durable consumer of the wake-ups of a workflow.
    pub(crate) fn wake_consumer(workflow: &str) -> String {
        format!("wake_{workflow}")
    }

    /// The durable consumer of the signals of a workflow.
    pub(crate) fn signal_consumer(workflow: &str) -> String {
        format!("signal_{workflow}")
    }

    /// The durable consumer of the work items of an application's stores.
    pub(crate) fn item_consumer(application: &str) -> String {
        format!("item_{application}")
    }

    /// The durable consumer of the start messages of a workflow.
    pub(crate) fn start_consumer(workflow: &str) -> String {
        format!("start_{workflow}")
    }
}

/// The subject of start messages of a workflow. Any client may publish an input to it.
pub fn start_subject(namespace: &Namespace, workflow: &str) -> String {
    Names::new(namespace.clone()).start(workflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_buckets_have_their_documented_names() {
        let names = Names::new(Namespace::new("team-a").unwrap());
        let all = Stream::OF_HOSTS.map(|stream| names.stream(stream));
        assert_eq!(
            all,
            [
                "JETWAY_team-a_START",
                "JETWAY_team-a_WORK",
                "JETWAY_team-a_TIMERS",
                "JETWAY_team-a_SIGNAL",
                "KV_JETWAY_team-a_RUNS",
                "JETWAY_team-a_DONE",
                "JETWAY_team-a_DEAD",
                "KV_JETWAY_team-a_HOSTS",
                "KV_JETWAY_team-a_BEATS",
            ]
        );
        assert_eq!(names.bucket(Stream::Runs), "JETWAY_team-a_RUNS");
        assert_eq!(Names::work_consumer("pay"), "work_pay");
        assert_eq!(Names::wake_consumer("pay"), "wake_pay");
        assert_eq!(Names::start_consumer("pay"), "start_pay");
        assert_eq!(Names::signal_consumer("pay"), "signal_pay");
        let stores = Stream::OF_STORES.map(|stream| names.stream(stream));
        let expected = ["KV_JETWAY_team-a_STORE_STATE", "JETWAY_team-a_STORE_ITEMS", "JETWAY_team-a_DEAD"];
        assert_eq!(stores, expected);
    }

    /// Otherwise two namespaces could have one stream: `a_B` with suffix `C` and `a` with suffix `B_C`.
    #[test]
    fn no_suffix_is_the_end_of_another() {
        let suffixes: Vec<_> =
            Stream::OF_HOSTS.into_iter().chain(Stream::OF_STORES).map(Stream::suffix).collect();
        for (one, other) in suffixes.iter().flat_map(|one| suffixes.iter().map(move |other| (one, other))) {
            assert!(!one.ends_with(&format!("_{other}")), "{one} ends with {other}");
        }
    }
}
