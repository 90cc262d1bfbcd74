//! Values that are a file, or the secret that such a file holds.
//!
//! A value of the environment often has the wrong one of the two, or a newline at its end. It must not become the name of a
//! file that an error shows.

use crate::config::{NatsAuth, Secret, is_seed, may_be_file};
use std::path::PathBuf;

/// The login of a seed, of the text that holds one, or of a file. `None` if the value is a secret and none of these.
pub(super) fn nkey(value: &Secret) -> Option<NatsAuth> {
    let text = unquoted(value.expose());
    // The text of a file has a frame around its seed.
    if text.lines().any(|line| is_seed(line.trim())) {
        return Some(NatsAuth::NKey(Secret::from(text)));
    }
    file(text).map(NatsAuth::NKeyFile)
}

/// The login of the text of a `.creds` file, or of the file. `None` if the value is a secret and none of these.
pub(super) fn creds(value: &Secret) -> Option<NatsAuth> {
    let text = unquoted(value.expose());
    if text.contains("-----BEGIN") && text.lines().any(|line| is_seed(line.trim())) {
        return Some(NatsAuth::Credentials(Secret::from(text)));
    }
    file(text).map(NatsAuth::CredentialsFile)
}

fn file(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text)).filter(|path| may_be_file(path))
}

/// The text without the white space and the quotes around it, as a file of variables or a mounted secret has them.
fn unquoted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
}
