//! Hosts with a defect: each breaks one promise, so that tests can show that the verifier finds it.
//!
//! A defect is a decorator of the backend, or of the context. The code of hosts knows nothing of it. Only with the feature
//! `defects`.

mod backend;
mod early_effects;
mod records;

use crate::{Error, fleet::nats_config, interpreter, serve::host};
use backend::DefectiveCalls;
use jetway::{Namespace, SystemClock};
use jetway_testing::interceptor::Intercepted;
use std::{path::Path, str::FromStr, sync::Arc};

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// A ticket is acked when it is delivered, before anything is committed under it.
    AckBeforeCommit,
    /// Tickets and results are published, and chunks are removed, before the compare-and-swap, which may then fail.
    EffectsBeforeCommit,
    /// A commit that met a conflict is reported as written.
    ForgottenConflict,
    /// On a conflict, whole contexts are merged, instead of re-applying the changes of the step.
    MergeInsteadOfRebase,
    /// A host takes the time from its machine, and judges the stamps of the server by it.
    OwnClock,
    /// The sweep sees no run, so that items without a ticket never get one.
    NoSweep,
    /// An alarm rings when it is armed, and whoever gets its ticket takes its item for due.
    EarlyAlarms,
    /// Alarms are never armed.
    NoAlarms,
    /// A host forgets which signals are applied to a run.
    RepeatedSignals,
    /// A host that applies a signal does not look for those that are stored before it.
    SkippedSignals,
    /// A run that is cancelled has no clean-up.
    NoCleanUp,
    /// A host takes a run that is being cancelled for one that is running.
    ForgottenCancel,
    /// A host takes a run with a deadline for one without.
    ForgottenDeadlines,
    /// The first ticket of a run that has continued as new is never published, neither after the commit nor later.
    NoTicketAnew,
}

impl Defect {
    /// All defects.
    pub const ALL: [Self; 14] = [
        Self::AckBeforeCommit,
        Self::EffectsBeforeCommit,
        Self::ForgottenConflict,
        Self::MergeInsteadOfRebase,
        Self::OwnClock,
        Self::NoSweep,
        Self::EarlyAlarms,
        Self::NoAlarms,
        Self::RepeatedSignals,
        Self::SkippedSignals,
        Self::NoCleanUp,
        Self::ForgottenCancel,
        Self::ForgottenDeadlines,
        Self::NoTicketAnew,
    ];

    /// The name on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AckBeforeCommit => "ack-before-commit",
            Self::EffectsBeforeCommit => "effects-before-commit",
            Self::ForgottenConflict => "forgotten-conflict",
            Self::MergeInsteadOfRebase => "merge-instead-of-rebase",
            Self::OwnClock => "own-clock",
            Self::NoSweep => "no-sweep",
            Self::EarlyAlarms => "early-alarms",
            Self::NoAlarms => "no-alarms",
            Self::RepeatedSignals => "repeated-signals",
            Self::SkippedSignals => "skipped-signals",
            Self::NoCleanUp => "no-clean-up",
            Self::ForgottenCancel => "forgotten-cancel",
            Self::ForgottenDeadlines => "forgotten-deadlines",
            Self::NoTicketAnew => "no-ticket-anew",
        }
    }
}

/// There is no defect with this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown defect {0:?}: use one of {known}", known = Defect::ALL.map(Defect::as_str).join(", "))]
pub struct UnknownDefect(String);

impl FromStr for Defect {
    type Err = UnknownDefect;

    fn from_str(name: &str) -> Result<Self, UnknownDefect> {
        let defect = Self::ALL.into_iter().find(|defect| defect.as_str() == name);
        defect.ok_or_else(|| UnknownDefect(name.to_owned()))
    }
}

/// As [`serve`](crate::serve), with a defect.
///
/// # Errors
/// As [`serve`](crate::serve).
pub async fn serve_with(
    defect: Defect,
    url: &str,
    namespace: Namespace,
    journal: &Path,
) -> Result<(), Error> {
    if defect == Defect::MergeInsteadOfRebase {
        interpreter::merge_instead_of_rebase();
    }
    let mut builder = host(url, namespace.clone(), journal)?;
    if defect == Defect::OwnClock {
        let mut config = nats_config(url, namespace);
        config.clock = Some(Arc::new(SystemClock));
        builder = builder.nats_config(config);
    }
    let host = builder.decorate_backend(move |inner| Arc::new(Intercepted(DefectiveCalls { inner, defect })));
    Ok(host.build().await?.run().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for defect in Defect::ALL {
            assert_eq!(defect.as_str().parse(), Ok(defect));
        }
        let unknown = "no-swep".parse::<Defect>().unwrap_err().to_string();
        assert!(unknown.contains("\"no-swep\"") && unknown.contains(", no-sweep"), "{unknown}");
    }
}
