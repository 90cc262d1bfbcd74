//! A run that another host ends before the alarm of its clean-up is armed.

use super::{
    Log, asleep, book,
    booking::{Pay, Undo},
    config, host, tell,
};
use crate::{
    conformance::{BackendUnderTest, DEADLINE},
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use jetway_engine::{
    Engine,
    backend::{Alarm, Backend, BackendError},
};
use jetway_state::{
    Incarnation, RunKey, Timestamp,
    run::{
        Status,
        control::{Control, ControlResult},
    },
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// Terminates the run when its next alarm is to be armed.
#[derive(Debug)]
struct EndedFirst {
    backend: Arc<dyn Backend>,
    other: Engine,
    ends: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl EndedFirst {
    fn log(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Interceptor for EndedFirst {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn arm(&self, alarm: Alarm) -> Result<(), BackendError> {
        if self.ends.swap(false, SeqCst) {
            let run = RunKey::new(alarm.ticket.workflow.clone(), alarm.ticket.run_id.clone());
            let told = self.other.control(&run, Control::Terminate).await.expect("it can be told");
            assert_eq!(told.expect("it is there").status, Status::Cancelled);
            self.log().clear();
        }
        self.backend.arm(alarm).await?;
        self.log().push("armed");
        Ok(())
    }

    async fn disarm(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        due: Option<Timestamp>,
    ) -> Result<(), BackendError> {
        self.backend.disarm(run, incarnation, due).await?;
        if due.is_none() {
            self.log().push("disarmed");
        }
        Ok(())
    }
}

pub(in crate::conformance) async fn w47_an_alarm_of_a_run_that_has_ended_meanwhile_is_disarmed(
    tested: BackendUnderTest,
) {
    let log = Log::new(&tested);
    let (ends, calls) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
    let ended_first = EndedFirst {
        backend: Arc::clone(&tested.backend),
        other: super::engine(&tested.backend, &log, config()),
        ends: Arc::clone(&ends),
        log: Arc::clone(&calls),
    };
    let backend: Arc<dyn Backend> = Arc::new(Intercepted(ended_first));
    let host = host(&backend, &log, config()).await;
    let run = book(&host, "r", 600_000, Pay::Succeeds, Undo::Once).await;
    asleep(&host, &run).await;
    // The commit comes first: its own alarm would be taken for that of the clean-up.
    wait_until("its alarm is armed", DEADLINE, async || {
        !calls.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    })
    .await;
    ends.store(true, SeqCst);
    let told = tell(&host, &run, Control::Cancel).await;
    assert_eq!(told, ControlResult { status: Status::Cancelling, changed: true });
    let calls = calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(calls, ["armed", "disarmed"]);
}
