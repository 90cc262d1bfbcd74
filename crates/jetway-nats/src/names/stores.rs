//! Subjects of the stores for runs without hosts.

use super::{Names, Stream};
use jetway_engine::backend::{BackendError, BackendErrorKind};
use jetway_state::{BadName, CommitId, ItemId, RunId, WorkflowName};

/// What is kept of a run or a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// The context of a run, or its snapshot.
    Context,
    /// The checkpoint of a run.
    Checkpoint,
    /// Where a run stands.
    Info,
    /// Counts of a run.
    Metrics,
    /// The errors of a run.
    Errors,
    /// The state of one work item.
    Item,
    /// When a worker was last alive.
    Heartbeat,
    /// How a worker is.
    Health,
}

impl Kept {
    fn word(self) -> &'static str {
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

    /// What is kept of a run.
    ///
    /// # Errors
    /// `Refused` where the run's name cannot stand in a subject.
    pub(crate) fn of_run(&self, run_id: &str, what: Kept) -> Result<String, BackendError> {
        Ok(self.kept(&["run", run(run_id)?.as_str(), what.word()]))
    }

    /// What is kept of every run.
    pub(crate) fn of_all_runs(&self, what: Kept) -> String {
        self.kept(&["run", "*", what.word()])
    }

    /// All that is kept of a run, in parts or whole.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn all_of_run(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.kept(&["run", run(run_id)?.as_str(), ">"]))
    }

    /// What workers leave of a run in views: its numbers, its errors and the states of its work items.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn views_of_run(&self, run_id: &str) -> Result<[String; 3], BackendError> {
        let run = run(run_id)?;
        let all = |what: Kept| self.kept(&["run", run.as_str(), what.word(), ">"]);
        Ok([self.of_run(run_id, Kept::Metrics)?, all(Kept::Errors), all(Kept::Item)])
    }

    /// The state of a work item.
    ///
    /// # Errors
    /// `Refused` where a name cannot stand in a subject.
    pub(crate) fn item_state(&self, run_id: &str, item_id: &str) -> Result<String, BackendError> {
        let (run, item) = (run(run_id)?, item(item_id)?);
        Ok(self.kept(&["run", run.as_str(), Kept::Item.word(), item.as_str()]))
    }

    /// The states of all work items of a run.
    ///
    /// # Errors
    /// As [`of_run`](Self::of_run).
    pub(crate) fn item_states(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.kept(&["run", run(run_id)?.as_str(), Kept::Item.word(), "*"]))
    }

    /// What is kept of a worker.
    pub(crate) fn of_worker(&self, worker: usize, what: Kept) -> String {
        self.kept(&["worker", &worker.to_string(), what.word()])
    }

    /// What is kept of every worker.
    pub(crate) fn of_all_workers(&self, what: Kept) -> String {
        self.kept(&["worker", "*", what.word()])
    }

    /// The worker of a key.
    pub(crate) fn worker_of(&self, subject: &str) -> Option<usize> {
        let rest = self.names.strip_key(Stream::StoreState, subject)?.strip_prefix(self.application())?;
        rest.strip_prefix(".worker.")?.split('.').next()?.parse().ok()
    }

    /// One of the values that were added to a key.
    pub(crate) fn one_added(key: &str, commit: CommitId) -> String {
        format!("{key}.{commit}")
    }

    /// All values that were added to a key.
    pub(crate) fn added(key: &str) -> String {
        format!("{key}.*")
    }

    /// A part of a value that is kept in parts.
    pub(crate) fn part(key: &str, commit: &str, number: usize) -> String {
        format!("{key}.{commit}.{number}")
    }

    /// The parts that one write left.
    pub(crate) fn parts_of(key: &str, commit: CommitId) -> String {
        format!("{key}.{commit}.*")
    }

    /// All parts of a value, of whichever write.
    pub(crate) fn parts(key: &str) -> String {
        format!("{key}.*.*")
    }

    /// A work item.
    ///
    /// # Errors
    /// `Refused` where a name cannot stand in a subject.
    pub(crate) fn item(&self, run_id: &str, item_id: &str) -> Result<String, BackendError> {
        let (run, item) = (run(run_id)?, item(item_id)?);
        Ok(self.names.subject("item", &[self.application(), run.as_str(), item.as_str()]))
    }

    /// The work items of a run.
    ///
    /// # Errors
    /// `Refused` where the run's name cannot stand in a subject.
    pub(crate) fn items_of_run(&self, run_id: &str) -> Result<String, BackendError> {
        Ok(self.names.subject("item", &[self.application(), run(run_id)?.as_str(), "*"]))
    }

    /// The work items of the application.
    pub(crate) fn items(&self) -> String {
        self.names.subject("item", &[self.application(), ">"])
    }

    /// The run and the id of a work item.
    pub(crate) fn run_and_item<'a>(&self, subject: &'a str) -> Option<(&'a str, &'a str)> {
        let [application, run, item] = self.names.tokens("item", subject)?;
        (application == self.application()).then_some((run, item))
    }

    /// The durable consumer that hands out the application's work items.
    pub(crate) fn consumer(&self) -> String {
        format!("item_{}", self.application)
    }

    fn kept(&self, words: &[&str]) -> String {
        let mut key = self.names.key(Stream::StoreState, &[self.application()]);
        for word in words {
            key.push('.');
            key.push_str(word);
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
    fn items_go_there_and_back() {
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
        assert_eq!(names.of_all_runs(Kept::Info), "$KV.JETWAY_ns_STORE_STATE.pay.run.*.info");
    }

    #[test]
    fn workers_are_known_by_their_keys() {
        let key = names("pay").of_worker(17, Kept::Heartbeat);
        assert_eq!(names("pay").worker_of(&key), Some(17));
        assert_eq!(names("pa").worker_of(&key), None);
    }

    #[test]
    fn a_name_that_would_break_a_subject_is_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "a\nb", "ä", &"x".repeat(65)] {
            for refused in [
                names("pay").of_run(bad, Kept::Context),
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
