//! Subjects: built from typed parts, and parsed again.

use super::{Kind, Names, Stream};
use jetway_engine::{
    Control,
    backend::{BackendError, BackendErrorKind, BeatKey, Ticket},
};
use jetway_state::{Incarnation, ItemId, RunId, RunKey, StartId, WorkflowName, run::ChunkRef};

/// The parts of a ticket's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketTokens<'a> {
    pub(crate) workflow: &'a str,
    pub(crate) node: &'a str,
    pub(crate) run_id: &'a str,
    pub(crate) item: &'a str,
    /// See [`Ticket::activation`].
    pub(crate) activation: &'a str,
}

impl TicketTokens<'_> {
    /// Whether the ticket has the same values as its subject.
    pub(crate) fn match_ticket(&self, ticket: &Ticket) -> bool {
        self.workflow == ticket.workflow.as_str()
            && self.node == ticket.node
            && self.run_id == ticket.run_id.as_str()
            && self.item == ticket.item.as_str()
            && self.activation == ticket.activation()
    }
}

/// A method of the micro service. Its comment gives the tokens that follow the verb in the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiMethod {
    /// `<workflow>`
    Start,
    /// `<workflow>.<run_id>`
    Status,
    /// `<workflow>.<run_id>`
    Output,
    /// `<workflow>.<run_id>`
    Control(Control),
    /// `<workflow>.<run_id>`
    Retry,
    /// `<workflow>.<run_id>.<name>`
    Signal,
    /// `<workflow>.<run_id>.<name>`
    SignalWithStart,
    /// None.
    Runs,
    /// None.
    Workflows,
    /// `<workflow>`
    Workflow,
}

impl ApiMethod {
    pub(crate) const ALL: [Self; 13] = [
        Self::Start,
        Self::Status,
        Self::Output,
        Self::Control(Control::Cancel),
        Self::Control(Control::Terminate),
        Self::Control(Control::Pause),
        Self::Control(Control::Resume),
        Self::Retry,
        Self::Signal,
        Self::SignalWithStart,
        Self::Runs,
        Self::Workflows,
        Self::Workflow,
    ];

    /// The verb in the subject, and the name of the endpoint.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Status => "status",
            Self::Output => "output",
            Self::Control(control) => control.verb(),
            Self::Retry => "retry",
            Self::Signal => "signal",
            Self::SignalWithStart => "signal_with_start",
            Self::Runs => "runs",
            Self::Workflows => "workflows",
            Self::Workflow => "workflow",
        }
    }
}

/// Checks a token of a subject. `what` names it in the error: `the node name`.
///
/// # Errors
/// `Refused` if the token is empty or has a dot, a wildcard, white space or a control character.
pub(crate) fn subject_token<'a>(what: &str, token: &'a str) -> Result<&'a str, BackendError> {
    let valid = !token.is_empty()
        && token.chars().all(|c| !matches!(c, '.' | '*' | '>') && !c.is_whitespace() && !c.is_control());
    if valid {
        return Ok(token);
    }
    let sentence = format!(
        "{what} {token:?} cannot be part of a subject: it must not be empty or contain `.`, `*`, `>` or a space"
    );
    Err(BackendError::new(BackendErrorKind::Refused, sentence))
}

impl Names {
    /// The subjects of a stream.
    pub(crate) fn stream_subjects(&self, stream: Stream) -> Vec<String> {
        let all_of = |kind| self.subject(kind, &[">"]);
        match stream {
            Stream::Starts => vec![self.all_starts()],
            Stream::Tickets => vec![all_of(Kind::Work)],
            Stream::Timers => vec![self.all_timers(), self.all_wakes()],
            Stream::Signals => vec![self.all_signals(), self.all_put_off(None)],
            Stream::Done => vec![all_of(Kind::Done)],
            Stream::Dead => vec![all_of(Kind::Dead)],
            Stream::StoreItems => vec![all_of(Kind::Item)],
            Stream::Runs | Stream::Hosts | Stream::Beats | Stream::StoreState => {
                vec![self.key(stream, &[">"])]
            }
        }
    }

    /// The subjects of all start messages.
    pub(crate) fn all_starts(&self) -> String {
        self.subject(Kind::Start, &["*"])
    }

    /// `jetway.ns.start.<workflow>`
    pub(crate) fn start(&self, workflow: &str) -> String {
        self.subject(Kind::Start, &[workflow])
    }

    /// The workflow of a start message's subject, as the client wrote it.
    pub(crate) fn workflow_of_start<'a>(&self, subject: &'a str) -> Option<&'a str> {
        self.tokens::<1>(Kind::Start, subject).map(|[workflow]| workflow)
    }

    /// The subject of one ticket.
    ///
    /// # Errors
    /// `Refused` if the node's name cannot be part of a subject.
    pub(crate) fn ticket(&self, ticket: &Ticket) -> Result<String, BackendError> {
        let node = subject_token("the node name", &ticket.node)?;
        let activation = ticket.activation();
        let Ticket { workflow, run_id, item, .. } = ticket;
        let tokens = [workflow.as_str(), node, run_id.as_str(), item.as_str(), activation.as_str()];
        Ok(self.subject(Kind::Work, &tokens))
    }

    /// The tickets of a workflow.
    pub(crate) fn tickets_of_workflow(&self, workflow: &WorkflowName) -> String {
        self.subject(Kind::Work, &[workflow.as_str(), ">"])
    }

    /// The tickets of a run, of all incarnations.
    pub(crate) fn tickets_of_run(&self, run: &RunKey) -> String {
        self.subject(Kind::Work, &[run.workflow.as_str(), "*", run.run_id.as_str(), "*", "*"])
    }

    pub(crate) fn ticket_tokens<'a>(&self, subject: &'a str) -> Option<TicketTokens<'a>> {
        let [workflow, node, run_id, item, activation] = self.tokens(Kind::Work, subject)?;
        Some(TicketTokens { workflow, node, run_id, item, activation })
    }

    /// The item of a ticket's subject, if the ticket is of this incarnation.
    pub(crate) fn item_of_ticket(&self, subject: &str, incarnation: Option<Incarnation>) -> Option<ItemId> {
        let TicketTokens { item, activation, .. } = self.ticket_tokens(subject)?;
        let is_of = |incarnation: Incarnation| activation.starts_with(&incarnation.short());
        incarnation.is_none_or(is_of).then(|| ItemId::new(item).ok())?
    }

    /// Whether a ticket's subject is that of one that replaced `ticket`, which was given back.
    pub(crate) fn replaces(&self, subject: &str, ticket: &Ticket) -> bool {
        let tokens = self.ticket_tokens(subject);
        tokens.is_some_and(|tokens| {
            tokens.item == ticket.item.as_str() && ticket.is_replaced_by(tokens.activation)
        })
    }

    /// The key of a snapshot.
    pub(crate) fn snapshot(&self, run: &RunKey) -> String {
        self.key(Stream::Runs, &[run.workflow.as_str(), run.run_id.as_str()])
    }

    /// The keys of all snapshots, of one workflow or of all. Chunks have more tokens, so they are not included.
    pub(crate) fn snapshots(&self, workflow: Option<&WorkflowName>) -> String {
        self.key(Stream::Runs, &[workflow.map_or("*", WorkflowName::as_str), "*"])
    }

    /// The run of a snapshot's key.
    pub(crate) fn run_of_snapshot(&self, subject: &str) -> Option<RunKey> {
        let key = self.strip_key(Stream::Runs, subject)?;
        let (workflow, run_id) = key.split_once('.')?;
        Some(RunKey::new(WorkflowName::new(workflow).ok()?, RunId::new(run_id).ok()?))
    }

    /// The key of a part of a chunk.
    pub(crate) fn chunk_part(
        &self,
        run: &RunKey,
        incarnation: Incarnation,
        chunk: ChunkRef,
        part: usize,
    ) -> String {
        format!("{}.{incarnation}.{}.{}.{part}", self.snapshot(run), chunk.commit, chunk.number)
    }

    /// All parts of a chunk.
    pub(crate) fn chunk_parts(&self, run: &RunKey, incarnation: Incarnation, chunk: ChunkRef) -> String {
        format!("{}.{incarnation}.{}.{}.>", self.snapshot(run), chunk.commit, chunk.number)
    }

    /// All chunks of one incarnation of a run.
    pub(crate) fn chunks_of_run(&self, run: &RunKey, incarnation: Incarnation) -> String {
        format!("{}.{incarnation}.>", self.snapshot(run))
    }

    /// All chunks. Snapshots have fewer tokens, so they are not included.
    pub(crate) fn chunks(&self) -> String {
        self.key(Stream::Runs, &["*", "*", ">"])
    }

    /// The run of a chunk's key, and its incarnation. `None` for the key of a snapshot.
    pub(crate) fn run_of_chunk(&self, subject: &str) -> Option<(RunKey, Incarnation)> {
        let mut tokens = self.strip_key(Stream::Runs, subject)?.splitn(4, '.');
        let (workflow, run_id, incarnation) = (tokens.next()?, tokens.next()?, tokens.next()?);
        let run = RunKey::new(WorkflowName::new(workflow).ok()?, RunId::new(run_id).ok()?);
        Some((run, incarnation.parse().ok()?))
    }

    /// `jetway.ns.done.<workflow>.<run_id>`
    pub(crate) fn done(&self, run: &RunKey) -> String {
        self.subject(Kind::Done, &[run.workflow.as_str(), run.run_id.as_str()])
    }

    /// The refusal of a start message: `jetway.ns.done.<workflow>.<run_id>.<start id>`
    pub(crate) fn refusal(&self, run: &RunKey, start: StartId) -> String {
        self.subject(Kind::Done, &[run.workflow.as_str(), run.run_id.as_str(), &start.to_string()])
    }

    /// The subjects of all results.
    pub(crate) fn results(&self) -> String {
        self.subject(Kind::Done, &["*", "*"])
    }

    /// The run of a result's subject.
    pub(crate) fn run_of_result(&self, subject: &str) -> Option<RunKey> {
        let [workflow, run_id] = self.tokens(Kind::Done, subject)?;
        Some(RunKey::new(WorkflowName::new(workflow).ok()?, RunId::new(run_id).ok()?))
    }

    /// The subject of a dead letter. The workflow's name comes from a client, so each character that a subject cannot have
    /// becomes `_`.
    pub(crate) fn dead(&self, workflow: &str, why: &str) -> String {
        self.subject(Kind::Dead, &[&sanitized(workflow), &sanitized(why)])
    }

    /// The workflow and the reason in a dead letter's subject, as `workflow.why`.
    pub(crate) fn dead_letter_key<'a>(&self, subject: &'a str) -> &'a str {
        self.strip(Kind::Dead, subject).unwrap_or(subject)
    }

    /// The key of a host.
    ///
    /// # Errors
    /// `Refused` if the host's name cannot be part of a subject.
    pub(crate) fn host(&self, host: &str) -> Result<String, BackendError> {
        Ok(self.key(Stream::Hosts, &[subject_token("the host name", host)?]))
    }

    /// The key of the last heartbeat of a step.
    pub(crate) fn beat(&self, BeatKey { run, incarnation, item }: &BeatKey) -> String {
        let incarnation = incarnation.to_string();
        let tokens = [run.workflow.as_str(), run.run_id.as_str(), &incarnation, item.as_str()];
        self.key(Stream::Beats, &tokens)
    }

    /// A key for measuring writes. It has one token more than the key of a host.
    pub(crate) fn probe(&self) -> String {
        self.key(Stream::Hosts, &["probe", "write"])
    }

    /// The keys of all hosts.
    pub(crate) fn hosts(&self) -> String {
        self.key(Stream::Hosts, &["*"])
    }

    /// The subject of a request: `jetway.ns.api.<verb>` and the tokens of the method.
    pub(crate) fn api(&self, method: ApiMethod, tokens: &[&str]) -> String {
        let mut subject = self.subject(Kind::Api, &[method.verb()]);
        for token in tokens {
            subject.push('.');
            subject.push_str(token);
        }
        subject
    }

    /// The tokens after the verb in the subject of a request.
    pub(crate) fn api_tokens<'a, const N: usize>(
        &self,
        method: ApiMethod,
        subject: &'a str,
    ) -> Option<[&'a str; N]> {
        exactly(self.strip(Kind::Api, subject)?.strip_prefix(method.verb())?.strip_prefix('.')?)
    }

    pub(super) fn subject(&self, kind: Kind, rest: &[&str]) -> String {
        let (ns, kind) = (self.namespace().as_str(), kind.token());
        let length = rest.iter().map(|token| token.len() + 1).sum::<usize>();
        let mut subject = String::with_capacity("jetway..".len() + ns.len() + kind.len() + length);
        subject.push_str("jetway.");
        subject.push_str(ns);
        subject.push('.');
        subject.push_str(kind);
        for token in rest {
            subject.push('.');
            subject.push_str(token);
        }
        subject
    }

    pub(super) fn key(&self, stream: Stream, rest: &[&str]) -> String {
        let ns = self.namespace().as_str();
        let length = rest.iter().map(|token| token.len() + 1).sum::<usize>();
        let mut subject = String::with_capacity("$KV.JETWAY__STORE_STATE".len() + ns.len() + length);
        subject.push_str("$KV.JETWAY_");
        subject.push_str(ns);
        subject.push('_');
        subject.push_str(stream.suffix());
        for token in rest {
            subject.push('.');
            subject.push_str(token);
        }
        subject
    }

    pub(super) fn strip<'a>(&self, kind: Kind, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("jetway.")?.strip_prefix(self.namespace().as_str())?;
        rest.strip_prefix('.')?.strip_prefix(kind.token())?.strip_prefix('.')
    }

    pub(super) fn strip_key<'a>(&self, stream: Stream, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("$KV.JETWAY_")?.strip_prefix(self.namespace().as_str())?;
        rest.strip_prefix('_')?.strip_prefix(stream.suffix())?.strip_prefix('.')
    }

    pub(super) fn tokens<'a, const N: usize>(&self, kind: Kind, subject: &'a str) -> Option<[&'a str; N]> {
        exactly(self.strip(kind, subject)?)
    }
}

pub(super) fn exactly<const N: usize>(rest: &str) -> Option<[&str; N]> {
    let mut tokens = rest.split('.');
    let mut found = [""; N];
    for place in &mut found {
        *place = tokens.next().filter(|token| !token.is_empty())?;
    }
    tokens.next().is_none().then_some(found)
}

fn sanitized(token: &str) -> String {
    let kept: String = token
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .collect();
    if kept.is_empty() { "_".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{CommitId, Namespace, Seen, StoreId, Timestamp, trace::TraceHeaders};

    fn names() -> Names {
        Names::new(Namespace::new("ns").unwrap())
    }

    fn run() -> RunKey {
        RunKey::new(WorkflowName::new("pay").unwrap(), RunId::new("order-1").unwrap())
    }

    fn ticket(node: &str) -> Ticket {
        Ticket {
            workflow: run().workflow,
            run_id: run().run_id,
            incarnation: Incarnation::default(),
            node: node.to_owned(),
            item: ItemId::branch(&ItemId::start(), 3),
            revision: 1,
            store: StoreId::default(),
            woken_by: None,
            attempt: 1,
            given_back: 0,
            at: Timestamp(0),
            trace: TraceHeaders::default(),
        }
    }

    #[test]
    fn a_ticket_subject_is_built_and_parsed() {
        let subject = names().ticket(&ticket("charge")).unwrap();
        assert_eq!(subject, "jetway.ns.work.pay.charge.order-1.start-3.00000000");
        let tokens = names().ticket_tokens(&subject).unwrap();
        assert!(tokens.match_ticket(&ticket("charge")));
        assert!(!tokens.match_ticket(&ticket("other")));
        assert_eq!(names().item_of_ticket(&subject, None), Some(ticket("charge").item));
        assert_eq!(names().item_of_ticket(&subject, Some(Incarnation::from_random(1 << 79))), None);
        // The ticket that wakes a waiting item is another one.
        let woken = Ticket { woken_by: Some(Seen::new(500, StoreId(1))), ..ticket("charge") };
        let subject = names().ticket(&woken).unwrap();
        assert_eq!(subject, "jetway.ns.work.pay.charge.order-1.start-3.00000000-1f4");
        assert!(names().ticket_tokens(&subject).unwrap().match_ticket(&woken));
        assert_eq!(names().item_of_ticket(&subject, Some(Incarnation::default())), Some(woken.item));
        for foreign in [
            "jetway.ns2.work.a.b.c.d.e",
            "jetway.ns.work.a.b.c.d",
            "jetway.ns.work.a.b.c.d.e.f",
            "jetway.ns.work.a..c.d.e",
        ] {
            assert_eq!(names().ticket_tokens(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn an_invalid_node_name_is_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "a\nb"] {
            let refused = names().ticket(&ticket(bad)).unwrap_err();
            assert_eq!(refused.kind(), BackendErrorKind::Refused, "{bad:?}");
        }
    }

    #[test]
    fn snapshots_and_chunks_differ_in_their_tokens() {
        let names = names();
        let snapshot = names.snapshot(&run());
        assert_eq!(snapshot, "$KV.JETWAY_ns_RUNS.pay.order-1");
        assert_eq!(names.run_of_snapshot(&snapshot), Some(run()));
        let chunk = ChunkRef { commit: CommitId { writer: 1, number: 2 }, number: 3, bytes: 9 };
        let incarnation = Incarnation::default();
        let part = names.chunk_part(&run(), incarnation, chunk, 4);
        assert_eq!(part, "$KV.JETWAY_ns_RUNS.pay.order-1.0000000000000000.00000000000000012.3.4");
        assert_eq!(names.run_of_snapshot(&part), None);
        assert_eq!(names.run_of_chunk(&part), Some((run(), incarnation)));
        assert_eq!(names.run_of_chunk(&snapshot), None);
        let of_run = "$KV.JETWAY_ns_RUNS.pay.order-1.0000000000000000";
        assert_eq!(names.chunk_parts(&run(), incarnation, chunk), format!("{of_run}.00000000000000012.3.>"));
        assert_eq!(names.chunks_of_run(&run(), incarnation), format!("{of_run}.>"));
        assert_eq!(names.snapshots(None), "$KV.JETWAY_ns_RUNS.*.*");
        assert_eq!(names.snapshots(Some(&run().workflow)), "$KV.JETWAY_ns_RUNS.pay.*");
    }

    #[test]
    fn starts_results_hosts_and_requests() {
        let names = names();
        assert_eq!(names.workflow_of_start(&names.start("pay")), Some("pay"));
        assert_eq!(names.workflow_of_start("jetway.ns.start.a.b"), None);
        assert_eq!(names.done(&run()), "jetway.ns.done.pay.order-1");
        let refusal = names.refusal(&run(), StartId::from_random(0xf0));
        assert_eq!(refusal, "jetway.ns.done.pay.order-1.00000000000000f0");
        assert_eq!(names.run_of_result(&refusal), None);
        assert_eq!(names.host("host-1").unwrap(), "$KV.JETWAY_ns_HOSTS.host-1");
        assert!(names.host("a.b").is_err());
        let status = names.api(ApiMethod::Status, &["pay", "order-1"]);
        assert_eq!(status, "jetway.ns.api.status.pay.order-1");
        assert_eq!(names.api_tokens(ApiMethod::Status, &status), Some(["pay", "order-1"]));
        assert_eq!(names.api_tokens::<1>(ApiMethod::Start, &status), None);
    }

    #[test]
    fn a_clients_name_stays_one_token() {
        assert_eq!(names().dead("a.b>c", "unknown-workflow"), "jetway.ns.dead.a_b_c.unknown-workflow");
        assert_eq!(names().dead("", "x"), "jetway.ns.dead._.x");
    }

    #[test]
    fn a_namespace_does_not_match_a_longer_one() {
        let longer = Names::new(Namespace::new("ns_RUNS").unwrap());
        assert_eq!(names().run_of_snapshot(&longer.snapshot(&run())), None);
        assert_eq!(names().workflow_of_start(&longer.start("pay")), None);
    }
}
