//! Subjects and keys of the stores for runs without hosts.

use super::{Kind, Names, Stream};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{BadName, CommitId, ItemId, RunId, WorkflowName};

/// A kind of value that the stores keep for a run or a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StoreKey {
    /// The context of a run, or its snapshot.
    Context,
    /// The checkpoint of a run.
    Checkpoint,
    /// The status of a run.
    Info,
    /// The metrics of a run.
    Metrics,
    /// The errors of a run.
    Errors,
    /// The state of one work item.
    Item,
    /// The latest heartbeat of a worker.
    Heartbeat,
    /// The health of a worker.
    Health,
}

impl StoreKey {
    fn suffix(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Checkpoint => "checkpoint",
            Self::Info => "info",
            Self::Metrics => "metrics",
            Self::Errors => "errors",
            Self::Item => "item",
            Self::Heartbeat => "heartbeat",
            Self::Health => "health",
        }
    }
}

/// The names of one application's stores.
#[derive(Debug, Clone)]
pub(crate) struct StoreNames {
    names: Names,
    application: WorkflowName,
}

impl StoreNames {
    pub(crate) fn new(names: Names, application: WorkflowName) -> Self {
        Self { names, application }
    }

    pub(crate) fn application(&self) -> &str {
        self.application.as_str()
    }

    /// The key of a value of a run.
    ///
    /// # Errors
    /// `Refused` if the run id is invalid.
    pub(crate) fn of_run(&self, run_id: &str, key: StoreKey) -> Result<String, BackendError> {
        Ok(self.key_of(&["run", run(run_id)?.as_str(), key.suffix()]))
    }

    /// The keys of one kind of value of all runs.
    pub(crate) fn of_all_runs(&self, key: StoreKey) -> String {
        self.key_of(&["run", "*", key.suffix()])
    }

    /// The keys of all values of a run, parts included.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn all_of_run(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.key_of(&["run", run(run_id)?.as_str(), ">"]))
    }

    /// The keys of what workers record about a run: its metrics, its errors and the states of its work items.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn views_of_run(&self, run_id: &str) -> Result<[String; 3], BackendError> {
        let run = run(run_id)?;
        let all = |key: StoreKey| self.key_of(&["run", run.as_str(), key.suffix(), ">"]);
        Ok([self.of_run(run_id, StoreKey::Metrics)?, all(StoreKey::Errors), all(StoreKey::Item)])
    }

    /// The key of the state of a work item.
    ///
    /// # Errors
    /// `Refused` if a name is invalid.
    pub(crate) fn item_state(&self, run_id: &str, item_id: &str) -> Result<String, BackendError> {
        let (run, item) = (run(run_id)?, item(item_id)?);
        Ok(self.key_of(&["run", run.as_str(), StoreKey::Item.suffix(), item.as_str()]))
    }

    /// The keys of the states of all work items of a run.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn item_states(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.key_of(&["run", run(run_id)?.as_str(), StoreKey::Item.suffix(), "*"]))
    }

    /// The key of a value of a worker.
    pub(crate) fn of_worker(&self, worker: usize, key: StoreKey) -> String {
        self.key_of(&["worker", &worker.to_string(), key.suffix()])
    }

    /// The keys of one kind of value of all workers.
    pub(crate) fn of_all_workers(&self, key: StoreKey) -> String {
        self.key_of(&["worker", "*", key.suffix()])
    }

    /// The worker of a key.
    pub(crate) fn worker_of(&self, subject: &str) -> Option<usize> {
        let rest = self.names.strip_key(Stream::StoreState, subject)?.strip_prefix(self.application())?;
        rest.strip_prefix(".worker.")?.split('.').next()?.parse().ok()
    }

    /// The key of one entry of a list.
    pub(crate) fn list_entry(key: &str, commit: CommitId) -> String {
        format!("{key}.{commit}")
    }

    /// The keys of all entries of a list.
    pub(crate) fn list_entries(key: &str) -> String {
        format!("{key}.*")
    }

    /// The key of a part of a large value.
    pub(crate) fn part(key: &str, commit: &str, number: usize) -> String {
        format!("{key}.{commit}.{number}")
    }

    /// The keys of the parts of one write.
    pub(crate) fn parts_of(key: &str, commit: CommitId) -> String {
        format!("{key}.{commit}.*")
    }

    /// The keys of all parts of a value, of every write.
    pub(crate) fn parts(key: &str) -> String {
        format!("{key}.*.*")
    }

    /// The subject of a work item.
    ///
    /// # Errors
    /// `Refused` if a name is invalid.
    pub(crate) fn item(&self, run_id: &str, item_id: &str) -> Result<String, BackendError> {
        let (run, item) = (run(run_id)?, item(item_id)?);
        Ok(self.names.subject(Kind::Item, &[self.application(), run.as_str(), item.as_str()]))
    }

    /// The subjects of the work items of a run.
    ///
    /// # Errors
    /// `Refused` if the run id is invalid.
    pub(crate) fn items_of_run(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.names.subject(Kind::Item, &[self.application(), run(run_id)?.as_str(), "*"]))
    }

    /// The subjects of the work items of the application.
    pub(crate) fn items(&self) -> String {
        self.names.subject(Kind::Item, &[self.application(), ">"])
    }

    /// The run id and the item id in the subject of a work item.
    pub(crate) fn run_and_item<'a>(&self, subject: &'a str) -> Option<(&'a str, &'a str)> {
        let [application, run, item] = self.names.tokens(Kind::Item, subject)?;
        (application == self.application()).then_some((run, item))
    }

    /// The durable consumer of the application's work items.
    pub(crate) fn consumer(&self) -> String {
        Names::item_consumer(self.application())
    }

    fn key_of(&self, tokens: &[&str]) -> String {
        let mut key = self.names.key(Stream::StoreState, &[self.application()]);
        for token in tokens {
            key.push('.');
            key.push_str(token);
        }
        key
    }
}

fn run(run_id: &str) -> Result<RunId, BackendError> {
    RunId::new(run_id).map_err(|name| refused(&name))
}

fn item(item_id: &str) -> Result<ItemId, BackendError> {
    ItemId::new(item_id).map_err(|name| refused(&name))
}

fn refused(name: &BadName) -> BackendError {
    BackendError::new(BackendErrorKind::Refused, name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::Namespace;

    fn names(application: &str) -> StoreNames {
        let names = Names::new(Namespace::new("ns").unwrap());
        StoreNames::new(names, WorkflowName::new(application).unwrap())
    }

    #[test]
    fn an_item_subject_is_built_and_parsed() {
        let subject = names("pay").item("order-1", "start-3").unwrap();
        assert_eq!(subject, "jetway.ns.item.pay.order-1.start-3");
        assert_eq!(names("pay").run_and_item(&subject), Some(("order-1", "start-3")));
        assert_eq!(names("ship").run_and_item(&subject), None);
    }

    #[test]
    fn parts_are_not_among_the_values() {
        let names = names("pay");
        let key = names.item_state("order-1", "start").unwrap();
        assert_eq!(key, "$KV.JETWAY_ns_STORE_STATE.pay.run.order-1.item.start");
        assert_eq!(names.item_states("order-1").unwrap(), "$KV.JETWAY_ns_STORE_STATE.pay.run.order-1.item.*");
        let commit = CommitId { writer: 1, number: 2 };
        assert_eq!(StoreNames::part(&key, &commit.to_string(), 4), format!("{key}.00000000000000012.4"));
        assert_eq!(StoreNames::parts_of(&key, commit), format!("{key}.00000000000000012.*"));
        assert_eq!(names.of_all_runs(StoreKey::Info), "$KV.JETWAY_ns_STORE_STATE.pay.run.*.info");
    }

    #[test]
    fn the_worker_is_read_from_its_key() {
        let key = names("pay").of_worker(17, StoreKey::Heartbeat);
        assert_eq!(names("pay").worker_of(&key), Some(17));
        assert_eq!(names("pa").worker_of(&key), None);
    }

    #[test]
    fn invalid_names_are_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "a\nb", "ä", &"x".repeat(65)] {
            for refused in [
                names("pay").of_run(bad, StoreKey::Context),
                names("pay").all_of_run(bad),
                names("pay").items_of_run(bad),
                names("pay").item(bad, "start"),
                names("pay").item("order-1", bad),
                names("pay").item_state("order-1", bad),
            ] {
                assert_eq!(refused.unwrap_err().kind(), BackendErrorKind::Refused, "{bad:?}");
            }
        }
    }
}
