//! The names of errors.

use jetway_state::Error;

/// Whether `name` names the error: its kind, or its type by the full path or the last parts of it.
pub(super) fn names(name: &str, error: &Error) -> bool {
    error.kind() == name || error.type_name().is_some_and(|of| is_end_of(name, of))
}

/// Whether a path ends with these parts. Type parameters do not count.
fn is_end_of(name: &str, path: &str) -> bool {
    let [name, path] = [name, path].map(|path| path.split('<').next().unwrap_or(path));
    path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with("::"))
}
