//! Actors that fail in every way that there is.

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

const DEADLINE: Duration = Duration::from_secs(10);

fn policy(limit: u32) -> RestartPolicy {
    let first_delay = Duration::from_millis(1);
    RestartPolicy { limit, first_delay, max_delay: first_delay, ..RestartPolicy::default() }
}

/// What the actor does with its next message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Do {
    Panic,
    PanicInFuture,
    Fail,
    StopWithoutAWord,
    Stop,
    Answer,
}

impl Message for Do {
    type Result = u32;
}

struct Fragile {
    life: u32,
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
            Do::StopWithoutAWord => ctx.stop(),
            Do::Stop => {
                self.exit_reason.stopped();
                ctx.stop();
            }
            Do::Answer => {}
        }
        self.life
    }
}

/// A supervised actor whose `n`th life begins with `begin(n)`.
struct Bench {
    actor: Supervised<Fragile>,
    supervisor: tokio::task::JoinHandle<()>,
    fatal: watch::Receiver<Option<Fatal>>,
    closing: CancellationToken,
    bodies: Arc<()>,
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

impl Bench {
    fn new(limit: u32, begin: impl Fn(u32) + Send + Sync + 'static) -> Self {
        Self::with(policy(limit), begin)
    }

    fn with(policy: RestartPolicy, begin: impl Fn(u32) + Send + Sync + 'static) -> Self {
        let (lives, bodies, threads) = (AtomicU32::new(0), Arc::new(()), Arc::new(Mutex::new(Vec::new())));
        let (body, thread) = (bodies.clone(), threads.clone());
        let factory = move |exit_reason| {
            let life = lives.fetch_add(1, Ordering::SeqCst) + 1;
            thread.lock().unwrap().push(std::thread::current().id());
            begin(life);
            Fragile { life, exit_reason, _alive: body.clone() }
        };
        let (fatal, fatal_seen) = watch::channel(None);
        let closing = CancellationToken::new();
        let supervision = Supervision { policy, fatal: Arc::new(fatal), closing: closing.clone() };
        let (supervisor, actor) = supervision.of("fragile", 4, factory);
        let supervisor = tokio::task::spawn_local(supervisor.run());
        Self { actor, supervisor, fatal: fatal_seen, closing, bodies, threads }
    }

    /// Which life answers.
    async fn answers(&self) -> Option<u32> {
        self.actor.addr()?.send(Do::Answer).await.ok()
    }

    async fn order(&self, what: Do, life: u32) {
        wait_until("the actor answers", DEADLINE, async || self.answers().await == Some(life)).await;
        let sent = self.actor.addr().unwrap().send(what).await;
        assert_eq!(sent.is_err(), what == Do::Panic, "{sent:?}");
    }
}

fn in_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

#[test]
fn every_failure_is_followed_by_a_new_life_and_counted() {
    in_system(async {
        let bench = Bench::new(10, |_life| ());
        let orders = [Do::Panic, Do::Fail, Do::StopWithoutAWord, Do::PanicInFuture, Do::Panic];
        for (life, what) in (1..).zip(orders) {
            bench.order(what, life).await;
        }
        wait_until("the sixth life answers", DEADLINE, async || bench.answers().await == Some(6)).await;
        let health = bench.actor.health();
        assert!(health.alive);
        assert_eq!(health.restarts, Restarts { panicked: 3, failed: 1, unknown: 1 });
        assert_eq!(health.last_failure.as_deref(), Some("panicked: by order"));
        assert!(bench.fatal.borrow().is_none());
    });
}

#[test]
fn an_actor_that_panics_while_it_is_made_is_rebuilt() {
    in_system(async {
        let bench = Bench::new(10, |life| assert!(life > 3, "life {life} is stillborn"));
        wait_until("the fourth life answers", DEADLINE, async || bench.answers().await == Some(4)).await;
        let health = bench.actor.health();
        assert_eq!(health.restarts.panicked, 3);
        assert_eq!(health.last_failure.as_deref(), Some("panicked: life 3 is stillborn"));
    });
}

#[test]
fn one_failure_too_many_is_fatal() {
    in_system(async {
        let mut bench = Bench::new(3, |life| panic!("life {life} is stillborn"));
        let fatal = tokio::time::timeout(DEADLINE, bench.fatal.wait_for(Option::is_some));
        let fatal = fatal.await.unwrap().unwrap().clone().unwrap();
        assert_eq!((fatal.actor, fatal.restarts), ("fragile", 3));
        assert_eq!(fatal.failure, "panicked: life 4 is stillborn");
        bench.supervisor.await.unwrap();
        assert_eq!(bench.actor.health().restarts.total(), 3);
        assert!(bench.actor.addr().is_none());
    });
}

#[test]
fn an_end_that_is_meant_is_the_end() {
    in_system(async {
        let bench = Bench::new(10, |_life| ());
        bench.order(Do::Stop, 1).await;
        let Bench { actor, supervisor, fatal, bodies, .. } = bench;
        supervisor.await.unwrap();
        assert_eq!(actor.health().restarts.total(), 0);
        assert!(actor.addr().is_none() && !actor.health().alive && fatal.borrow().is_none());
        assert_eq!(Arc::strong_count(&bodies), 1, "the actor outlives its supervisor");
    });
}

#[test]
fn closing_ends_a_living_actor() {
    in_system(async {
        let bench = Bench::new(10, |_life| ());
        wait_until("the actor answers", DEADLINE, async || bench.answers().await == Some(1)).await;
        bench.closing.cancel();
        bench.supervisor.await.unwrap();
        assert_eq!(Arc::strong_count(&bench.bodies), 1, "the actor outlives its supervisor");
        assert!(!bench.actor.health().alive);
    });
}

#[test]
fn the_actor_has_a_thread_of_its_own() {
    in_system(async {
        let bench = Bench::new(10, |_life| ());
        bench.order(Do::Panic, 1).await;
        wait_until("the second life answers", DEADLINE, async || bench.answers().await == Some(2)).await;
        let threads = bench.threads.lock().unwrap();
        assert_eq!(threads[0], threads[1]);
        assert_ne!(threads[0], std::thread::current().id());
    });
}

#[test]
fn the_last_life_is_not_followed_by_another() {
    in_system(async {
        let bench = Bench::new(10, |_life| ());
        bench.order(Do::Answer, 1).await;
        let addr = bench.actor.final_addr().await.unwrap();
        assert!(addr.send(Do::Panic).await.is_err());
        tokio::time::timeout(DEADLINE, bench.actor.ended()).await.unwrap();
        bench.supervisor.await.unwrap();
        let health = bench.actor.health();
        assert_eq!((health.alive, health.restarts.total()), (false, 0));
        assert_eq!(health.last_failure.as_deref(), Some("panicked: by order"));
        assert!(bench.actor.final_addr().await.is_none() && bench.fatal.borrow().is_none());
    });
}

#[test]
fn no_life_begins_where_the_last_one_is_over() {
    in_system(async {
        let hour = Duration::from_secs(3600);
        let policy = RestartPolicy { first_delay: hour, max_delay: hour, ..RestartPolicy::default() };
        let bench = Bench::with(policy, |_life| ());
        bench.order(Do::Panic, 1).await;
        wait_until("it is to be rebuilt", DEADLINE, async || bench.actor.health().restarts.total() == 1)
            .await;
        let last = tokio::time::timeout(DEADLINE, bench.actor.final_addr()).await;
        assert!(last.unwrap().is_none());
        bench.supervisor.await.unwrap();
        assert_eq!(bench.threads.lock().unwrap().len(), 1, "a second life began");
    });
}
