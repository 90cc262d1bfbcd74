//! Delivery information: what the reply subject of a delivered message says about it.

use crate::names::ACKNOWLEDGEMENTS;

/// Delivery information, parsed from the reply subject of a message:
/// `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>[...]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryInfo {
    /// How many times the message was delivered, from 1.
    pub(crate) delivered: u32,
    /// Its sequence in the stream.
    pub(crate) sequence: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(crate) published: u64,
}

impl DeliveryInfo {
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix(ACKNOWLEDGEMENTS)?;
        // The newer format starts with domain and account.
        let skipped = if rest.split('.').count() >= 9 { 4 } else { 2 };
        let mut tokens = rest.split('.').skip(skipped);
        let delivered = tokens.next()?.parse().ok()?;
        let sequence = tokens.next()?.parse().ok()?;
        let published = tokens.nth(1)?.parse().ok()?;
        Some(Self { delivered, sequence, published })
    }

    /// The same, if a consumer of ours delivered the message. An acknowledgement goes to the reply subject, so it must not be
    /// that of another consumer.
    pub(crate) fn parse_of(reply: &str, stream: &str, consumer: &str) -> Option<Self> {
        let info = Self::parse(reply)?;
        let tokens: Vec<&str> = reply.split('.').collect();
        let at = if tokens.len() >= 11 { 4 } else { 2 };
        (tokens.get(at) == Some(&stream) && tokens.get(at + 1) == Some(&consumer)).then_some(info)
    }

    /// When it was stored, in milliseconds since 1970.
    pub(crate) fn published_millis(&self) -> u64 {
        self.published / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_parsed() {
        let delivery = DeliveryInfo { delivered: 3, sequence: 100, published: 1_790_230_470_084_404_000 };
        for reply in [
            "$JS.ACK.S.work_a.3.100.7.1790230470084404000.42",
            "$JS.ACK._.szMpdrwD.S.work_a.3.100.7.1790230470084404000.42",
            "$JS.ACK.hub.szMpdrwD.S.work_a.3.100.7.1790230470084404000.42.random",
        ] {
            assert_eq!(DeliveryInfo::parse(reply), Some(delivery), "{reply}");
        }
        assert_eq!(delivery.published_millis(), 1_790_230_470_084);
    }

    #[test]
    fn c1_a_delivery_of_another_consumer_is_none_of_ours() {
        for reply in [
            "$JS.ACK.S.work_a.3.100.7.1790230470084404000.42",
            "$JS.ACK._.szMpdrwD.S.work_a.3.100.7.1790230470084404000.42",
            "$JS.ACK.hub.szMpdrwD.S.work_a.3.100.7.1790230470084404000.42.random",
        ] {
            assert!(DeliveryInfo::parse_of(reply, "S", "work_a").is_some(), "{reply}");
            assert!(DeliveryInfo::parse_of(reply, "S", "work_b").is_none(), "{reply}");
            assert!(DeliveryInfo::parse_of(reply, "T", "work_a").is_none(), "{reply}");
        }
    }

    #[test]
    fn other_subjects_are_not_parsed() {
        for reply in ["", "_INBOX.a.b", "$JS.ACK.S.c.1.2", "$JS.ACK.S.c.x.100.7.1.42"] {
            assert_eq!(DeliveryInfo::parse(reply), None, "{reply}");
        }
    }
}
