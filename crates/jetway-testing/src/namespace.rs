//! Namespaces that keep tests apart on a shared server.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::SystemTime;

use data_encoding::BASE32_DNSSEC;

/// The longest label that fits: a namespace has 32 characters at most, and the unique part takes 21.
const LABEL_LENGTH: usize = 11;

/// A namespace that no other call has returned, in this process or in another: the label in short form and a part that
/// is unique by process id, time and a counter. It always matches `[A-Za-z0-9_-]{1,32}`.
///
/// ```
/// let namespace = jetway_testing::unique_namespace("fan out");
/// assert!(namespace.starts_with("fan-out-"), "{namespace}");
/// ```
pub fn unique_namespace(label: &str) -> String {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    namespace(label, std::process::id(), u64::try_from(now.as_millis()).unwrap_or(u64::MAX), call)
}

fn namespace(label: &str, process: u32, millis: u64, call: u16) -> String {
    // 48 bits of milliseconds last for thousands of years, and 12 bytes are 20 characters.
    let mut unique = [0; 12];
    unique[..4].copy_from_slice(&process.to_be_bytes());
    unique[4..10].copy_from_slice(&millis.to_be_bytes()[2..]);
    unique[10..].copy_from_slice(&call.to_be_bytes());
    format!("{}-{}", short(label), BASE32_DNSSEC.encode(&unique))
}

fn short(label: &str) -> String {
    let words = label.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let label: String = words.collect::<Vec<_>>().join("-").chars().take(LABEL_LENGTH).collect();
    match label.trim_end_matches('-') {
        "" => "test".to_owned(),
        label => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_valid(namespace: &str) -> bool {
        (1..=32).contains(&namespace.len())
            && namespace.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    #[test]
    fn any_label_gives_a_valid_namespace() {
        for label in
            ["", "a", "chain", "a label that is much longer than there is room", "übung/1.2*>", "__-__"]
        {
            let namespace = unique_namespace(label);
            assert!(is_valid(&namespace), "{label:?} gives {namespace:?}");
        }
    }

    #[test]
    fn the_label_can_be_seen() {
        assert!(unique_namespace("fan_out").starts_with("fan_out-"));
        assert!(unique_namespace("retry: back-off").starts_with("retry-back-"));
        assert!(unique_namespace("").starts_with("test-"));
    }

    #[test]
    fn process_time_and_counter_all_count() {
        let first = namespace("x", 1, 1, 1);
        let others = [namespace("x", 2, 1, 1), namespace("x", 1, 2, 1), namespace("x", 1, 1, 2)];
        assert!(!others.contains(&first));
        assert_eq!(others.iter().collect::<HashSet<_>>().len(), others.len());
    }

    #[test]
    fn calls_of_many_threads_are_all_different() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| unique_namespace("t")).collect::<Vec<_>>()))
            .collect();
        let all: HashSet<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 4000);
    }
}
