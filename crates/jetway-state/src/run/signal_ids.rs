//! Ids of signals, and which of them a run remembers.
//!
//! A sender chooses the id of a signal, so that it is applied once however often it is sent. Jetway gives an id to each other signal that
//! it may store twice itself. Signals without an id of their sender are many: the ids that Jetway gives take no place of the ids that
//! senders have chosen.

use super::mailbox::Mailbox;
use sha2::{Digest, Sha256};

/// Of how many signals of each kind the ids are remembered.
const REMEMBERED_IDS: usize = 256;

/// What the ids begin with that Jetway gives.
pub const GIVEN_SIGNAL_ID: &str = "jetway-";

/// The bit of a hash that tells the ids that Jetway has given from those of senders.
const GIVEN: u64 = 1 << 63;

/// The hash of the id of a signal. It tells who has chosen the id.
pub fn signal_id_hash(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    if id.starts_with(GIVEN_SIGNAL_ID) { hash | GIVEN } else { hash & !GIVEN }
}

impl Mailbox {
    /// Whether a signal with this hash of its id was applied, as far as it is remembered.
    pub fn knows(&self, id: u64) -> bool {
        self.recent.contains(&id)
    }

    pub(super) fn remember(&mut self, id: Option<u64>) {
        let Some(id) = id else { return };
        let is_same_kind = |other: &u64| other & GIVEN == id & GIVEN;
        if self.recent.iter().copied().filter(|other| is_same_kind(other)).count() >= REMEMBERED_IDS
            && let Some(oldest) = self.recent.iter().position(is_same_kind)
        {
            self.recent.remove(oldest);
        }
        self.recent.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_remembered_up_to_a_limit() {
        let mut mailbox = Mailbox::default();
        for id in 0..257 {
            mailbox.remember(Some(id));
        }
        mailbox.remember(None);
        assert_eq!((mailbox.recent.len(), mailbox.knows(0), mailbox.knows(1)), (256, false, true));
        assert_ne!(signal_id_hash("a"), signal_id_hash("b"));
    }

    #[test]
    fn w42_ids_that_jetway_gives_displace_none_of_senders() {
        let mut mailbox = Mailbox::default();
        let payment = signal_id_hash("pay-1");
        mailbox.remember(Some(payment));
        for number in 0..1000 {
            mailbox.remember(Some(signal_id_hash(&format!("{GIVEN_SIGNAL_ID}{number}"))));
        }
        assert!(mailbox.knows(payment));
        let known = |number| mailbox.knows(signal_id_hash(&format!("{GIVEN_SIGNAL_ID}{number}")));
        assert_eq!((known(999), known(744), known(743)), (true, true, false));
        assert_eq!(mailbox.recent.len(), 257);
    }
}
