//! Every name has a role, and each role has what it needs and no more.

use super::*;
use crate::names::{DiscoveryVerb, PutOffTokens, StoreKey, StoreNames, WakeTokens};
use jetway_engine::backend::{BeatKey, Ticket};
use jetway_state::{
    CommitId, Incarnation, ItemId, Namespace, RunId, RunKey, SignalName, StartId, StoreId, Timestamp,
    WorkflowName, run::ChunkRef, trace::TraceHeaders,
};

/// The sources that have functions which build names.
const SOURCES: [&str; 8] = [
    include_str!("../../names.rs"),
    include_str!("../alarms.rs"),
    include_str!("../discovery.rs"),
    include_str!("../events.rs"),
    include_str!("../operations.rs"),
    include_str!("../signals.rs"),
    include_str!("../stores.rs"),
    include_str!("../subjects.rs"),
];

/// Functions that build a part of a name, which others complete, or that check one. And the subject of wake-ups: the server
/// publishes there, and no user.
const PARTS: [&str; 14] = [
    "wake",
    // Selects what is removed: part of an operation.
    "timers_of_run",
    "signal_wake",
    "suffix",
    "name",
    "verb",
    "token",
    "stream",
    "bucket",
    "application",
    "subject_token",
    "key_of",
    "subject",
    "sanitized",
];

fn names() -> Names {
    Names::new(Namespace::new("ns").unwrap())
}

fn run() -> RunKey {
    RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new("order-1").unwrap())
}

fn all() -> Scope {
    Scope::new(Vec::new(), &[])
}

fn pay() -> Scope {
    Scope::new(vec!["pay".to_owned()], &[])
}

/// Whether a subject with wildcards matches another one, whose wildcards are ordinary tokens, as the server matches what a
/// user publishes.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

fn may_publish(role: Role, scope: &Scope, subject: &str) -> bool {
    names().rights(role, scope).publish.iter().any(|pattern| covers(pattern, subject))
}

fn may_subscribe(role: Role, scope: &Scope, subject: &str) -> bool {
    names().rights(role, scope).subscribe.iter().any(|pattern| covers(pattern, subject))
}

type Examples = Vec<(&'static str, Vec<String>)>;

/// An example of what each function builds. Subjects that select keys are part of operations.
fn examples() -> Examples {
    [of_subjects(), of_signals(), of_operations(), of_stores()].concat()
}

fn ticket() -> Ticket {
    Ticket {
        workflow: run().workflow,
        run_id: run().run_id,
        incarnation: Incarnation::default(),
        node: "charge".to_owned(),
        item: ItemId::start(),
        revision: 1,
        store: StoreId::default(),
        woken_by: None,
        given_back: 0,
        attempt: 1,
        at: Timestamp(0),
        trace: TraceHeaders::default(),
    }
}

fn commit() -> CommitId {
    CommitId { writer: 1, number: 2 }
}

fn of_subjects() -> Examples {
    let (names, run, none) = (names(), run(), Incarnation::default());
    let chunk = ChunkRef { commit: commit(), number: 3, bytes: 9 };
    let wake = WakeTokens { workflow: "pay", run_id: "order-1", incarnation: "00000000" };
    let wakes = |filter: &str| api(create_consumer("JETWAY_ns_TIMERS", "wake_pay", filter));
    vec![
        ("start", vec![names.start("pay")]),
        ("start_subject", vec![super::super::start_subject(names.namespace(), "pay")]),
        ("ticket", vec![names.ticket(&ticket()).unwrap()]),
        ("tickets_of_workflow", vec![names.tickets_of_workflow(&run.workflow)]),
        ("tickets_of_run", vec![names.tickets_of_run(&run)]),
        ("timer", vec![names.timer(&run, none, Timestamp(1))]),
        ("timer_of", vec![names.timer_of(wake, Timestamp(1))]),
        ("timers", vec![names.timers(&run.workflow, None)]),
        ("all_timers", vec![wakes(&names.all_timers())]),
        ("wakes_of_workflow", vec![wakes(&names.wakes_of_workflow(&run.workflow))]),
        ("all_wakes", vec![wakes(&names.all_wakes())]),
        ("all_starts", vec![names.all_starts()]),
        ("snapshot", vec![names.snapshot(&run)]),
        ("snapshots", vec![names.snapshots(None)]),
        ("chunk_part", vec![names.chunk_part(&run, none, chunk, 1)]),
        ("chunk_parts", vec![names.chunk_parts(&run, none, chunk)]),
        ("chunks_of_run", vec![names.chunks_of_run(&run, none)]),
        ("chunks", vec![names.chunks()]),
        ("done", vec![names.done(&run)]),
        ("refusal", vec![names.refusal(&run, StartId::from_random(1))]),
        ("results", vec![names.results()]),
        ("dead", vec![names.dead("pay", "bad-input")]),
        ("cancelled", vec![names.cancelled("pay")]),
        ("all_cancelled", vec![names.all_cancelled()]),
        ("host", vec![names.host("host-1").unwrap()]),
        ("beat", vec![names.beat(&BeatKey { run: run.clone(), incarnation: none, item: ItemId::start() })]),
        ("probe", vec![names.probe()]),
        ("hosts", vec![names.hosts()]),
        ("api", ApiMethod::ALL.map(|method| names.api(method, &method.tokens("pay"))).to_vec()),
        ("key", vec![names.key(Stream::Hosts, &["x"])]),
    ]
}

fn of_signals() -> Examples {
    let (names, run) = (names(), run());
    let (sent_at, due) = (Timestamp(1), Timestamp(2));
    let signal = PutOffTokens { workflow: "pay", run_id: "order-1", name: "approve", sent_at, due };
    // Who asks what waits names these.
    let filter = |filter: String| api(create_consumer("JETWAY_ns_SIGNAL", "signal_pay", &filter));
    vec![
        ("signal", vec![names.signal(&run, &SignalName::new("approve").unwrap())]),
        ("signal_again", vec![names.signal_again(signal)]),
        ("put_off", vec![names.put_off(signal)]),
        ("all_signals", vec![filter(names.all_signals())]),
        ("signals_of_workflow", vec![filter(names.signals_of_workflow("pay"))]),
        ("signals_of_run", vec![filter(names.signals_of_run(&run))]),
        ("put_off_of_run", vec![filter(names.put_off_of_run(&run))]),
        ("put_off_at_any_time", vec![filter(names.put_off_at_any_time(signal))]),
        ("all_put_off", vec![filter(names.all_put_off(Some(&run.workflow)))]),
        ("signal_timer", vec![names.signal_timer("pay", 1, due)]),
        ("signal_consumer", vec![api(ConsumerOperation::Info.on("JETWAY_ns_SIGNAL", "signal_pay"))]),
    ]
}

fn api(operation: impl fmt::Display) -> String {
    format!("{DEFAULT_API_PREFIX}.{operation}")
}

/// Each operation on each stream, and on a consumer.
fn operations() -> Vec<String> {
    let on_all = |operation: StreamOperation| {
        Stream::ALL.map(|stream| api(operation.on(&names().stream(stream)))).to_vec()
    };
    let on_consumer = |operation: ConsumerOperation| match operation {
        ConsumerOperation::Create => {
            api(create_consumer("JETWAY_ns_WORK", "work_pay", "jetway.ns.work.pay.>"))
        }
        operation => api(operation.on("JETWAY_ns_WORK", "work_pay")),
    };
    let on_streams = StreamOperation::ALL.into_iter().flat_map(on_all);
    on_streams.chain(ConsumerOperation::ALL.map(on_consumer)).collect()
}

fn of_operations() -> Examples {
    let names = names();
    let (work, runs) = (names.stream(Stream::Tickets), names.stream_subjects(Stream::Runs).concat());
    let consumer = |name: String| vec![api(ConsumerOperation::Info.on(&work, &name))];
    vec![
        ("on", operations()),
        ("stream_subjects", vec![api(create_consumer("KV_JETWAY_ns_RUNS", "x", &runs))]),
        ("create_consumer", vec![api(create_consumer(&work, "work_pay", "jetway.ns.work.pay.>"))]),
        ("acknowledgements", acknowledgements(&work, "work_pay").to_vec()),
        ("wake_consumer", consumer(Names::wake_consumer("pay"))),
        ("work_consumer", consumer(Names::work_consumer("pay"))),
        ("start_consumer", consumer(Names::start_consumer("pay"))),
        ("item_consumer", consumer(Names::item_consumer("pay"))),
        ("consumer", consumer(stores().consumer())),
        (
            "obsolete_streams",
            names.obsolete_streams().map(|(name, _)| api(StreamOperation::Info.on(&name))).to_vec(),
        ),
        ("discovery_subjects", discovery_subjects(DiscoveryVerb::Ping, "7").to_vec()),
    ]
}

fn stores() -> StoreNames {
    StoreNames::new(names(), WorkflowName::new("pay").unwrap())
}

fn of_stores() -> Examples {
    let (stores, commit) = (stores(), commit());
    let key = stores.of_run("order-1", StoreKey::Context).unwrap();
    vec![
        ("of_run", vec![key.clone()]),
        ("of_all_runs", vec![stores.of_all_runs(StoreKey::Info)]),
        ("all_of_run", vec![stores.all_of_run("order-1").unwrap()]),
        ("views_of_run", stores.views_of_run("order-1").unwrap().to_vec()),
        ("item_state", vec![stores.item_state("order-1", "start").unwrap()]),
        ("item_states", vec![stores.item_states("order-1").unwrap()]),
        ("of_worker", vec![stores.of_worker(1, StoreKey::Health)]),
        ("of_all_workers", vec![stores.of_all_workers(StoreKey::Health)]),
        ("list_entry", vec![StoreNames::list_entry(&key, commit)]),
        ("list_entries", vec![StoreNames::list_entries(&key)]),
        ("part", vec![StoreNames::part(&key, "1", 2)]),
        ("parts_of", vec![StoreNames::parts_of(&key, commit)]),
        ("parts", vec![StoreNames::parts(&key)]),
        ("item", vec![stores.item("order-1", "start").unwrap()]),
        ("items_of_run", vec![stores.items_of_run("order-1").unwrap()]),
        ("items", vec![stores.items()]),
    ]
}

/// The names of the functions of a source that return texts.
fn functions(source: &'static str) -> impl Iterator<Item = &'static str> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.split("fn ").skip(1).filter_map(|function| {
        let signature = function.split('{').next()?;
        let (_, returned) = signature.split_once("->")?;
        let builds = ["String", "str"].iter().any(|text| returned.contains(text));
        // What parses a subject returns a part of it, or nothing.
        let parses = returned.contains("Option") || returned.contains("&'a str");
        (builds && !parses).then(|| function.split(['(', '<']).next())?
    })
}

#[test]
fn p13_every_name_has_a_role() {
    let examples = examples();
    for name in SOURCES.into_iter().flat_map(functions) {
        let is_known = PARTS.contains(&name) || examples.iter().any(|(of, _)| *of == name);
        assert!(is_known, "`{name}` builds a name: give it its roles in names/roles.rs, and an example here");
    }
    for (name, subjects) in examples {
        for subject in subjects {
            let used = Role::ALL
                .iter()
                .any(|role| may_publish(*role, &all(), &subject) || may_subscribe(*role, &all(), &subject));
            assert!(used, "no role may use {subject}, which `{name}` builds");
        }
    }
}

#[test]
fn a_function_that_builds_a_name_is_found() {
    let found: Vec<_> = functions("impl A {\n    pub(crate) fn new_name(&self) -> String {\n").collect();
    assert_eq!(found, ["new_name"]);
    assert!(SOURCES.into_iter().flat_map(functions).count() > 40);
}

#[test]
fn p13_a_starter_has_its_workflows_alone() {
    let rights = names().rights(Role::Starter, &pay());
    let publish: Vec<_> = rights.publish.iter().map(String::as_str).collect();
    assert_eq!(
        publish,
        [
            "jetway.ns.api.output.pay.*",
            "jetway.ns.api.signal.pay.*.*",
            "jetway.ns.api.signal_with_start.pay.*.*",
            "jetway.ns.api.start.pay",
            "jetway.ns.api.status.pay.*",
            "jetway.ns.signal.pay.*.*",
            "jetway.ns.start.pay",
        ]
    );
    let subscribe: Vec<_> = rights.subscribe.iter().map(String::as_str).collect();
    assert_eq!(subscribe, ["_INBOX.>", "jetway.ns.done.pay.>"]);
}

/// The time at which a signal was first sent decides how long it waits for its run.
#[test]
fn p13_a_starter_cannot_write_the_time_of_a_signal() {
    let names = names();
    let (sent_at, due) = (Timestamp(1), Timestamp(2));
    let signal = PutOffTokens { workflow: "pay", run_id: "order-1", name: "approve", sent_at, due };
    for subject in [names.signal_again(signal), names.put_off(signal), names.signal_timer("pay", 1, due)] {
        assert!(!may_publish(Role::Starter, &all(), &subject), "{subject}");
        assert!(may_publish(Role::Worker, &pay(), &subject), "{subject}");
    }
}

#[test]
fn p13_a_worker_deletes_nothing_that_a_namespace_needs() {
    let names = names();
    for stream in Stream::ALL {
        let name = names.stream(stream);
        let may =
            |operation: &str| may_publish(Role::Worker, &all(), &format!("{DEFAULT_API_PREFIX}.{operation}"));
        assert!(may(&StreamOperation::Create.on(&name)), "{stream:?}");
        assert!(!may(&StreamOperation::Delete.on(&name)), "{stream:?}");
        let is_scanned = matches!(stream, Stream::Runs | Stream::Done);
        assert_eq!(may(&ConsumerOperation::Delete.on(&name, "work_pay")), is_scanned, "{stream:?}");
        assert!(!may(&StreamOperation::Info.on("OTHER")));
    }
}

#[test]
fn p13_a_worker_takes_the_work_of_its_workflows_alone() {
    let of = |workflow: &str| {
        let next = ConsumerOperation::Next.on("JETWAY_ns_WORK", &Names::work_consumer(workflow));
        may_publish(Role::Worker, &pay(), &format!("{DEFAULT_API_PREFIX}.{next}"))
    };
    assert!(of("pay") && !of("other"));
}

#[test]
fn inboxes_that_are_configured_are_allowed() {
    let scope = Scope::new(Vec::new(), &["_INBOX_team.".to_owned()]);
    for role in Role::ALL {
        assert!(
            may_subscribe(role, &scope, "_INBOX_team.x") && may_subscribe(role, &scope, "_INBOX.x"),
            "{role}"
        );
        assert!(!may_subscribe(role, &all(), "_INBOX_team.x"), "{role}");
    }
    assert!(may_publish(Role::Worker, &scope, "_INBOX_team.x"));
}
