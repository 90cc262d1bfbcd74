//! Which policies make sense.

use super::RetryPolicy;

/// Why a retry policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPolicy {
    /// Not even one attempt.
    #[error("a retry policy of 0 attempts: the number includes the first attempt, so write 1 for no retry")]
    NoAttempts,
    /// Delays that become shorter, or that are no number.
    #[error("a retry policy with the coefficient {0}: it is at least 1, and 1 means delays of one length")]
    BadCoefficient(String),
    /// A name that is no name.
    #[error(
        "a retry policy that never retries {0:?}: write the kind of an error, or its type, such as \"BadCard\" or \"shop::BadCard\""
    )]
    BadName(String),
}

impl RetryPolicy {
    /// Checks the numbers and names of the policy.
    ///
    /// # Errors
    /// See [`BadPolicy`].
    pub fn check(&self) -> Result<(), BadPolicy> {
        if self.max_attempts == 0 {
            return Err(BadPolicy::NoAttempts);
        }
        if let Some(coefficient) = self.coefficient
            && (coefficient.is_nan() || coefficient < 1.0)
        {
            return Err(BadPolicy::BadCoefficient(coefficient.to_string()));
        }
        match self.never.iter().find(|name| !is_name(name)) {
            Some(name) => Err(BadPolicy::BadName(name.clone())),
            None => Ok(()),
        }
    }
}

/// A path of identifiers, with or without type parameters.
fn is_name(name: &str) -> bool {
    let path = name.split('<').next().unwrap_or(name);
    let is_identifier = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    path.split("::").all(is_identifier)
}
