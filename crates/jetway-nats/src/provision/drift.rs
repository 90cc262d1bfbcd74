//! Compares existing streams with the expected configuration.

use super::streams::SHORTEST_WINDOW;
use async_nats::jetstream::stream::{Config, PersistenceMode};
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// The check of one field.
struct Check {
    /// The field, as `nats stream info --json` shows it.
    field: &'static str,
    /// Whether the value found is as good as the expected one.
    accepts: fn(&Config, &Config) -> bool,
    shown: fn(&Config) -> String,
    severity: Severity,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// A guarantee would be broken. The stream is refused.
    Error(Fix),
    /// Data is kept for another time, or needs other space. The stream is used, with a warning.
    Warning,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fix {
    /// Edit the stream. The server allows the change.
    Edit,
    /// Remove the stream. The server does not allow the change.
    Remove,
}

macro_rules! check {
    ($field:literal, $value:ident, $severity:expr) => {
        check!($field, $value, |found, expected| found.$value == expected.$value, $severity)
    };
    ($field:literal, $value:ident, $accepts:expr, $severity:expr) => {
        Check {
            field: $field,
            accepts: $accepts,
            shown: |config| format!("{:?}", config.$value),
            severity: $severity,
        }
    };
}

const EDIT: Severity = Severity::Error(Fix::Edit);
const REMOVE: Severity = Severity::Error(Fix::Remove);

/// The most severe ones first.
const CHECKS: &[Check] = &[
    check!("retention", retention, REMOVE),
    check!("storage", storage, REMOVE),
    check!("persist_mode", persist_mode, |found, expected| !is_async(found) || is_async(expected), REMOVE),
    check!("mirror", mirror, |found, _| found.mirror.is_none(), REMOVE),
    check!("sealed", sealed, REMOVE),
    check!("subjects", subjects, EDIT),
    check!("num_replicas", num_replicas, |found, expected| found.num_replicas >= expected.num_replicas, EDIT),
    check!("max_msgs_per_subject", max_messages_per_subject, EDIT),
    check!("discard", discard, EDIT),
    check!("discard_new_per_subject", discard_new_per_subject, EDIT),
    check!("no_ack", no_ack, EDIT),
    check!(
        "allow_atomic",
        allow_atomic_publish,
        |found, expected| found.allow_atomic_publish || !expected.allow_atomic_publish,
        EDIT
    ),
    check!("allow_msg_ttl", allow_message_ttl, EDIT),
    check!("allow_msg_schedules", allow_message_schedules, REMOVE),
    check!("allow_rollup_hdrs", allow_rollup, EDIT),
    check!(
        "allow_direct",
        allow_direct,
        |found, expected| found.allow_direct || !expected.allow_direct,
        EDIT
    ),
    check!("deny_purge", deny_purge, REMOVE),
    // The server would drop signals of other runs that have the same id.
    check!(
        "duplicate_window",
        duplicate_window,
        |found, expected| found.duplicate_window <= expected.duplicate_window
            || expected.duplicate_window != SHORTEST_WINDOW,
        EDIT
    ),
    // A stream without an expected age must not expire messages. Otherwise a different age is acceptable.
    check!(
        "max_age",
        max_age,
        |found, expected| found.max_age.is_zero() || !expected.max_age.is_zero(),
        EDIT
    ),
    check!("max_age", max_age, Severity::Warning),
    check!(
        "num_replicas",
        num_replicas,
        |found, expected| found.num_replicas <= expected.num_replicas,
        Severity::Warning
    ),
    // Without a configured limit, the limit depends on the room that the server had. A stream of alarms has none.
    check!(
        "max_bytes",
        max_bytes,
        |found, expected| found.max_bytes == expected.max_bytes
            || (expected.max_bytes < 0 && !expected.allow_message_schedules),
        Severity::Warning
    ),
    check!("max_msgs", max_messages, Severity::Warning),
    check!("max_msg_size", max_message_size, |found, _| found.max_message_size <= 0, Severity::Warning),
];

fn is_async(config: &Config) -> bool {
    config.persist_mode == Some(PersistenceMode::Async)
}

/// Compares an existing stream with the expected configuration, and logs warnings.
///
/// # Errors
/// `Misconfigured` for the first difference that breaks a guarantee.
pub(super) fn check(found: &Config, expected: &Config) -> Result<(), BackendError> {
    for check in CHECKS.iter().filter(|check| !(check.accepts)(found, expected)) {
        let (is, should) = ((check.shown)(found), (check.shown)(expected));
        match check.severity {
            Severity::Error(fix) => {
                let field = check.field;
                let fix = fix.instruction(&found.name, field);
                let sentence =
                    format!("stream {} has {field} = {is}, and Jetway needs {should}: {fix}", found.name);
                return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
            }
            Severity::Warning => tracing::warn!(
                stream = found.name,
                field = check.field,
                found = is,
                expected = should,
                "the stream has another value than configured, and is used as it is: change it with `nats stream edit`"
            ),
        }
    }
    Ok(())
}

impl Fix {
    fn instruction(self, stream: &str, field: &str) -> String {
        match self {
            Self::Edit => format!("change {field} with `nats stream edit {stream}`"),
            Self::Remove => format!(
                "this cannot be changed; use another namespace, or remove the stream with `nats stream rm {stream}` \
                 if its data is not needed, and start the host again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::NatsConfig,
        names::{Names, Stream},
        provision::streams::expected,
    };
    use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy, StorageType};
    use jetway_state::Namespace;
    use std::time::Duration;

    fn config(stream: Stream) -> Config {
        expected(&Names::new(Namespace::default()), &NatsConfig::default(), stream, 1, true)
    }

    fn refusal(stream: Stream, change: impl FnOnce(&mut Config)) -> Option<String> {
        let expected = config(stream);
        let mut found = expected.clone();
        change(&mut found);
        check(&found, &expected).err().map(|error| error.to_string())
    }

    #[test]
    fn expected_configurations_are_accepted() {
        for stream in Stream::OF_HOSTS.into_iter().chain(Stream::OF_STORES) {
            assert_eq!(refusal(stream, |_| {}), None, "{stream:?}");
        }
    }

    #[test]
    fn an_error_names_stream_field_values_and_fix() {
        let refusal = refusal(Stream::Tickets, |found| found.max_messages_per_subject = -1).unwrap();
        assert_eq!(
            refusal,
            "stream JETWAY_default_WORK has max_msgs_per_subject = -1, and Jetway needs 1: \
             change max_msgs_per_subject with `nats stream edit JETWAY_default_WORK`"
        );
    }

    #[test]
    fn a_difference_that_breaks_a_guarantee_is_refused() {
        type Change = (Stream, &'static str, fn(&mut Config));
        let changes: [Change; 13] = [
            (Stream::Starts, "retention", |found| found.retention = RetentionPolicy::Limits),
            (Stream::Starts, "allow_rollup_hdrs", |found| found.allow_rollup = true),
            (Stream::Starts, "allow_msg_ttl", |found| found.allow_message_ttl = true),
            (Stream::Starts, "max_age", |found| found.max_age = Duration::from_secs(60)),
            (Stream::Timers, "discard", |found| found.discard = DiscardPolicy::New),
            (Stream::Timers, "allow_msg_schedules", |found| found.allow_message_schedules = false),
            (Stream::Signals, "allow_msg_schedules", |found| found.allow_message_schedules = true),
            (Stream::Signals, "duplicate_window", |found| found.duplicate_window = Duration::from_secs(120)),
            (Stream::Runs, "storage", |found| found.storage = StorageType::Memory),
            (Stream::Runs, "num_replicas", |found| found.num_replicas = 0),
            (Stream::Runs, "allow_atomic", |found| found.allow_atomic_publish = false),
            (Stream::Runs, "deny_purge", |found| found.deny_purge = true),
            (Stream::Runs, "persist_mode", |found| found.persist_mode = Some(PersistenceMode::Async)),
        ];
        for (stream, field, change) in changes {
            let refusal = refusal(stream, change).unwrap_or_default();
            assert!(refusal.contains(&format!("has {field} = ")), "{field}: {refusal:?}");
        }
    }

    #[test]
    fn other_retention_and_size_are_accepted() {
        assert_eq!(refusal(Stream::Done, |found| found.max_age = Duration::from_secs(60)), None);
        assert_eq!(refusal(Stream::Dead, |found| found.max_age = Duration::ZERO), None);
        assert_eq!(refusal(Stream::Runs, |found| found.max_bytes = 1 << 30), None);
        assert_eq!(refusal(Stream::Runs, |found| found.num_replicas = 3), None);
        assert_eq!(refusal(Stream::Tickets, |found| found.persist_mode = None), None);
    }
}
