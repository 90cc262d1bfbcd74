//! The name of a host.

use std::env;
use uuid::Uuid;

/// A unique name: the machine name, the process id and a random number.
pub(super) fn host_id() -> String {
    let machine = env::var("HOSTNAME").unwrap_or_default();
    let random = Uuid::new_v4().simple().to_string();
    format!("{}-{}-{}", sanitize(&machine), std::process::id(), &random[..8])
}

/// The machine name without its domain, reduced to the allowed characters.
fn sanitize(machine: &str) -> String {
    let fit = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    let name: String = machine.chars().take_while(|c| *c != '.').filter(fit).take(40).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_a_valid_name_and_unique() {
        let (one, other) = (host_id(), host_id());
        assert_ne!(one, other);
        assert!(
            one.len() <= 64 && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "{one}"
        );
    }

    #[test]
    fn the_machine_name_is_sanitized() {
        assert_eq!(sanitize("node-1.example.com"), "node-1");
        assert_eq!(sanitize("\u{e4}b c"), "bc");
        assert_eq!(sanitize(""), "host");
        assert_eq!(sanitize(&"x".repeat(100)).len(), 40);
    }
}
