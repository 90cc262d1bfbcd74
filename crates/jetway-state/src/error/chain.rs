//! Errors of other types, with their sources.

use super::Error;
use std::{error::Error as StdError, iter::successors};

impl Error {
    /// An error of another type, for a node: `.map_err(Error::caused_by)?`. It keeps the messages of its sources and the name of its
    /// type, which a retry policy can name.
    ///
    /// The whole chain of sources is asked: if there is an [`Error::Terminal`] in it, the error is terminal, and if there is an
    /// [`Error::RetryAfter`], its time counts. (A source of an `#[error(transparent)]` variant is not in the chain.)
    ///
    /// ```
    /// use jetway_state::Error;
    ///
    /// let error = "four".parse::<u32>().map_err(Error::caused_by);
    /// assert_eq!(error.map_err(|error| error.to_string()), Err("invalid digit found in string".to_owned()));
    /// ```
    pub fn caused_by<E: StdError + 'static>(error: E) -> Self {
        of_chain(&error, std::any::type_name::<E>())
    }

    /// The same for an error whose type is not known, such as that of an `anyhow::Error`:
    /// `.map_err(|error| Error::from_chain(error.as_ref()))?`.
    pub fn from_chain(error: &(dyn StdError + 'static)) -> Self {
        of_chain(error, "")
    }

    /// The type of an error that was made by [`caused_by`](Self::caused_by).
    pub fn type_name(&self) -> Option<&str> {
        match self {
            Self::Caused { type_name, .. } => {
                Some(type_name).filter(|name| !name.is_empty()).map(String::as_str)
            }
            _ => None,
        }
    }
}

fn of_chain(error: &(dyn StdError + 'static), type_name: &str) -> Error {
    if let Some(own) = error.downcast_ref::<Error>() {
        return own.clone();
    }
    let own = || chain(Some(error)).filter_map(|error| error.downcast_ref::<Error>());
    let message = messages(error);
    if own().any(|error| matches!(error, Error::Terminal(_))) {
        return Error::Terminal(message);
    }
    match own().find_map(Error::retry_after) {
        Some(after) => Error::RetryAfter { message, after },
        None => Error::Caused { type_name: type_name.to_owned(), message },
    }
}

/// An error and its sources.
fn chain<'a>(
    error: Option<&'a (dyn StdError + 'static)>,
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(error, |error| (*error).source())
}

/// The messages of an error and its sources. Many errors repeat that of their source, which is left out then.
fn messages(error: &(dyn StdError + 'static)) -> String {
    let mut all = error.to_string();
    for source in chain(error.source()) {
        let message = source.to_string();
        if !all.ends_with(&message) {
            all = format!("{all}: {message}");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug, thiserror::Error)]
    enum PayError {
        #[error("the bank refused")]
        Refused(#[from] Error),
        #[error("no answer: {0}")]
        NoAnswer(#[source] std::io::Error),
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot charge")]
    struct Charge(#[source] PayError);

    fn terminal() -> Error {
        Error::Terminal("no such account".to_owned())
    }

    #[test]
    fn w35_what_is_terminal_anywhere_is_terminal() {
        let wrapped = Error::caused_by(Charge(PayError::from(terminal())));
        assert_eq!(wrapped, Error::Terminal("cannot charge: the bank refused: no such account".to_owned()));
        assert_eq!(Error::caused_by(terminal()), terminal());
        let after = Duration::from_secs(7);
        let later = Error::RetryAfter { message: "later".to_owned(), after };
        assert_eq!(Error::caused_by(PayError::Refused(later)).retry_after(), Some(after));
    }

    #[test]
    fn an_error_keeps_its_messages_and_its_type() {
        let error = Charge(PayError::NoAnswer(std::io::Error::other("closed")));
        let (unnamed, named) = (Error::from_chain(&error), Error::caused_by(error));
        assert_eq!(named.to_string(), "cannot charge: no answer: closed");
        assert!(named.type_name().is_some_and(|name| name.ends_with("::Charge")));
        assert_eq!((unnamed.type_name(), unnamed.kind()), (None, "error"));
    }
}
