//! The subjects of events, which nobody keeps.

use super::{Kind, Names};
use jetway_state::WorkflowName;

/// The event that a run is cancelled.
const CANCEL: &str = "cancel";

impl Names {
    /// A run of a workflow is cancelled: `jetway.ns.event.<workflow>.cancel`
    pub(crate) fn cancelled(&self, workflow: &str) -> String {
        self.subject(Kind::Event, &[workflow, CANCEL])
    }

    /// The same of all workflows.
    pub(crate) fn all_cancelled(&self) -> String {
        self.cancelled("*")
    }

    /// The workflow of such a subject.
    pub(crate) fn workflow_of_cancelled(&self, subject: &str) -> Option<WorkflowName> {
        let [workflow, event] = self.tokens(Kind::Event, subject)?;
        WorkflowName::new(workflow).ok().filter(|_| event == CANCEL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway_state::Namespace;

    #[test]
    fn a_cancelled_run_is_told_by_workflow() {
        let names = Names::new(Namespace::new("ns").unwrap());
        let subject = names.cancelled("pay");
        assert_eq!(subject, "jetway.ns.event.pay.cancel");
        assert_eq!(names.workflow_of_cancelled(&subject).unwrap().as_str(), "pay");
        assert_eq!(names.all_cancelled(), "jetway.ns.event.*.cancel");
        for other in ["jetway.ns.event.pay.other", "jetway.ns.event.pay", "jetway.ns2.event.pay.cancel"] {
            assert_eq!(names.workflow_of_cancelled(other), None, "{other}");
        }
    }
}
