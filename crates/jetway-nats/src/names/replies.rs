//! The subjects to which a host may send an answer.
//!
//! The server does not check whether a client may publish to the reply subject that its request names, and a host may
//! publish nearly everywhere. So a host answers inboxes only.

use jetway_engine::backend::{BackendError, BackendErrorKind};

/// The default prefix of inboxes, of all client libraries.
pub(crate) const INBOX: &str = "_INBOX";
/// The prefix of the reply subjects that the server makes for requests through a service import.
pub(super) const SERVICE_IMPORT: &str = "_R_";
/// What no prefix may begin with: the data of Jetway, and the subjects on which a server acts.
const RESERVED: [&str; 2] = ["$", "jetway"];

/// The prefixes of reply subjects.
#[derive(Debug, Clone)]
pub(crate) struct ReplyPrefixes(Vec<String>);

impl ReplyPrefixes {
    /// The default prefixes, the prefix of the own inboxes, and those that are configured.
    ///
    /// # Errors
    /// `Misconfigured` if a prefix is no subject, or covers subjects of Jetway or of the server.
    pub(crate) fn new(own: &str, configured: &[String]) -> Result<Self, BackendError> {
        let own = ("inbox_prefix", own);
        let given = configured.iter().map(|prefix| ("reply_prefixes", prefix.as_str()));
        let mut prefixes = vec![format!("{INBOX}."), format!("{SERVICE_IMPORT}.")];
        for (setting, prefix) in std::iter::once(own).chain(given) {
            let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
            let first = prefix.split('.').next().unwrap_or_default();
            let reserved = first.starts_with(RESERVED[0]) || first == RESERVED[1];
            if reserved || !is_subject(prefix) {
                let sentence = format!(
                    "invalid prefix {prefix:?} in {setting}: use one for inboxes alone, such as `_INBOX_team`"
                );
                return Err(BackendError::new(BackendErrorKind::Misconfigured, sentence));
            }
            prefixes.push(format!("{prefix}."));
        }
        Ok(Self(prefixes))
    }

    /// Whether an answer may be sent to this subject.
    pub(crate) fn allow(&self, reply: &str) -> bool {
        let is_below = |prefix: &String| reply.strip_prefix(prefix.as_str()).is_some_and(is_subject);
        self.0.iter().any(is_below)
    }
}

/// Whether this is a subject without wildcards.
fn is_subject(text: &str) -> bool {
    text.split('.').all(|token| super::subject_token("the token", token).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(own: &str, configured: &[&str]) -> Result<ReplyPrefixes, BackendError> {
        ReplyPrefixes::new(own, &configured.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn inboxes_alone_are_allowed() {
        let allowed = prefixes("_INBOX_host", &["answers", "a.b."]).unwrap();
        for inbox in ["_INBOX.a", "_INBOX.a.b", "_R_.a.b", "_INBOX_host.x", "answers.x", "a.b.c"] {
            assert!(allowed.allow(inbox), "{inbox}");
        }
        for other in [
            "",
            "_INBOX",
            "_INBOX.",
            "_INBOX.a.",
            "_INBOX..a",
            "_INBOX.*",
            "_INBOX.a.>",
            "_INBOXES.a",
            "_R_",
            "a.bc",
            "answer",
            "$JS.API.STREAM.PURGE.a",
            "$KV.a.b",
            "jetway.ns.start.a",
        ] {
            assert!(!allowed.allow(other), "{other}");
        }
    }

    #[test]
    fn a_prefix_of_data_is_refused() {
        for bad in ["", ".", "$JS", "$KV.a", "jetway", "jetway.a", "*", "a.>", "a b", "a..b"] {
            assert!(prefixes("_INBOX", &[bad]).is_err(), "{bad}");
            assert!(prefixes(bad, &[]).is_err(), "{bad}");
        }
    }
}
