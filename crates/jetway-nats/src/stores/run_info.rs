//! Infos of runs.

use super::{
    NatsStores, Shared,
    bucket::values::{Change, corrupt},
    store_error,
};
use crate::names::StoreKey;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use jetway_core::{
    distributed::{RunInfo, RunInfoError, RunInfoStore, RunStatus},
    stores::by_incarnation::listed,
};
use jetway_engine::backend::BackendError;
use jetway_state::{Incarnation, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, sync::Arc};

const WHAT: &str = "a run's info";

/// Infos of runs, on JetStream. Clones share the store. Each change is one compare-and-swap: methods that only change
/// unfinished runs never change a finished one. A finished run is listed for [`NatsConfig::keep_finished`].
///
/// [`NatsConfig::keep_finished`]: crate::NatsConfig::keep_finished
#[derive(Clone)]
pub struct NatsRunInfoStore(Arc<Shared>);

/// The stored form of an info. The output is JSON text, so that the output `null` differs from no output.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    run_id: String,
    status: RunStatus,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    output: Option<String>,
    /// The incarnation of the run, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incarnation: Option<Incarnation>,
}

impl From<RunInfo> for Record {
    fn from(info: RunInfo) -> Self {
        let RunInfo { run_id, status, started_at, finished_at, output } = info;
        let output = output.as_ref().map(Value::to_string);
        Self { run_id, status, started_at, finished_at, output, incarnation: None }
    }
}

impl Record {
    fn info(self) -> Result<RunInfo, BackendError> {
        let Self { run_id, status, started_at, finished_at, output, incarnation: _ } = self;
        let output = output.map(|output| json::read(output.as_bytes(), &"an output")).transpose();
        let output =
            output.map_err(|error| corrupt(format!("the output of run {run_id:?} is not JSON"), error))?;
        Ok(RunInfo { run_id, status, started_at, finished_at, output })
    }
}

impl NatsRunInfoStore {
    /// The store of the application.
    pub fn new(stores: &NatsStores) -> Self {
        Self(stores.shared())
    }
}

impl fmt::Debug for NatsRunInfoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_struct(f, "NatsRunInfoStore")
    }
}

impl NatsRunInfoStore {
    fn set(&self, record: Record) -> Change<Record> {
        match record.status.is_terminal() {
            true => Change::SetFor(record, self.0.keep_finished),
            false => Change::Set(record),
        }
    }

    /// Writes an info if `accepts` returns true for the current one. Returns whether it did.
    async fn insert(
        &self,
        info: RunInfo,
        accepts: fn(Option<&Record>) -> bool,
    ) -> Result<bool, RunInfoError> {
        let key = self.0.names.of_run(&info.run_id, StoreKey::Info).map_err(|error| failed(&error))?;
        let record = Record::from(info);
        let change = |found: Option<Record>| match accepts(found.as_ref()) {
            true => Ok((self.set(record.clone()), true)),
            false => Ok((Change::Nothing, false)),
        };
        self.0.bucket.change(&key, WHAT, change).await.map_err(|error| failed(&error))
    }

    /// Changes an existing run. Returns whether `change` changed it.
    async fn change(
        &self,
        run_id: &str,
        change: impl Fn(&mut Record) -> bool + Send + Sync,
    ) -> Result<bool, RunInfoError> {
        let key = self.0.names.of_run(run_id, StoreKey::Info).map_err(|error| failed(&error))?;
        let changed = |found: Option<Record>| {
            let Some(mut record) = found else {
                return Ok((Change::Nothing, None));
            };
            Ok(match change(&mut record) {
                true => (self.set(record), Some(true)),
                false => (Change::Nothing, Some(false)),
            })
        };
        let changed = self.0.bucket.change(&key, WHAT, changed).await.map_err(|error| failed(&error))?;
        changed.ok_or(RunInfoError::NotFound)
    }

    /// Changes a run that has not ended. Returns whether it did.
    async fn change_unfinished(
        &self,
        run_id: &str,
        change: impl Fn(&mut Record) + Send + Sync,
    ) -> Result<bool, RunInfoError> {
        let changed = |record: &mut Record| {
            let unfinished = !record.status.is_terminal();
            if unfinished {
                change(record);
            }
            unfinished
        };
        self.change(run_id, changed).await
    }
}

#[async_trait]
impl RunInfoStore for NatsRunInfoStore {
    async fn insert_run(&self, info: RunInfo) -> Result<(), RunInfoError> {
        self.insert(info, |_| true).await.map(drop)
    }

    async fn update_status(&self, run_id: &str, status: RunStatus) -> Result<(), RunInfoError> {
        let changed = |record: &mut Record| {
            record.status = status;
            true
        };
        self.change(run_id, changed).await.map(drop)
    }

    async fn update_finished_at(&self, run_id: &str, finished_at: DateTime<Utc>) -> Result<(), RunInfoError> {
        let changed = |record: &mut Record| {
            record.finished_at = Some(finished_at);
            true
        };
        self.change(run_id, changed).await.map(drop)
    }

    async fn get_run(&self, run_id: &str) -> Result<Option<RunInfo>, RunInfoError> {
        let key = self.0.names.of_run(run_id, StoreKey::Info).map_err(|error| failed(&error))?;
        let record: Option<Record> = self.0.bucket.get(&key, WHAT).await.map_err(|error| failed(&error))?;
        record.map(Record::info).transpose().map_err(|error| failed(&error))
    }

    /// Sorted by start time, then by id.
    async fn list_runs(&self, filter: Option<RunStatus>) -> Result<Vec<RunInfo>, RunInfoError> {
        let all = self.0.names.of_all_runs(StoreKey::Info);
        let found = self.0.bucket.all::<Record>(&all, WHAT).await.map_err(|error| failed(&error))?;
        let wanted = |record: &Record| filter.is_none_or(|status| record.status == status);
        let mut listed: Vec<Record> = found.into_iter().map(|(_, record)| record).filter(wanted).collect();
        listed.sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
        listed.into_iter().map(|record| record.info().map_err(|error| failed(&error))).collect()
    }

    async fn update_output(&self, run_id: &str, output: Value) -> Result<(), RunInfoError> {
        let changed = |record: &mut Record| {
            record.output = Some(output.to_string());
            true
        };
        self.change(run_id, changed).await.map(drop)
    }

    async fn insert_new_run(&self, info: RunInfo) -> Result<bool, RunInfoError> {
        self.insert(info, |found| found.is_none()).await
    }

    async fn list_run_of(&self, info: RunInfo, incarnation: Incarnation) -> Result<bool, RunInfoError> {
        let key = self.0.names.of_run(&info.run_id, StoreKey::Info).map_err(|error| failed(&error))?;
        let change = |found: Option<Record>| {
            let of = found.as_ref().and_then(|found| found.incarnation);
            let known = found.map(Record::info).transpose()?;
            let Some(run) = listed(known.as_ref().map(|known| (of, known)), &info, incarnation) else {
                return Ok((Change::Nothing, false));
            };
            if of == Some(incarnation) && known.as_ref() == Some(&run) {
                return Ok((Change::Nothing, false));
            }
            Ok((self.set(Record { incarnation: Some(incarnation), ..Record::from(run) }), true))
        };
        self.0.bucket.change(&key, WHAT, change).await.map_err(|error| failed(&error))
    }

    async fn change_status(&self, run_id: &str, status: RunStatus) -> Result<bool, RunInfoError> {
        self.change_unfinished(run_id, |record| record.status = status).await
    }

    async fn finish_run(
        &self,
        run_id: &str,
        status: RunStatus,
        output: Option<Value>,
        finished_at: DateTime<Utc>,
    ) -> Result<bool, RunInfoError> {
        let output = output.as_ref().map(Value::to_string);
        let finish = |record: &mut Record| {
            record.status = status;
            record.output.clone_from(&output);
            // The starter may have another clock.
            record.finished_at = Some(finished_at.max(record.started_at));
        };
        self.change_unfinished(run_id, finish).await
    }
}

fn failed(error: &BackendError) -> RunInfoError {
    store_error(error, RunInfoError::Io, RunInfoError::Other)
}
