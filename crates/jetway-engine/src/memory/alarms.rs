//! Alarms in memory.

use super::{MemoryBackend, locked, tickets::Queue};
use crate::backend::{Alarm, Alarms, BackendError, TicketQueue as _};
use async_trait::async_trait;
use jetway_core::clock::Clock;
use jetway_state::{Incarnation, RunKey, Timestamp, WorkflowName};
use std::{collections::BTreeMap, convert::Infallible, sync::Mutex};
use tokio::sync::Notify;

/// The alarms that have not rung, by time: one for each incarnation of a run and time.
#[derive(Default)]
pub(super) struct Armed {
    alarms: Mutex<BTreeMap<(Timestamp, RunKey, Incarnation), Alarm>>,
    changed: Notify,
}

impl Armed {
    /// Takes the alarms that are due.
    fn take_due(&self, now: Timestamp) -> Vec<Alarm> {
        let mut alarms = locked(&self.alarms);
        let mut due = Vec::new();
        while let Some(first) = alarms.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }

    /// Rings alarms when their time has come, as long as it is polled.
    pub(super) async fn ring(&self, queue: &Queue, clock: &dyn Clock) -> Infallible {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            for Alarm { ticket, build, .. } in self.take_due(clock.now()) {
                let lane = ticket.workflow.to_string();
                queue.add(&lane, (ticket, build));
            }
            let next = locked(&self.alarms).first_key_value().map(|((due, ..), _)| *due);
            match next {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = clock.sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }
}

#[async_trait]
impl Alarms for MemoryBackend {
    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        let key = (alarm.due, alarm.ticket.run(), alarm.ticket.incarnation);
        locked(&self.alarms.alarms).insert(key, alarm);
        self.alarms.changed.notify_waiters();
        Ok(())
    }

    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError> {
        locked(&self.alarms.alarms).retain(|(at, of, start), _| {
            due.is_some_and(|due| due != *at) || of != run || *start != incarnation
        });
        Ok(())
    }

    async fn ring_overdue(
        &self,
        workflow: &WorkflowName,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<u64, BackendError> {
        let overdue: Vec<_> = {
            let mut alarms = locked(&self.alarms.alarms);
            let is_overdue = |(due, run, _): &(Timestamp, RunKey, Incarnation)| {
                run.workflow == *workflow && *due >= since && *due < until
            };
            let keys: Vec<_> = alarms.keys().filter(|key| is_overdue(key)).cloned().collect();
            keys.iter().filter_map(|key| alarms.remove(key)).collect()
        };
        let count = overdue.len() as u64;
        self.publish(overdue.into_iter().map(|alarm| (alarm.ticket, alarm.build)).collect()).await?;
        Ok(count)
    }
}
