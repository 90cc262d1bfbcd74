//! Every name on the server: streams, buckets, consumers, subjects and headers. No other file spells one out.
//!
//! `ns` is the namespace. Everything between two dots is checked before it gets here: workflow names, run ids, item ids
//! and host names hold no dot and no wildcard by their types, node names and strangers' words are checked here.
//!
//! | what | subject |
//! |---|---|
//! | start message | `jetway.ns.start.<workflow>` |
//! | ticket | `jetway.ns.work.<workflow>.<node>.<run_id>.<item_id>` |
//! | snapshot | `$KV.JETWAY_ns_RUNS.<workflow>.<run_id>` |
//! | part of a chunk | `$KV.JETWAY_ns_RUNS.<workflow>.<run_id>.<commit>.<number>.<part>` |
//! | result | `jetway.ns.done.<workflow>.<run_id>` |
//! | dead letter | `jetway.ns.dead.<workflow>.<why>` |
//! | host | `$KV.JETWAY_ns_HOSTS.<host>` |
//! | request | `jetway.ns.api.<verb>[.<workflow>[.<run_id>]]` |
//! | item of a work queue | `jetway.ns.item.<application>.<run_id>.<item_id>` |
//! | what a store keeps of a run | `$KV.JETWAY_ns_STORE_STATE.<application>.run.<run_id>.<what>[.<item_id>]` |
//! | what a store keeps of a worker | `$KV.JETWAY_ns_STORE_STATE.<application>.worker.<number>.<what>` |
//! | part of a large value of a store | the value's subject and `.<commit>.<part>` |

mod headers;
mod stores;
mod subjects;

pub(crate) use headers::*;
pub(crate) use stores::{Kept, StoreNames};
pub(crate) use subjects::{Ask, token};

use jetway_state::Namespace;

/// The streams and buckets of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// Start messages.
    Starts,
    /// Tickets.
    Tickets,
    /// Snapshots and chunks.
    Runs,
    /// Results.
    Done,
    /// Dead letters.
    Dead,
    /// Hosts that are alive.
    Hosts,
    /// What the stores for runs without hosts keep.
    StoreState,
    /// The work items of runs without hosts.
    StoreItems,
}

impl Stream {
    /// Those that hosts need.
    pub(crate) const ALL: [Self; 6] =
        [Self::Starts, Self::Tickets, Self::Runs, Self::Done, Self::Dead, Self::Hosts];

    /// Those that the stores for runs without hosts need.
    pub(crate) const STORES: [Self; 3] = [Self::StoreState, Self::StoreItems, Self::Dead];

    fn word(self) -> &'static str {
        match self {
            Self::Starts => "START",
            Self::Tickets => "WORK",
            Self::Runs => "RUNS",
            Self::Done => "DONE",
            Self::Dead => "DEAD",
            Self::Hosts => "HOSTS",
            Self::StoreState => "STORE_STATE",
            Self::StoreItems => "STORE_ITEMS",
        }
    }

    fn is_bucket(self) -> bool {
        matches!(self, Self::Runs | Self::Hosts | Self::StoreState)
    }
}

/// The name of the micro service, as `nats micro ls` shows it.
pub(crate) const SERVICE: &str = "jetway";
/// The hosts that share the requests.
pub(crate) const SERVICE_QUEUE: &str = "jetway";
/// The hosts that share the look-out for workflows that nobody serves.
pub(crate) const LOOK_OUT_QUEUE: &str = "jetway-unknown";

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

    /// The stream's name; for a bucket that of the stream below it.
    pub(crate) fn stream(&self, stream: Stream) -> String {
        if stream.is_bucket() {
            format!("KV_{}", self.bucket(stream))
        } else {
            format!("JETWAY_{}_{}", self.namespace, stream.word())
        }
    }

    /// The bucket's name, as `nats kv` takes it.
    pub(crate) fn bucket(&self, stream: Stream) -> String {
        format!("JETWAY_{}_{}", self.namespace, stream.word())
    }

    /// The durable consumer that hands out the tickets of a workflow.
    pub(crate) fn work_consumer(workflow: &str) -> String {
        format!("work_{workflow}")
    }

    /// The durable consumer that hands out the start messages of a workflow.
    pub(crate) fn start_consumer(workflow: &str) -> String {
        format!("start_{workflow}")
    }
}

/// The subject that a run of a workflow is started by: anybody may publish its input there.
pub fn start_subject(namespace: &Namespace, workflow: &str) -> String {
    Names::new(namespace.clone()).start(workflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_buckets_have_the_names_of_the_design() {
        let names = Names::new(Namespace::new("team-a").unwrap());
        let all = Stream::ALL.map(|stream| names.stream(stream));
        assert_eq!(
            all,
            [
                "JETWAY_team-a_START",
                "JETWAY_team-a_WORK",
                "KV_JETWAY_team-a_RUNS",
                "JETWAY_team-a_DONE",
                "JETWAY_team-a_DEAD",
                "KV_JETWAY_team-a_HOSTS",
            ]
        );
        assert_eq!(names.bucket(Stream::Runs), "JETWAY_team-a_RUNS");
        assert_eq!(Names::work_consumer("pay"), "work_pay");
        assert_eq!(Names::start_consumer("pay"), "start_pay");
        let stores = Stream::STORES.map(|stream| names.stream(stream));
        let expected = ["KV_JETWAY_team-a_STORE_STATE", "JETWAY_team-a_STORE_ITEMS", "JETWAY_team-a_DEAD"];
        assert_eq!(stores, expected);
    }

    /// Else the stream of one namespace would be that of another, whose name ends with a word.
    #[test]
    fn no_word_is_the_end_of_another() {
        let words: Vec<_> = Stream::ALL.into_iter().chain(Stream::STORES).map(Stream::word).collect();
        for (one, other) in words.iter().flat_map(|one| words.iter().map(move |other| (one, other))) {
            assert!(!one.ends_with(&format!("_{other}")), "{one} ends with {other}");
        }
    }
}
