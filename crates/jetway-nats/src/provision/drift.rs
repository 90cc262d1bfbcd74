//! What an existing stream may differ in, and what not.

use async_nats::jetstream::stream::{Config, PersistenceMode};
use jetway_engine::backend::{BackendError, BackendErrorKind};

/// One thing to look at.
struct Check {
    /// The field, as `nats stream info --json` shows it.
    field: &'static str,
    /// Whether what was found does as well as what is wanted.
    fits: fn(&Config, &Config) -> bool,
    shown: fn(&Config) -> String,
    weight: Weight,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// A promise would be broken. `nats stream edit` mends it.
    Breaks(Mend),
    /// Data is kept for another time, or takes another place. Taken as it is.
    Differs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mend {
    /// The server allows the change.
    Edit,
    /// It does not.
    Remove,
}

macro_rules! check {
    ($field:literal, $value:ident, $weight:expr) => {
        check!($field, $value, |found, wanted| found.$value == wanted.$value, $weight)
    };
    ($field:literal, $value:ident, $fits:expr, $weight:expr) => {
        Check { field: $field, fits: $fits, shown: |config| format!("{:?}", config.$value), weight: $weight }
    };
}

const EDIT: Weight = Weight::Breaks(Mend::Edit);
const REMOVE: Weight = Weight::Breaks(Mend::Remove);

/// In the order of their weight.
const CHECKS: &[Check] = &[
    check!("retention", retention, REMOVE),
    check!("storage", storage, REMOVE),
    check!("persist_mode", persist_mode, |found, wanted| !is_lazy(found) || is_lazy(wanted), REMOVE),
    check!("mirror", mirror, |found, _| found.mirror.is_none(), REMOVE),
    check!("sealed", sealed, REMOVE),
    check!("subjects", subjects, EDIT),
    check!("num_replicas", num_replicas, |found, wanted| found.num_replicas >= wanted.num_replicas, EDIT),
    check!("max_msgs_per_subject", max_messages_per_subject, EDIT),
    check!("discard", discard, EDIT),
    check!("discard_new_per_subject", discard_new_per_subject, EDIT),
    check!("no_ack", no_ack, EDIT),
    check!(
        "allow_atomic",
        allow_atomic_publish,
        |found, wanted| found.allow_atomic_publish || !wanted.allow_atomic_publish,
        EDIT
    ),
    check!("allow_msg_ttl", allow_message_ttl, EDIT),
    check!("allow_msg_schedules", allow_message_schedules, REMOVE),
    check!("allow_rollup_hdrs", allow_rollup, EDIT),
    check!("allow_direct", allow_direct, |found, wanted| found.allow_direct || !wanted.allow_direct, EDIT),
    check!("deny_purge", deny_purge, REMOVE),
    // What is to stay must not expire. What may expire may do so earlier or later.
    check!("max_age", max_age, |found, wanted| found.max_age.is_zero() || !wanted.max_age.is_zero(), EDIT),
    check!("max_age", max_age, Weight::Differs),
    check!(
        "num_replicas",
        num_replicas,
        |found, wanted| found.num_replicas <= wanted.num_replicas,
        Weight::Differs
    ),
    check!("max_bytes", max_bytes, Weight::Differs),
    check!("max_msgs", max_messages, Weight::Differs),
    check!("max_msg_size", max_message_size, |found, _| found.max_message_size <= 0, Weight::Differs),
];

fn is_lazy(config: &Config) -> bool {
    config.persist_mode == Some(PersistenceMode::Async)
}

/// Compares an existing stream with what is wanted.
///
/// # Errors
/// `Misconfigured` for the first difference that breaks a promise. The others are warned of.
pub(super) fn check(found: &Config, wanted: &Config) -> Result<(), BackendError> {
    for check in CHECKS.iter().filter(|check| !(check.fits)(found, wanted)) {
        let (is, should) = ((check.shown)(found), (check.shown)(wanted));
        match check.weight {
            Weight::Breaks(mend) => {
                let field = check.field;
                let fix = mend.words(&found.name, field);
                let sentence =
                    format!("stream {} has {field} = {is}, and Jetway needs {should}: {fix}", found.name);
                return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
            }
            Weight::Differs => tracing::warn!(
                stream = found.name,
                field = check.field,
                found = is,
                wanted = should,
                "the stream was set up with another value, which is taken as it is: `nats stream edit` changes it"
            ),
        }
    }
    Ok(())
}

impl Mend {
    fn words(self, stream: &str, field: &str) -> String {
        match self {
            Self::Edit => format!("change {field} with `nats stream edit {stream}`"),
            Self::Remove => format!(
                "this cannot be changed; use another namespace, or remove it with `nats stream rm {stream}` \
                 when nothing of it is needed, and start the host again"
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
        provision::wanted,
    };
    use async_nats::jetstream::stream::{RetentionPolicy, StorageType};
    use jetway_state::Namespace;
    use std::time::Duration;

    fn config(stream: Stream) -> Config {
        wanted(&Names::new(Namespace::default()), &NatsConfig::default(), stream, true)
    }

    fn refusal(stream: Stream, change: impl FnOnce(&mut Config)) -> Option<String> {
        let wanted = config(stream);
        let mut found = wanted.clone();
        change(&mut found);
        check(&found, &wanted).err().map(|error| error.to_string())
    }

    #[test]
    fn what_is_wanted_fits() {
        for stream in Stream::ALL.into_iter().chain(Stream::STORES) {
            assert_eq!(refusal(stream, |_| {}), None, "{stream:?}");
        }
    }

    #[test]
    fn a_refusal_names_stream_field_values_and_fix() {
        let refusal = refusal(Stream::Tickets, |found| found.max_messages_per_subject = -1).unwrap();
        assert_eq!(
            refusal,
            "stream JETWAY_default_WORK has max_msgs_per_subject = -1, and Jetway needs 1: \
             change max_msgs_per_subject with `nats stream edit JETWAY_default_WORK`"
        );
    }

    #[test]
    fn what_breaks_a_promise_is_refused() {
        type Change = (Stream, &'static str, fn(&mut Config));
        let changes: [Change; 9] = [
            (Stream::Starts, "retention", |found| found.retention = RetentionPolicy::Limits),
            (Stream::Starts, "allow_rollup_hdrs", |found| found.allow_rollup = true),
            (Stream::Starts, "allow_msg_ttl", |found| found.allow_message_ttl = true),
            (Stream::Starts, "max_age", |found| found.max_age = Duration::from_secs(60)),
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
    fn what_only_keeps_data_otherwise_is_taken() {
        assert_eq!(refusal(Stream::Done, |found| found.max_age = Duration::from_secs(60)), None);
        assert_eq!(refusal(Stream::Dead, |found| found.max_age = Duration::ZERO), None);
        assert_eq!(refusal(Stream::Runs, |found| found.max_bytes = 1 << 30), None);
        assert_eq!(refusal(Stream::Runs, |found| found.num_replicas = 3), None);
        assert_eq!(refusal(Stream::Tickets, |found| found.persist_mode = None), None);
    }
}
