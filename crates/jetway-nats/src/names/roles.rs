//! Who may use each name: the roles beside the names.
//!
//! Every kind of subject, method of the service, stream and operation has its roles in a `match` without a wildcard arm, so a
//! new one does not compile without them. A test has an example of each function that builds a name, and fails if a new
//! function has none, or if no role may use what it builds.

use super::{
    ACCOUNT_INFO, ApiMethod, ConsumerOperation, DEFAULT_API_PREFIX, DiscoveryVerb, Kind, Names, STREAM_NAMES,
    Stream, StreamOperation, USER_INFO, acknowledgements, create_consumer, discovery_subjects, replies,
};
use std::{collections::BTreeSet, fmt};

#[cfg(test)]
mod tests;

/// What a user of the server is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Starts runs, and reads their status, outputs and results.
    Starter,
    /// Runs a host.
    Worker,
    /// Uses every command of `jetway`.
    Operator,
}

/// An operator may do what a host does, and so may run one.
const HOSTS: &[Role] = &[Role::Worker, Role::Operator];
const OPERATORS: &[Role] = &[Role::Operator];
const CLIENTS: &[Role] = &[Role::Starter, Role::Operator];
const EVERYBODY: &[Role] = &Role::ALL;

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Starter, Self::Worker, Self::Operator];

    /// The name in the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starter => "starter",
            Self::Worker => "worker",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who publishes to a subject, and who subscribes to it.
struct Users {
    publish: &'static [Role],
    subscribe: &'static [Role],
}

impl Kind {
    fn users(self) -> Users {
        match self {
            // The stream takes them.
            Self::Start => Users { publish: CLIENTS, subscribe: &[] },
            // A host stores the signal of a request.
            Self::Signal => Users { publish: EVERYBODY, subscribe: &[] },
            Self::Work | Self::Timer | Self::SignalAgain | Self::Later | Self::Dead | Self::Item => {
                Users { publish: HOSTS, subscribe: &[] }
            }
            Self::Done => Users { publish: HOSTS, subscribe: EVERYBODY },
            Self::Event => Users { publish: HOSTS, subscribe: HOSTS },
            // The server itself publishes wake-ups, and each method has its own users.
            Self::Wake | Self::Api => Users { publish: &[], subscribe: &[] },
        }
    }

    /// The tokens after the kind, for one workflow or, as `*`, for all.
    fn tokens(self, workflow: &str) -> Vec<&str> {
        match self {
            Self::Start => vec![workflow],
            Self::Dead | Self::Event => vec![workflow, "*"],
            Self::Timer => vec!["*", workflow, ">"],
            Self::Signal => vec![workflow, "*", "*"],
            Self::SignalAgain => vec![workflow, "*", "*", "*"],
            Self::Later => vec![workflow, "*", "*", "*", "*"],
            Self::Work | Self::Wake | Self::Done | Self::Item | Self::Api => vec![workflow, ">"],
        }
    }
}

impl Kind {
    /// The tokens after the kind in the filter of the consumer of a workflow.
    pub(super) fn consumed_tokens(self, workflow: &str) -> Vec<&str> {
        match self {
            // Also those that come again.
            Self::Signal => vec![workflow, ">"],
            other => other.tokens(workflow),
        }
    }
}

impl ApiMethod {
    fn users(self) -> Users {
        let publish = match self {
            Self::Start | Self::Status | Self::Output | Self::Signal | Self::SignalWithStart => CLIENTS,
            Self::Control(_) | Self::Retry | Self::Runs | Self::Workflows | Self::Workflow => OPERATORS,
        };
        Users { publish, subscribe: HOSTS }
    }

    /// The tokens after the verb, for one workflow or, as `*`, for all.
    fn tokens(self, workflow: &str) -> Vec<&str> {
        match self {
            Self::Start | Self::Workflow => vec![workflow],
            Self::Status | Self::Output | Self::Control(_) | Self::Retry => vec![workflow, "*"],
            Self::Signal | Self::SignalWithStart => vec![workflow, "*", "*"],
            Self::Runs | Self::Workflows => Vec::new(),
        }
    }
}

impl StreamOperation {
    /// Who may do it on a stream. Hosts create streams and never delete one. They remove single messages of work queues, alarms,
    /// the chunks of ended runs, and results that another incarnation has replaced.
    fn roles_on(self, stream: Stream) -> &'static [Role] {
        let hosts_may = match self {
            Self::Info | Self::Create => true,
            // Committers read back what they have written.
            Self::GetMessage => stream != Stream::Hosts,
            Self::DirectGet => stream.is_bucket() || matches!(stream, Stream::StoreItems | Stream::Signals),
            Self::Consumers => {
                matches!(stream, Stream::Starts | Stream::Tickets | Stream::Timers | Stream::Signals)
            }
            // A stream that clients can fill is created with a large limit, which is then reduced.
            Self::Update => matches!(stream, Stream::Starts | Stream::Signals | Stream::Dead),
            Self::Purge => {
                matches!(stream, Stream::Timers | Stream::Runs | Stream::Hosts | Stream::StoreState)
            }
            Self::DeleteMessage => matches!(
                stream,
                Stream::Starts
                    | Stream::Tickets
                    | Stream::Timers
                    | Stream::Signals
                    | Stream::Done
                    | Stream::StoreItems
            ),
            Self::Delete => false,
        };
        if hosts_may { HOSTS } else { OPERATORS }
    }
}

/// The consumers that hosts use on a stream.
enum Consumers {
    /// One for each workflow, and the beginning of its name. Its messages are acknowledged.
    OfWorkflows(fn(&str) -> String, Kind),
    /// Short-lived ones with random names, which read headers.
    Scans,
    None,
}

impl Stream {
    fn consumers(self) -> Consumers {
        match self {
            Self::Starts => Consumers::OfWorkflows(Names::start_consumer, Kind::Start),
            Self::Tickets => Consumers::OfWorkflows(Names::work_consumer, Kind::Work),
            Self::Timers => Consumers::OfWorkflows(Names::wake_consumer, Kind::Wake),
            Self::Signals => Consumers::OfWorkflows(Names::signal_consumer, Kind::Signal),
            Self::StoreItems => Consumers::OfWorkflows(Names::item_consumer, Kind::Item),
            Self::Runs | Self::Done => Consumers::Scans,
            Self::Dead | Self::Hosts | Self::Beats | Self::StoreState => Consumers::None,
        }
    }
}

/// What rights are for.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The names of the workflows, or `*`.
    workflows: Vec<String>,
    /// The prefixes of inboxes.
    inboxes: Vec<String>,
}

impl Scope {
    /// These workflows, or all if there are none. `inboxes` are prefixes of inboxes besides the default one.
    pub(crate) fn new(workflows: Vec<String>, inboxes: &[String]) -> Self {
        let workflows = if workflows.is_empty() { vec!["*".to_owned()] } else { workflows };
        let inboxes = inboxes.iter().map(|prefix| prefix.strip_suffix('.').unwrap_or(prefix).to_owned());
        Self { workflows, inboxes: std::iter::once(replies::INBOX.to_owned()).chain(inboxes).collect() }
    }
}

/// The subjects that a user may publish and subscribe to, with wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rights {
    pub(crate) publish: BTreeSet<String>,
    pub(crate) subscribe: BTreeSet<String>,
}

impl Rights {
    fn add(&mut self, role: Role, users: &Users, subject: &str) {
        if users.publish.contains(&role) {
            self.publish.insert(subject.to_owned());
        }
        if users.subscribe.contains(&role) {
            self.subscribe.insert(subject.to_owned());
        }
    }

    fn add_operation(&mut self, operation: &str) {
        self.publish.insert(format!("{DEFAULT_API_PREFIX}.{operation}"));
    }
}

impl Names {
    /// What a role may do.
    pub(crate) fn rights(&self, role: Role, scope: &Scope) -> Rights {
        let mut rights = self.rights_on_subjects(role, scope);
        for inbox in &scope.inboxes {
            rights.subscribe.insert(format!("{inbox}.>"));
        }
        if !HOSTS.contains(&role) {
            return rights;
        }
        for inbox in scope.inboxes.iter().map(String::as_str).chain([replies::SERVICE_IMPORT]) {
            rights.publish.insert(format!("{inbox}.>"));
        }
        rights.publish.insert(USER_INFO.to_owned());
        rights.add_operation(ACCOUNT_INFO);
        rights.add_operation(STREAM_NAMES);
        for subject in DiscoveryVerb::ALL.into_iter().flat_map(|verb| discovery_subjects(verb, "*")) {
            rights.add(role, &Users { publish: OPERATORS, subscribe: HOSTS }, &subject);
        }
        for (stream, _) in self.obsolete_streams() {
            rights.add_operation(&StreamOperation::Info.on(&stream));
            if role == Role::Operator {
                rights.add_operation(&StreamOperation::Delete.on(&stream));
            }
        }
        for stream in Stream::ALL {
            self.add_stream(&mut rights, role, stream);
            match role {
                Role::Operator => self.add_all_consumers(&mut rights, stream),
                Role::Starter | Role::Worker => self.add_consumers(&mut rights, scope, stream),
            }
        }
        rights
    }

    /// What a role publishes and subscribes to of Jetway itself. For a starter, this is what its account imports.
    pub(crate) fn rights_on_subjects(&self, role: Role, scope: &Scope) -> Rights {
        let mut rights = Rights::default();
        // Every host sweeps for all workflows of the namespace, and starts child runs of any.
        let all = ["*".to_owned()];
        let workflows = if role == Role::Starter { &scope.workflows[..] } else { &all };
        for workflow in workflows {
            for kind in Kind::ALL {
                rights.add(role, &kind.users(), &self.subject(kind, &kind.tokens(workflow)));
            }
            for method in ApiMethod::ALL {
                rights.add(role, &method.users(), &self.api(method, &method.tokens(workflow)));
            }
        }
        rights
    }

    fn add_stream(&self, rights: &mut Rights, role: Role, stream: Stream) {
        let name = self.stream(stream);
        for operation in StreamOperation::ALL {
            if !operation.roles_on(stream).contains(&role) {
                continue;
            }
            rights.add_operation(&operation.on(&name));
            if operation == StreamOperation::DirectGet {
                // The latest message of a subject.
                rights.add_operation(&format!("{}.>", operation.on(&name)));
            }
        }
        if stream.is_bucket() {
            rights.publish.insert(self.key(stream, &[">"]));
        }
    }

    /// What a host needs of the consumers of a stream.
    fn add_consumers(&self, rights: &mut Rights, scope: &Scope, stream: Stream) {
        let name = self.stream(stream);
        match stream.consumers() {
            Consumers::None => {}
            Consumers::Scans => {
                for operation in [ConsumerOperation::Delete, ConsumerOperation::Next] {
                    rights.add_operation(&operation.on(&name, "*"));
                }
                for subjects in self.stream_subjects(stream) {
                    rights.add_operation(&create_consumer(&name, "*", &subjects));
                }
            }
            Consumers::OfWorkflows(consumer_of, kind) => {
                for workflow in &scope.workflows {
                    // A wildcard is a whole token.
                    let consumer = if workflow == "*" { workflow.clone() } else { consumer_of(workflow) };
                    for operation in [ConsumerOperation::Info, ConsumerOperation::Next] {
                        rights.add_operation(&operation.on(&name, &consumer));
                    }
                    let filter = self.subject(kind, &kind.consumed_tokens(workflow));
                    rights.add_operation(&create_consumer(&name, &consumer, &filter));
                    rights.publish.extend(acknowledgements(&name, &consumer));
                }
            }
        }
    }

    fn add_all_consumers(&self, rights: &mut Rights, stream: Stream) {
        let name = self.stream(stream);
        for operation in ConsumerOperation::ALL {
            match operation {
                ConsumerOperation::Create => rights.add_operation(&create_consumer(&name, "*", ">")),
                ConsumerOperation::Info | ConsumerOperation::Delete | ConsumerOperation::Next => {
                    rights.add_operation(&operation.on(&name, "*"));
                }
            }
        }
        rights.publish.extend(acknowledgements(&name, "*"));
    }
}
