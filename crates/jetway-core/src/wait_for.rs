//! [`WaitFor`]: the signals that a node waits for.

use crate::{clock::not_before, signal::SignalType};
use jetway_state::{
    Error,
    run::{Later, SignalWanted},
};
use std::time::{Duration, SystemTime};

/// The signals that a node waits for, as it returns them in [`Transition::WaitFor`](crate::Transition::WaitFor).
///
/// ```
/// use jetway_core::WaitFor;
/// use std::time::Duration;
///
/// let days = |days: u64| Duration::from_hours(days * 24);
/// let approval = WaitFor::signal("approval").within(days(3));
/// assert_eq!(approval.names(), ["approval"]);
/// let payment_or_not = WaitFor::first_of(["paid", "cancelled"]);
/// let both = WaitFor::all_of(["packed", "paid"]).within(days(14));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFor {
    names: Vec<String>,
    all: bool,
    until: Option<Until>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    After(Duration),
    At(SystemTime),
}

impl WaitFor {
    /// One signal of this name.
    pub fn signal(name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], all: false, until: None }
    }

    /// The first signal of any of these names. The others stay in the mailbox of the run.
    pub fn first_of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), all: false, until: None }
    }

    /// One signal of each of these names.
    pub fn all_of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { all: true, ..Self::first_of(names) }
    }

    /// With a deadline, which counts from the end of the step. It is never early. Zero takes what is there already. 100 years is
    /// the most: more fails the step with [`Error::TimeOutOfRange`].
    #[must_use]
    pub fn within(self, duration: Duration) -> Self {
        Self { until: Some(Until::After(duration)), ..self }
    }

    /// With a deadline at this time, by the clock of the server.
    #[must_use]
    pub fn until(self, time: SystemTime) -> Self {
        Self { until: Some(Until::At(time)), ..self }
    }

    /// The names of the signals.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The wait as the rules have it.
    pub(crate) fn wanted(&self) -> SignalWanted {
        let until = self.until.map(|until| match until {
            Until::After(duration) => Later::After(duration),
            Until::At(time) => Later::At(not_before(time)),
        });
        SignalWanted { names: self.names.clone(), all: self.all, until }
    }

    /// Checks that each name is that of a signal which a node of the workflow has declared.
    pub(crate) fn check(&self, declared: &[SignalType]) -> Result<(), Error> {
        if self.names.is_empty() {
            return Err(Error::Terminal("the node waits for no signal: WaitFor needs a name".to_owned()));
        }
        let is_declared = |name: &&String| declared.iter().any(|signal| signal.name() == *name);
        match self.names.iter().find(|name| !is_declared(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Terminal(format!(
                "the node waits for the signal {name:?}, which no node of the workflow declares: return its type from Node::signals"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_signals_are_waited_for() {
        let declared = [SignalType::of::<u8>("x")];
        assert_eq!(WaitFor::signal("x").check(&declared), Ok(()));
        for wait in [WaitFor::first_of(["x", "y"]), WaitFor::all_of(Vec::<String>::new())] {
            assert!(matches!(wait.check(&declared), Err(Error::Terminal(_))), "{wait:?}");
        }
    }
}
