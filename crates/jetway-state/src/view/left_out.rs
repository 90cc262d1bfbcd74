//! Results that are too large for an answer: their outputs are left out, and the answer says so.

use super::DoneView;
use crate::json::{Json, shortened};
use serde::{Deserialize, Serialize};

/// The part of the first output that is shown, in bytes.
const SHOWN: usize = 200;

/// The outputs of a run that an answer leaves out because they are too large for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The number of outputs of the run.
    pub outputs: usize,
    /// Their size, in bytes of JSON.
    pub bytes: usize,
    /// The start of the first output.
    pub starts_with: String,
    /// How to get them.
    pub hint: String,
}

impl DoneView {
    /// The same result with at most `max` bytes of outputs. If they are larger, `outputs` is empty, `output` is there if it
    /// fits alone, and `left_out` says how to get them.
    #[must_use]
    pub fn within(mut self, max: usize) -> Self {
        let first = self.output.as_ref().map_or(0, |output| output.get().len());
        let all: usize = self.outputs.iter().map(|output| output.get().len()).sum();
        if first + all <= max || self.left_out.is_some() && first <= max {
            return self;
        }
        let outputs = std::mem::take(&mut self.outputs).len();
        let starts_with = self.output.as_ref().map_or_else(String::new, start_of);
        if first > max {
            self.output = None;
        }
        let (workflow, run) = (&self.workflow, &self.run_id);
        let hint = format!(
            "too large for this answer: get it with `jetway result {workflow} {run}`, or in pages from the API's method `output`"
        );
        self.left_out.get_or_insert(LeftOut { outputs, bytes: all, starts_with, hint });
        self
    }

    /// The bytes of its outputs.
    pub fn output_bytes(&self) -> usize {
        self.output.iter().chain(&self.outputs).map(|output| output.get().len()).sum()
    }
}

fn start_of(output: &Json) -> String {
    shortened(output.get(), SHOWN).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(outputs: &[&str]) -> DoneView {
        serde_json::from_value(serde_json::json!({
            "run_id": "r", "incarnation": "0000000000000000", "workflow": "w", "status": "completed",
            "output": outputs.first(), "outputs": outputs, "error": null, "started_at": "", "finished_at": null, "steps": 1,
        }))
        .unwrap()
    }

    #[test]
    fn f3_an_output_that_is_null_is_an_output() {
        let mut null: serde_json::Value = serde_json::to_value(done(&["x"])).unwrap();
        (null["output"], null["outputs"]) =
            (serde_json::Value::Null, serde_json::json!([serde_json::Value::Null]));
        let read: DoneView = serde_json::from_value(null).unwrap();
        assert_eq!(read.output.as_ref().map(Json::get), Some("null"));
        assert_eq!(done(&[]).output, None);
    }

    #[test]
    fn f13_what_is_too_large_is_left_out_with_a_hint() {
        let large = "x".repeat(998);
        let whole = done(&[&large, "y"]);
        assert_eq!(whole.clone().within(2003), whole);
        let first = whole.clone().within(2000);
        assert_eq!((&first.output, first.outputs.len()), (&whole.output, 0));
        let none = first.within(999);
        assert_eq!((&none.output, none.outputs.len()), (&None, 0));
        let left_out = none.clone().left_out.unwrap();
        assert_eq!((left_out.outputs, left_out.bytes), (2, 1003));
        assert!(left_out.starts_with.contains("xxx… (the first 200 of 1000 bytes)"), "{left_out:?}");
        assert!(left_out.hint.contains("`jetway result w r`"), "{left_out:?}");
        assert_eq!(none.clone().within(10), none);
    }
}
