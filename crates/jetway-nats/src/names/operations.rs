//! The subjects of JetStream: of the operations of its API, without its prefix, and of acknowledgements.

/// The prefix of the API, unless another one or a domain is configured.
pub(crate) const DEFAULT_API_PREFIX: &str = "$JS.API";
/// How the subjects of acknowledgements begin.
pub(crate) const ACKNOWLEDGEMENTS: &str = "$JS.ACK.";
/// The state and the limits of the account.
pub(crate) const ACCOUNT_INFO: &str = "INFO";
/// The names of the streams of the account.
pub(crate) const STREAM_NAMES: &str = "STREAM.NAMES";
/// The server tells the user and the account of a connection.
pub(crate) const USER_INFO: &str = "$SYS.REQ.USER.INFO";

/// An operation on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamOperation {
    Info,
    Create,
    Update,
    Delete,
    /// Removes messages, all or those that match a filter.
    Purge,
    /// Reads a message from the leader.
    GetMessage,
    /// Removes one message.
    DeleteMessage,
    /// Reads messages from any replica.
    DirectGet,
    /// Lists the names of its consumers.
    Consumers,
}

impl StreamOperation {
    pub(crate) const ALL: [Self; 9] = [
        Self::Info,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Purge,
        Self::GetMessage,
        Self::DeleteMessage,
        Self::DirectGet,
        Self::Consumers,
    ];

    /// The subject of the operation on a stream.
    pub(crate) fn on(self, stream: &str) -> String {
        let operation = match self {
            Self::Info => "STREAM.INFO",
            Self::Create => "STREAM.CREATE",
            Self::Update => "STREAM.UPDATE",
            Self::Delete => "STREAM.DELETE",
            Self::Purge => "STREAM.PURGE",
            Self::GetMessage => "STREAM.MSG.GET",
            Self::DeleteMessage => "STREAM.MSG.DELETE",
            Self::DirectGet => "DIRECT.GET",
            Self::Consumers => "CONSUMER.NAMES",
        };
        format!("{operation}.{stream}")
    }
}

/// An operation on a consumer of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerOperation {
    Info,
    /// See [`create_consumer`] for its subject.
    Create,
    Delete,
    /// Requests messages.
    Next,
}

impl ConsumerOperation {
    pub(crate) const ALL: [Self; 4] = [Self::Info, Self::Create, Self::Delete, Self::Next];

    /// The subject of the operation on a consumer.
    pub(crate) fn on(self, stream: &str, consumer: &str) -> String {
        let operation = match self {
            Self::Info => "CONSUMER.INFO",
            Self::Create => "CONSUMER.CREATE",
            Self::Delete => "CONSUMER.DELETE",
            Self::Next => "CONSUMER.MSG.NEXT",
        };
        format!("{operation}.{stream}.{consumer}")
    }
}

/// The subject that creates a consumer with a filter. The server checks that the request has the same filter.
pub(crate) fn create_consumer(stream: &str, consumer: &str, filter: &str) -> String {
    format!("{}.{filter}", ConsumerOperation::Create.on(stream, consumer))
}

/// The subjects of the acknowledgements of a consumer, in the older and the newer format.
pub(crate) fn acknowledgements(stream: &str, consumer: &str) -> [String; 2] {
    ["", "*.*."]
        .map(|domain_and_account| format!("{ACKNOWLEDGEMENTS}{domain_and_account}{stream}.{consumer}.>"))
}
