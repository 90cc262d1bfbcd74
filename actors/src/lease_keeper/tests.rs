//! The lease keeper on a paused clock: waiting for a condition advances it to the next timer.

use super::*;
use async_trait::async_trait;
use jetway_testing::wait_until;
use std::{
    fmt,
    sync::{Mutex, atomic::AtomicUsize},
};
use tokio::{task::JoinSet, time::Instant};

const LEASE: Duration = Duration::from_secs(30);

/// Longer than any test needs, on the paused clock.
const DEADLINE: Duration = Duration::from_secs(600);

/// The answer of a lease to its extension.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extension {
    Succeeds,
    FailsTwice,
    Hangs,
}

struct TestLease {
    lasts: Duration,
    extension: Extension,
    made: Instant,
    /// Seconds since the lease was made.
    extended: Mutex<Vec<u64>>,
    tries: AtomicUsize,
    nacked: Mutex<Vec<u64>>,
}

impl TestLease {
    fn new(lasts: Duration, extension: Extension) -> Arc<Self> {
        Arc::new(Self {
            lasts,
            extension,
            made: Instant::now(),
            extended: Mutex::default(),
            tries: AtomicUsize::new(0),
            nacked: Mutex::default(),
        })
    }

    fn held_by(self: &Arc<Self>, leases: &Arc<HeldLeases>) -> HeldLease {
        let lease: Arc<dyn Lease> = self.clone();
        leases.hold(&lease)
    }

    fn extended(&self) -> Vec<u64> {
        self.extended.lock().unwrap().clone()
    }

    fn nacked(&self) -> Vec<u64> {
        self.nacked.lock().unwrap().clone()
    }
}

impl fmt::Debug for TestLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestLease").finish_non_exhaustive()
    }
}

#[async_trait]
impl Lease for TestLease {
    async fn extend(&self) -> Result<(), BackendError> {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst);
        match self.extension {
            Extension::FailsTwice if tries < 2 => {
                Err(BackendError::new(BackendErrorKind::Unavailable, "no answer"))
            }
            Extension::Hangs => std::future::pending().await,
            Extension::Succeeds | Extension::FailsTwice => {
                self.extended.lock().unwrap().push(self.made.elapsed().as_secs());
                Ok(())
            }
        }
    }

    async fn ack(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn nak(&self) -> Result<(), BackendError> {
        self.nacked.lock().unwrap().push(self.made.elapsed().as_secs());
        Ok(())
    }

    fn duration(&self) -> Duration {
        self.lasts
    }
}

/// A table, and a lease keeper that runs until the set is dropped.
fn started_keeper() -> (Arc<HeldLeases>, Arc<LeaseKeeperCounters>, JoinSet<()>) {
    let (leases, counters) = (Arc::new(HeldLeases::default()), Arc::new(LeaseKeeperCounters::default()));
    let mut keeper = JoinSet::new();
    keeper.spawn(keep(leases.clone(), counters.clone()));
    (leases, counters, keeper)
}

/// Lets the duration of two leases pass, measured by the extensions of another lease.
async fn two_leases_pass(leases: &Arc<HeldLeases>) {
    let other = TestLease::new(LEASE, Extension::Succeeds);
    let held = other.held_by(leases);
    wait_until("another lease is extended", DEADLINE, async || other.extended().len() == 6).await;
    held.release();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_every_third_of_its_duration() {
    let (leases, counters, _keeper) = started_keeper();
    let lease = TestLease::new(LEASE, Extension::Succeeds);
    let held = lease.held_by(&leases);
    wait_until("four extensions", DEADLINE, async || lease.extended().len() == 4).await;
    assert_eq!(lease.extended(), [10, 20, 30, 40]);
    assert_eq!(leases.len(), 1);
    held.release();
    tokio::time::advance(LEASE).await;
    assert_eq!((lease.extended().len(), lease.nacked().len(), leases.len()), (4, 0, 0));
    assert_eq!(counters.extended.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lease_is_given_back_once() {
    let (leases, _counters, _keeper) = started_keeper();
    let lease = TestLease::new(LEASE, Extension::Succeeds);
    drop(lease.held_by(&leases));
    leases.all_naks_done().await;
    assert_eq!(lease.nacked(), [0]);
    two_leases_pass(&leases).await;
    assert_eq!((lease.nacked().len(), lease.extended().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_extension_is_retried_before_the_lease_ends() {
    let (leases, counters, _keeper) = started_keeper();
    let lease = TestLease::new(LEASE, Extension::FailsTwice);
    let _held = lease.held_by(&leases);
    wait_until("an extension succeeds", DEADLINE, async || !lease.extended().is_empty()).await;
    let extended = lease.extended()[0];
    assert!((14..=16).contains(&extended), "extended after {extended} s");
    assert_eq!(counters.failed.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_extension_does_not_delay_the_others() {
    let (leases, counters, _keeper) = started_keeper();
    let hanging = TestLease::new(LEASE, Extension::Hangs);
    let _hanging = hanging.held_by(&leases);
    tokio::time::advance(Duration::from_secs(1)).await;
    let lease = TestLease::new(LEASE, Extension::Succeeds);
    let _held = lease.held_by(&leases);
    wait_until("three extensions", DEADLINE, async || lease.extended().len() == 3).await;
    assert_eq!(lease.extended(), [10, 20, 30]);
    assert!(hanging.tries.load(Ordering::SeqCst) >= 2, "the hanging extension was not retried");
    assert!(counters.failed.load(Ordering::Relaxed) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_lease_wakes_the_keeper() {
    let (leases, _counters, _keeper) = started_keeper();
    let long = TestLease::new(LEASE * 10, Extension::Succeeds);
    let _long = long.held_by(&leases);
    tokio::task::yield_now().await;
    let short = TestLease::new(LEASE, Extension::Succeeds);
    let _short = short.held_by(&leases);
    wait_until("the long one is extended", DEADLINE, async || long.extended() == [100]).await;
    assert_eq!(short.extended()[..9], [10, 20, 30, 40, 50, 60, 70, 80, 90]);
}

#[tokio::test(start_paused = true)]
async fn nak_all_gives_back_leases_of_running_work() {
    let (leases, _counters, _keeper) = started_keeper();
    let all: Vec<_> = (0..100).map(|_| TestLease::new(LEASE, Extension::Succeeds)).collect();
    let held: Vec<_> = all.iter().map(|lease| lease.held_by(&leases)).collect();
    assert_eq!(leases.nak_all(), 100);
    leases.all_naks_done().await;
    drop(held);
    leases.all_naks_done().await;
    assert!(all.iter().all(|lease| lease.nacked() == [0]), "each is given back once");
    assert_eq!(leases.len(), 0);
}
