//! Subjects: built from typed parts, and taken apart again.

use super::{Names, Stream};
use jetway_engine::{
    Control,
    backend::{BackendError, BackendErrorKind, Ticket},
};
use jetway_state::{ItemId, RunId, RunKey, WorkflowName, run::ChunkRef};
use std::fmt::Write as _;

/// The parts of a ticket's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TicketTokens<'a> {
    pub(crate) workflow: &'a str,
    pub(crate) node: &'a str,
    pub(crate) run_id: &'a str,
    pub(crate) item: &'a str,
}

impl TicketTokens<'_> {
    /// Whether the ticket says the same as its subject.
    pub(crate) fn agree_with(&self, ticket: &Ticket) -> bool {
        self.workflow == ticket.workflow.as_str()
            && self.node == ticket.node
            && self.run_id == ticket.run_id.as_str()
            && self.item == ticket.item.as_str()
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Takes a workflow.
    Start,
    /// Takes a workflow and a run id.
    Status,
    /// Takes a workflow and a run id.
    Control(Control),
    /// Takes nothing.
    Runs,
    /// Takes nothing.
    Workflows,
}

impl Ask {
    /// The word for it; also the name of its endpoint.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Status => "status",
            Self::Control(control) => control.verb(),
            Self::Runs => "runs",
            Self::Workflows => "workflows",
        }
    }
}

/// Checks a word that is to stand between two dots of a subject.
///
/// # Errors
/// `Refused` where the word is empty or holds a dot, a wildcard, white space or a control character.
pub(crate) fn token<'a>(what: &str, word: &'a str) -> Result<&'a str, BackendError> {
    let fits = !word.is_empty()
        && word.chars().all(|c| !matches!(c, '.' | '*' | '>') && !c.is_whitespace() && !c.is_control());
    if fits {
        return Ok(word);
    }
    let sentence = format!(
        "{what} {word:?} cannot stand in a subject: it is empty or holds one of `.`, `*`, `>`, a space"
    );
    Err(BackendError::new(BackendErrorKind::Refused, sentence))
}

impl Names {
    /// What a stream's messages are published to.
    pub(crate) fn stream_subjects(&self, stream: Stream) -> String {
        match stream {
            Stream::Starts => self.subject("start", &["*"]),
            Stream::Tickets => self.subject("work", &[">"]),
            Stream::Done => self.subject("done", &[">"]),
            Stream::Dead => self.subject("dead", &[">"]),
            Stream::StoreItems => self.subject("item", &[">"]),
            Stream::Runs | Stream::Hosts | Stream::StoreState => self.key(stream, &[">"]),
        }
    }

    /// `jetway.ns.start.<workflow>`
    pub(crate) fn start(&self, workflow: &str) -> String {
        self.subject("start", &[workflow])
    }

    /// The workflow of a start message, as its sender wrote it.
    pub(crate) fn workflow_of_start<'a>(&self, subject: &'a str) -> Option<&'a str> {
        self.tokens::<1>("start", subject).map(|[workflow]| workflow)
    }

    /// The subject of one ticket.
    ///
    /// # Errors
    /// `Refused` where the node's name cannot stand in a subject.
    pub(crate) fn ticket(&self, ticket: &Ticket) -> Result<String, BackendError> {
        let node = token("the node name", &ticket.node)?;
        Ok(self
            .subject("work", &[ticket.workflow.as_str(), node, ticket.run_id.as_str(), ticket.item.as_str()]))
    }

    /// The tickets of a workflow.
    pub(crate) fn tickets_of_workflow(&self, workflow: &WorkflowName) -> String {
        self.subject("work", &[workflow.as_str(), ">"])
    }

    /// The tickets of a run.
    pub(crate) fn tickets_of_run(&self, run: &RunKey) -> String {
        self.subject("work", &[run.workflow.as_str(), "*", run.run_id.as_str(), "*"])
    }

    pub(crate) fn ticket_tokens<'a>(&self, subject: &'a str) -> Option<TicketTokens<'a>> {
        let [workflow, node, run_id, item] = self.tokens("work", subject)?;
        Some(TicketTokens { workflow, node, run_id, item })
    }

    /// The item of a ticket's subject.
    pub(crate) fn item_of_ticket(&self, subject: &str) -> Option<ItemId> {
        ItemId::new(self.ticket_tokens(subject)?.item).ok()
    }

    /// The key of a snapshot.
    pub(crate) fn snapshot(&self, run: &RunKey) -> String {
        self.key(Stream::Runs, &[run.workflow.as_str(), run.run_id.as_str()])
    }

    /// All snapshots, of one workflow or of all. Chunks have more tokens and are not among them.
    pub(crate) fn snapshots(&self, workflow: Option<&WorkflowName>) -> String {
        self.key(Stream::Runs, &[workflow.map_or("*", WorkflowName::as_str), "*"])
    }

    /// The run of a snapshot's key.
    pub(crate) fn run_of_snapshot(&self, subject: &str) -> Option<RunKey> {
        let key = self.strip_key(Stream::Runs, subject)?;
        let (workflow, run_id) = key.split_once('.')?;
        Some(RunKey::new(WorkflowName::new(workflow).ok()?, RunId::new(run_id).ok()?))
    }

    /// A part of a chunk.
    pub(crate) fn chunk_part(&self, run: &RunKey, chunk: ChunkRef, part: usize) -> String {
        let mut subject = self.snapshot(run);
        // Writing to a string cannot fail.
        write!(subject, ".{}.{}.{part}", chunk.commit, chunk.number).unwrap_or_default();
        subject
    }

    /// All parts of a chunk.
    pub(crate) fn chunk_parts(&self, run: &RunKey, chunk: ChunkRef) -> String {
        format!("{}.{}.{}.>", self.snapshot(run), chunk.commit, chunk.number)
    }

    /// All chunks of a run. The snapshot has fewer tokens and is not among them.
    pub(crate) fn chunks_of_run(&self, run: &RunKey) -> String {
        format!("{}.>", self.snapshot(run))
    }

    /// All chunks. Snapshots have fewer tokens and are not among them.
    pub(crate) fn chunks(&self) -> String {
        self.key(Stream::Runs, &["*", "*", ">"])
    }

    /// The run that a chunk's key belongs to; `None` for the key of a snapshot.
    pub(crate) fn run_of_chunk(&self, subject: &str) -> Option<RunKey> {
        let mut words = self.strip_key(Stream::Runs, subject)?.splitn(3, '.');
        let (workflow, run_id, _chunk) = (words.next()?, words.next()?, words.next()?);
        Some(RunKey::new(WorkflowName::new(workflow).ok()?, RunId::new(run_id).ok()?))
    }

    /// `jetway.ns.done.<workflow>.<run_id>`
    pub(crate) fn done(&self, run: &RunKey) -> String {
        self.subject("done", &[run.workflow.as_str(), run.run_id.as_str()])
    }

    /// The subject of a dead letter. The workflow's name is a stranger's: what cannot stand in a subject becomes `_`.
    pub(crate) fn dead(&self, workflow: &str, why: &str) -> String {
        self.subject("dead", &[&cleaned(workflow), &cleaned(why)])
    }

    /// The workflow and the reason of a dead letter's subject, as `workflow.why`.
    pub(crate) fn letter<'a>(&self, subject: &'a str) -> &'a str {
        self.strip("dead", subject).unwrap_or(subject)
    }

    /// The key of a host.
    ///
    /// # Errors
    /// `Refused` where the host's name cannot stand in a subject.
    pub(crate) fn host(&self, host: &str) -> Result<String, BackendError> {
        Ok(self.key(Stream::Hosts, &[token("the host name", host)?]))
    }

    /// A key beside the hosts that writes are measured with. It has one token more than a host.
    pub(crate) fn probe(&self) -> String {
        self.key(Stream::Hosts, &["probe", "write"])
    }

    /// All hosts.
    pub(crate) fn hosts(&self) -> String {
        self.key(Stream::Hosts, &["*"])
    }

    /// The subject of a request: `jetway.ns.api.<verb>` and as many words as the verb takes.
    pub(crate) fn api(&self, ask: Ask, words: &[&str]) -> String {
        let mut subject = self.subject("api", &[ask.verb()]);
        for word in words {
            subject.push('.');
            subject.push_str(word);
        }
        subject
    }

    /// What follows the verb in the subject of a request.
    pub(crate) fn api_words<'a, const N: usize>(&self, ask: Ask, subject: &'a str) -> Option<[&'a str; N]> {
        exactly(self.strip("api", subject)?.strip_prefix(ask.verb())?.strip_prefix('.')?)
    }

    pub(super) fn subject(&self, kind: &str, rest: &[&str]) -> String {
        let ns = self.namespace().as_str();
        let length = rest.iter().map(|word| word.len() + 1).sum::<usize>();
        let mut subject = String::with_capacity("jetway..".len() + ns.len() + kind.len() + length);
        subject.push_str("jetway.");
        subject.push_str(ns);
        subject.push('.');
        subject.push_str(kind);
        for word in rest {
            subject.push('.');
            subject.push_str(word);
        }
        subject
    }

    pub(super) fn key(&self, stream: Stream, rest: &[&str]) -> String {
        let ns = self.namespace().as_str();
        let length = rest.iter().map(|word| word.len() + 1).sum::<usize>();
        let mut subject = String::with_capacity("$KV.JETWAY__HOSTS".len() + ns.len() + length);
        subject.push_str("$KV.JETWAY_");
        subject.push_str(ns);
        subject.push('_');
        subject.push_str(stream.word());
        for word in rest {
            subject.push('.');
            subject.push_str(word);
        }
        subject
    }

    fn strip<'a>(&self, kind: &str, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("jetway.")?.strip_prefix(self.namespace().as_str())?;
        rest.strip_prefix('.')?.strip_prefix(kind)?.strip_prefix('.')
    }

    pub(super) fn strip_key<'a>(&self, stream: Stream, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("$KV.JETWAY_")?.strip_prefix(self.namespace().as_str())?;
        rest.strip_prefix('_')?.strip_prefix(stream.word())?.strip_prefix('.')
    }

    pub(super) fn tokens<'a, const N: usize>(&self, kind: &str, subject: &'a str) -> Option<[&'a str; N]> {
        exactly(self.strip(kind, subject)?)
    }
}

pub(super) fn exactly<const N: usize>(rest: &str) -> Option<[&str; N]> {
    let mut words = rest.split('.');
    let mut found = [""; N];
    for place in &mut found {
        *place = words.next().filter(|word| !word.is_empty())?;
    }
    words.next().is_none().then_some(found)
}

fn cleaned(word: &str) -> String {
    let kept: String = word
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .collect();
    if kept.is_empty() { "_".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::{CommitId, Namespace, Timestamp, trace::TraceHeaders};

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
            node: node.to_owned(),
            item: ItemId::branch(&ItemId::start(), 3),
            revision: 1,
            attempt: 1,
            at: Timestamp(0),
            trace: TraceHeaders::default(),
        }
    }

    #[test]
    fn tickets_go_there_and_back() {
        let subject = names().ticket(&ticket("charge")).unwrap();
        assert_eq!(subject, "jetway.ns.work.pay.charge.order-1.start-3");
        let tokens = names().ticket_tokens(&subject).unwrap();
        assert!(tokens.agree_with(&ticket("charge")));
        assert!(!tokens.agree_with(&ticket("other")));
        assert_eq!(names().item_of_ticket(&subject), Some(ticket("charge").item));
        for foreign in [
            "jetway.ns2.work.a.b.c.d",
            "jetway.ns.work.a.b.c",
            "jetway.ns.work.a.b.c.d.e",
            "jetway.ns.work.a..c.d",
        ] {
            assert_eq!(names().ticket_tokens(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_node_name_that_breaks_the_subject_is_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "a\nb"] {
            let refused = names().ticket(&ticket(bad)).unwrap_err();
            assert_eq!(refused.kind(), BackendErrorKind::Refused, "{bad:?}");
        }
    }

    #[test]
    fn snapshots_and_chunks_are_told_apart_by_their_tokens() {
        let names = names();
        let snapshot = names.snapshot(&run());
        assert_eq!(snapshot, "$KV.JETWAY_ns_RUNS.pay.order-1");
        assert_eq!(names.run_of_snapshot(&snapshot), Some(run()));
        let chunk = ChunkRef { commit: CommitId { writer: 1, number: 2 }, number: 3, bytes: 9 };
        let part = names.chunk_part(&run(), chunk, 4);
        assert_eq!(part, "$KV.JETWAY_ns_RUNS.pay.order-1.00000000000000012.3.4");
        assert_eq!(names.run_of_snapshot(&part), None);
        assert_eq!(names.chunk_parts(&run(), chunk), "$KV.JETWAY_ns_RUNS.pay.order-1.00000000000000012.3.>");
        assert_eq!(names.chunks_of_run(&run()), "$KV.JETWAY_ns_RUNS.pay.order-1.>");
        assert_eq!(names.snapshots(None), "$KV.JETWAY_ns_RUNS.*.*");
        assert_eq!(names.snapshots(Some(&run().workflow)), "$KV.JETWAY_ns_RUNS.pay.*");
    }

    #[test]
    fn starts_results_hosts_and_requests() {
        let names = names();
        assert_eq!(names.workflow_of_start(&names.start("pay")), Some("pay"));
        assert_eq!(names.workflow_of_start("jetway.ns.start.a.b"), None);
        assert_eq!(names.done(&run()), "jetway.ns.done.pay.order-1");
        assert_eq!(names.host("host-1").unwrap(), "$KV.JETWAY_ns_HOSTS.host-1");
        assert!(names.host("a.b").is_err());
        let status = names.api(Ask::Status, &["pay", "order-1"]);
        assert_eq!(status, "jetway.ns.api.status.pay.order-1");
        assert_eq!(names.api_words(Ask::Status, &status), Some(["pay", "order-1"]));
        assert_eq!(names.api_words::<1>(Ask::Start, &status), None);
    }

    #[test]
    fn a_strangers_word_cannot_leave_its_place() {
        assert_eq!(names().dead("a.b>c", "unknown-workflow"), "jetway.ns.dead.a_b_c.unknown-workflow");
        assert_eq!(names().dead("", "x"), "jetway.ns.dead._.x");
    }

    #[test]
    fn a_namespace_is_never_the_beginning_of_another() {
        let longer = Names::new(Namespace::new("ns_RUNS").unwrap());
        assert_eq!(names().run_of_snapshot(&longer.snapshot(&run())), None);
        assert_eq!(names().workflow_of_start(&longer.start("pay")), None);
    }
}
