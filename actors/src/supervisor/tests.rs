//! An actor that fails in every possible way.

use super::*;
use actix::{ActorContext, ActorFutureExt, Handler, Message, WrapFuture};
use jetway_testing::wait_until;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::ThreadId,
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(60);

fn policy(limit: u32) -> RestartPolicy {
    let first_delay = Duration::from_millis(1);
    RestartPolicy { limit, first_delay, max_delay: first_delay, ..RestartPolicy::default() }
}

/// Tells the actor what to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Do {
    Panic,
    PanicInFuture,
    Fail,
    FailForGood,
    StopWithoutReason,
    Stop,
    Answer,
}

impl Message for Do {
    type Result = u32;
}

struct Fragile {
    instance: u32,
    exit_reason: ExitReason,
    _alive: Arc<()>,
}

impl Actor for Fragile {
    type Context = Context<Self>;
}

impl Handler<Do> for Fragile {
    type Result = u32;

    fn handle(&mut self, what: Do, ctx: &mut Context<Self>) -> u32 {
        match what {
            Do::Panic => panic!("by order"),
            Do::PanicInFuture => {
                let later = async { panic!("later") }.into_actor(self);
                ctx.spawn(later.map(|(), _actor, _ctx| ()));
            }
            Do::Fail => {
                self.exit_reason.failed("by order");
                ctx.stop();
            }
            Do::FailForGood => {
                self.exit_reason.unrecoverable("by order");
                ctx.stop();
            }
            Do::StopWithoutReason => ctx.stop(),
            Do::Stop => {
                self.exit_reason.stopped();
                ctx.stop();
            }
            Do::Answer => {}
        }
        self.instance
    }
}

/// A supervised actor whose `n`th instance starts with `begin(n)`.
struct Fixture {
    actor: Supervised<Fragile>,
    supervisor: tokio::task::JoinHandle<()>,
    fatal: watch::Receiver<Option<Fatal>>,
    closing: CancellationToken,
    bodies: Arc<()>,
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

impl Fixture {
    fn new(limit: u32, begin: impl Fn(u32) + Send + Sync + 'static) -> Self {
        Self::with(policy(limit), begin)
    }

    fn with(policy: RestartPolicy, begin: impl Fn(u32) + Send + Sync + 'static) -> Self {
        let (instances, bodies, threads) =
            (AtomicU32::new(0), Arc::new(()), Arc::new(Mutex::new(Vec::new())));
        let (body, thread) = (bodies.clone(), threads.clone());
        let factory = move |exit_reason| {
            let instance = instances.fetch_add(1, Ordering::SeqCst) + 1;
            thread.lock().unwrap().push(std::thread::current().id());
            begin(instance);
            Fragile { instance, exit_reason, _alive: body.clone() }
        };
        let (fatal, fatal_seen) = watch::channel(None);
        let closing = CancellationToken::new();
        let supervision = Supervision { policy, fatal: Arc::new(fatal), closing: closing.clone() };
        let (supervisor, actor) = supervision.of("fragile", 4, factory);
        let supervisor = tokio::task::spawn_local(supervisor.run());
        Self { actor, supervisor, fatal: fatal_seen, closing, bodies, threads }
    }

    /// The number of the instance that answers.
    async fn answering_instance(&self) -> Option<u32> {
        self.actor.addr()?.send(Do::Answer).await.ok()
    }

    async fn order(&self, what: Do, instance: u32) {
        wait_until("the actor answers", DEADLINE, async || self.answering_instance().await == Some(instance))
            .await;
        let sent = self.actor.addr().unwrap().send(what).await;
        assert_eq!(sent.is_err(), what == Do::Panic, "{sent:?}");
    }
}

fn in_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

#[test]
fn every_failure_is_counted_and_restarts_the_actor() {
    in_system(async {
        let fixture = Fixture::new(10, |_instance| ());
        let orders = [Do::Panic, Do::Fail, Do::StopWithoutReason, Do::PanicInFuture, Do::Panic];
        for (instance, what) in (1..).zip(orders) {
            fixture.order(what, instance).await;
        }
        wait_until("the sixth instance answers", DEADLINE, async || {
            fixture.answering_instance().await == Some(6)
        })
        .await;
        let health = fixture.actor.health();
        assert!(health.alive);
        assert_eq!(health.restarts, Restarts { panicked: 3, failed: 1, unknown: 1 });
        assert_eq!(health.last_failure.as_deref(), Some("panicked: by order"));
        assert!(fixture.fatal.borrow().is_none());
    });
}

#[test]
fn a_panic_in_the_factory_restarts_the_actor() {
    in_system(async {
        let fixture = Fixture::new(10, |instance| assert!(instance > 3, "instance {instance} cannot start"));
        wait_until("the fourth instance answers", DEADLINE, async || {
            fixture.answering_instance().await == Some(4)
        })
        .await;
        let health = fixture.actor.health();
        assert_eq!(health.restarts.panicked, 3);
        assert_eq!(health.last_failure.as_deref(), Some("panicked: instance 3 cannot start"));
    });
}

#[test]
fn one_failure_too_many_is_fatal() {
    in_system(async {
        let mut fixture = Fixture::new(3, |instance| panic!("instance {instance} cannot start"));
        let fatal = tokio::time::timeout(DEADLINE, fixture.fatal.wait_for(Option::is_some));
        let fatal = fatal.await.unwrap().unwrap().clone().unwrap();
        assert_eq!((fatal.actor, fatal.restarts), ("fragile", 3));
        assert_eq!(fatal.failure, "panicked: instance 4 cannot start");
        fixture.supervisor.await.unwrap();
        assert_eq!(fixture.actor.health().restarts.total(), 3);
        assert!(fixture.actor.addr().is_none());
    });
}

#[test]
fn a3_a_failure_that_no_restart_mends_is_fatal_at_once() {
    in_system(async {
        let mut fixture = Fixture::new(10, |_instance| ());
        fixture.order(Do::FailForGood, 1).await;
        let fatal = tokio::time::timeout(DEADLINE, fixture.fatal.wait_for(Option::is_some));
        let fatal = fatal.await.unwrap().unwrap().clone().unwrap();
        assert_eq!(fatal.to_string(), "actor fragile failed: by order; restart the process");
        fixture.supervisor.await.unwrap();
        assert_eq!(fixture.actor.health().restarts.total(), 0);
    });
}

#[test]
fn an_intended_stop_is_not_followed_by_a_restart() {
    in_system(async {
        let fixture = Fixture::new(10, |_instance| ());
        fixture.order(Do::Stop, 1).await;
        let Fixture { actor, supervisor, fatal, bodies, .. } = fixture;
        supervisor.await.unwrap();
        assert_eq!(actor.health().restarts.total(), 0);
        assert!(actor.addr().is_none() && !actor.health().alive && fatal.borrow().is_none());
        assert_eq!(Arc::strong_count(&bodies), 1, "the actor outlives its supervisor");
    });
}

#[test]
fn closing_stops_a_running_actor() {
    in_system(async {
        let fixture = Fixture::new(10, |_instance| ());
        wait_until("the actor answers", DEADLINE, async || fixture.answering_instance().await == Some(1))
            .await;
        fixture.closing.cancel();
        fixture.supervisor.await.unwrap();
        assert_eq!(Arc::strong_count(&fixture.bodies), 1, "the actor outlives its supervisor");
        assert!(!fixture.actor.health().alive);
    });
}

#[test]
fn the_actor_has_its_own_thread() {
    in_system(async {
        let fixture = Fixture::new(10, |_instance| ());
        fixture.order(Do::Panic, 1).await;
        wait_until("the second instance answers", DEADLINE, async || {
            fixture.answering_instance().await == Some(2)
        })
        .await;
        let threads = fixture.threads.lock().unwrap();
        assert_eq!(threads[0], threads[1]);
        assert_ne!(threads[0], std::thread::current().id());
    });
}

#[test]
fn the_last_instance_is_not_restarted() {
    in_system(async {
        let fixture = Fixture::new(10, |_instance| ());
        fixture.order(Do::Answer, 1).await;
        let addr = fixture.actor.final_addr().await.unwrap();
        assert!(addr.send(Do::Panic).await.is_err());
        tokio::time::timeout(DEADLINE, fixture.actor.ended()).await.unwrap();
        fixture.supervisor.await.unwrap();
        let health = fixture.actor.health();
        assert_eq!((health.alive, health.restarts.total()), (false, 0));
        assert_eq!(health.last_failure.as_deref(), Some("panicked: by order"));
        assert!(fixture.actor.final_addr().await.is_none() && fixture.fatal.borrow().is_none());
    });
}

#[test]
fn a_pending_restart_is_cancelled() {
    in_system(async {
        let hour = Duration::from_secs(3600);
        let policy = RestartPolicy { first_delay: hour, max_delay: hour, ..RestartPolicy::default() };
        let fixture = Fixture::with(policy, |_instance| ());
        fixture.order(Do::Panic, 1).await;
        wait_until("the restart is pending", DEADLINE, async || fixture.actor.health().restarts.total() == 1)
            .await;
        let last = tokio::time::timeout(DEADLINE, fixture.actor.final_addr()).await;
        assert!(last.unwrap().is_none());
        fixture.supervisor.await.unwrap();
        assert_eq!(fixture.threads.lock().unwrap().len(), 1, "a second instance started");
    });
}
