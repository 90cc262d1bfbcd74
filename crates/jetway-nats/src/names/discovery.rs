//! The subjects of service discovery, which the protocol for NATS services prescribes.

use super::SERVICE;

/// A question about services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiscoveryVerb {
    /// Which services are there.
    Ping,
    /// Their endpoints.
    Info,
    /// How many requests they answered.
    Stats,
}

impl DiscoveryVerb {
    pub(crate) const ALL: [Self; 3] = [Self::Ping, Self::Info, Self::Stats];

    /// The verb in the subject.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Info => "INFO",
            Self::Stats => "STATS",
        }
    }
}

/// The subjects of a question: to all services, to those with our name, and to one of them.
pub(crate) fn discovery_subjects(verb: DiscoveryVerb, id: &str) -> [String; 3] {
    let all = format!("$SRV.{}", verb.name());
    let named = format!("{all}.{SERVICE}");
    let one = format!("{named}.{id}");
    [all, named, one]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_in_three_ways() {
        let subjects = discovery_subjects(DiscoveryVerb::Ping, "7");
        assert_eq!(subjects, ["$SRV.PING", "$SRV.PING.jetway", "$SRV.PING.jetway.7"]);
    }
}
