//! Holding what was recorded against what must be.

mod act;
mod run;

pub use act::{Evidence, Finding, Judged};
pub use run::{Observed, judge};

use serde::Serialize;
use std::fmt;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which promise is broken.
    pub kind: Kind,
    /// What was found, in words.
    pub what: String,
}

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run, a step or an output is not there.
    Lost,
    /// A step or an output is there more than once.
    Doubled,
    /// A status, an output, a context or a name is not what it must be.
    Wrong,
    /// A run does not end.
    Stuck,
    /// Something is left that belongs to nobody: a child run, a ticket, a chunk.
    Orphaned,
    /// An item had no ticket although nobody had taken it away: only the sweep found it.
    Stranded,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Lost, Self::Doubled, Self::Wrong, Self::Stuck, Self::Orphaned, Self::Stranded];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Wrong => "wrong",
            Self::Stuck => "stuck",
            Self::Orphaned => "orphaned",
            Self::Stranded => "stranded",
        }
    }
}

impl Violation {
    /// A violation.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.what)
    }
}
