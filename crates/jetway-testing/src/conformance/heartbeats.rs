//! The last heartbeat of a step, for its next attempt.

use super::{BackendUnderTest, DEADLINE, TestHost};
use crate::{
    interceptor::{Intercepted, Interceptor},
    wait_until,
};
use async_trait::async_trait;
use bytes::Bytes;
use jetway_core::{RetryPolicy, Transition, step};
use jetway_engine::{
    Engine, EngineConfig,
    backend::{Backend, BackendError, BackendErrorKind, BeatKey},
};
use jetway_macros::{node, workflow};
use jetway_state::{Error, Incarnation, ItemId, RunKey};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What the first attempt does. The second one returns what it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Copying {
    /// Beats 50 times within 100 ms, then fails.
    Fail,
    /// Beats each 20 ms, and has no end.
    Forever,
    /// Beats each 100 ms for 1.4 seconds, and is done.
    Done,
}

#[derive(Debug, Clone, Default)]
struct Beaten(Arc<AtomicU32>);

node! {
    struct Copy { beaten: Beaten };
    input = Copying; output = Option<u32>;
    |_ctx, copying| {
        let step = step().expect("a node runs in a step");
        let before: Option<u32> = step.last_heartbeat()?;
        let beat = |number| {
            self.beaten.0.store(number, Ordering::SeqCst);
            step.heartbeat(number)
        };
        match copying {
            Copying::Fail | Copying::Forever if before.is_some() || step.attempt() > 1 => {}
            Copying::Fail => {
                for number in 1..=50 {
                    beat(number)?;
                    sleep(Duration::from_millis(1)).await;
                }
                return Err(Error::Generic("the disk is full".to_owned()));
            }
            Copying::Forever => {
                for number in 1.. {
                    beat(number)?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Copying::Done => {
                let end = Instant::now() + Duration::from_millis(1400);
                for number in 1.. {
                    beat(number)?;
                    sleep(Duration::from_millis(100)).await;
                    if Instant::now() > end {
                        break;
                    }
                }
            }
        }
        Ok(Transition::Next(before))
    }
}

workflow! {
    struct Copies { #[heartbeat = "2 s"] copy: Copy }
    name = "copies";
    start = copy;
    retry = RetryPolicy::attempts(2).first(Duration::from_millis(10));
    edges { copy => []; }
}

/// Counts the heartbeats that are stored, and may refuse them.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Backend>,
    written: Arc<Mutex<Vec<Instant>>>,
    refuses: AtomicBool,
}

#[async_trait]
impl Interceptor for Counting {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn keep_beat(&self, key: &BeatKey, detail: Bytes) -> Result<(), BackendError> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(BackendError::new(BackendErrorKind::Unavailable, "no server")),
            false => self.inner.keep_beat(key, detail).await,
        }
    }
}

fn host(backend: &Arc<dyn Backend>, beaten: &Beaten) -> TestHost {
    let engine = Engine::builder(Arc::clone(backend))
        .config(EngineConfig { stale_after: Duration::ZERO, ..EngineConfig::default() })
        .workflow(Copies { copy: Copy { beaten: beaten.clone() } })
        .build();
    TestHost::of(engine.expect("the workflow is sound"))
}

pub(super) async fn a_heartbeat_replaces_the_one_before(tested: BackendUnderTest) {
    let key = |run: &str, item: &str| BeatKey {
        run: RunKey::new("copies".parse().expect("a name"), run.parse().expect("a name")),
        incarnation: Incarnation::from_random(7),
        item: ItemId::new(item).expect("an id"),
    };
    let last = async |of: &BeatKey| tested.backend.last_beat(of).await.expect("it can be read");
    let (one, other) = (key("r", "start"), key("r", "other"));
    assert_eq!(last(&one).await, None);
    for detail in ["1", "2"] {
        tested.backend.keep_beat(&one, detail.into()).await.expect("it is stored");
    }
    tested.backend.keep_beat(&other, "3".into()).await.expect("it is stored");
    assert_eq!((last(&one).await, last(&other).await), (Some("2".into()), Some("3".into())));
    let again = BeatKey { incarnation: Incarnation::from_random(8), ..one };
    assert_eq!((last(&again).await, last(&key("q", "start")).await), (None, None));
}

pub(super) async fn w51_the_last_heartbeat_is_given_to_the_next_attempt(tested: BackendUnderTest) {
    let mut host = host(&tested.backend, &Beaten::default());
    host.work(4).await;
    let run = host.start("copies", "r", &Copying::Fail).await;
    assert_eq!(host.output::<Option<u32>>(&run).await, Some(50));
}

pub(super) async fn w51_a_lost_host_leaves_a_heartbeat_of_a_second_ago(tested: BackendUnderTest) {
    let beaten = Beaten::default();
    let mut host = host(&tested.backend, &beaten);
    let run = host.start("copies", "r", &Copying::Forever).await;
    let (engine, held) = (Arc::clone(&host.engine), host.ticket("copies").await);
    let lost = tokio::spawn(async move { engine.process_ticket(held, CancellationToken::new()).await });
    wait_until("the node has beaten", DEADLINE, async || beaten.0.load(Ordering::SeqCst) > 70).await;
    lost.abort();
    assert!(lost.await.is_err());
    let latest = beaten.0.load(Ordering::SeqCst);
    host.work(4).await;
    let given: Option<u32> = host.output(&run).await;
    // 50 beats are a second. The rest is for a machine with much to do.
    let given = given.expect("one was stored");
    assert!(given > 1 && given <= latest && latest - given <= 65, "{given} of {latest}");
}

pub(super) async fn w51_heartbeats_are_stored_once_a_second_and_fail_no_step(tested: BackendUnderTest) {
    for refuses in [false, true] {
        let written: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let inner = Arc::clone(&tested.backend);
        let counting = Counting { inner, written: Arc::clone(&written), refuses: refuses.into() };
        let backend: Arc<dyn Backend> = Arc::new(Intercepted(counting));
        let mut host = host(&backend, &Beaten::default());
        host.work(4).await;
        let run = host.start("copies", &format!("r-{refuses}"), &Copying::Done).await;
        assert_eq!(host.output::<Option<u32>>(&run).await, None);
        let written = written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(written.len(), 2, "at once, and after a second");
        let gaps = written.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.min().is_some_and(|gap| gap >= Duration::from_millis(999)), "{written:?}");
    }
}
