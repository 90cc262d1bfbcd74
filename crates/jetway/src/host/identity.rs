//! The name of a host among those that are alive.

use std::env;
use uuid::Uuid;

/// Unique for the process, and telling people where it runs: the machine's name, the process id, a random number.
pub(super) fn host_id() -> String {
    let machine = env::var("HOSTNAME").unwrap_or_default();
    let random = Uuid::new_v4().simple().to_string();
    format!("{}-{}-{}", tidy(&machine), std::process::id(), &random[..8])
}

/// The first characters that a name may have.
fn tidy(machine: &str) -> String {
    let fit = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    let name: String = machine.chars().take_while(|c| *c != '.').filter(fit).take(40).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_a_name_and_never_the_same() {
        let (one, other) = (host_id(), host_id());
        assert_ne!(one, other);
        assert!(
            one.len() <= 64 && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "{one}"
        );
    }

    #[test]
    fn the_machines_name_is_cut_to_what_fits() {
        assert_eq!(tidy("node-1.example.com"), "node-1");
        assert_eq!(tidy("\u{e4}b c"), "bc");
        assert_eq!(tidy(""), "host");
        assert_eq!(tidy(&"x".repeat(100)).len(), 40);
    }
}
