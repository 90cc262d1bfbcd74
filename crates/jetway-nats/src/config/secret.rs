//! A text that is never shown.

use std::{fmt, path::Path};

/// The length of the seed of an nkey, in characters.
const SEED_LENGTH: usize = 58;

/// A password, token or key. Its `Debug` and `Display` show a placeholder, so that no error, log or output contains it.
///
/// ```
/// use jetway_nats::Secret;
///
/// let password = Secret::from("hunter2");
/// assert_eq!(format!("{password} {password:?}"), "[secret] [secret]");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a text that should be the name of a file looks like what such a file holds: it has several lines or the frame
    /// of a key, or contains the most of a seed, in upper or lower case. Such a text does not belong into a message.
    ///
    /// ```
    /// use jetway_nats::Secret;
    ///
    /// assert!(Secret::looks_like("-----BEGIN PRIVATE KEY-----"));
    /// assert!(!Secret::looks_like("/etc/nats/ann.creds"));
    /// ```
    pub fn looks_like(text: &str) -> bool {
        let text = text.trim();
        text.contains("-----BEGIN")
            || text.contains(['\n', '\r'])
            || has_most_of_a_seed(text)
            || has_jwt(text)
    }

    /// The name of a file, for a message. What [looks like](Self::looks_like) a secret and is no file is not shown.
    ///
    /// ```
    /// use jetway_nats::Secret;
    ///
    /// assert_eq!(Secret::path_to_show("/etc/nats/ann.creds".as_ref()), "/etc/nats/ann.creds");
    /// assert_eq!(Secret::path_to_show("-----BEGIN PRIVATE KEY-----".as_ref()), "[secret]");
    /// ```
    pub fn path_to_show(path: &Path) -> String {
        let name = path.display().to_string();
        if may_be_file(path) { name } else { Self(name).to_string() }
    }
}

/// Whether the value names a file, or could do so without being a secret.
pub(crate) fn may_be_file(path: &Path) -> bool {
    !Secret::looks_like(&path.to_string_lossy()) || path.is_file()
}

/// Whether a line is the seed of an nkey, of whatever kind.
pub(crate) fn is_seed(line: &str) -> bool {
    line.len() == SEED_LENGTH
        && line.starts_with('S')
        && line.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether there is a piece of base32, in any case, that goes on for the most of a seed.
fn has_most_of_a_seed(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let start = word.find(['S', 's']).unwrap_or(word.len());
        word.len() - start >= 42
    })
}

/// Whether there is the head of a JWT. In base64 it is `{"`.
fn has_jwt(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.starts_with("eyJ") && word.len() >= 20)
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
