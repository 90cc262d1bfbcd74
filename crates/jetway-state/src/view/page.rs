//! An output of a run in pages: for outputs that are larger than a message may be.

use super::DoneView;
use crate::{Incarnation, RunId, run::Snapshot};
use serde::{Deserialize, Serialize};

/// The size of a page where the request names none, and the largest one, in bytes of text.
const PAGE: usize = 256 * 1024;

/// Which part of an output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputQuery {
    /// Which output, from 0, in commit order.
    pub output: usize,
    /// Where the page begins, in bytes: 0, or the `next` of the page before.
    pub offset: usize,
    /// The size of the page in bytes; `None` for the largest.
    pub limit: Option<usize>,
    /// Only if the run has this identity: pages of two runs with one id do not fit together.
    pub incarnation: Option<Incarnation>,
}

/// A part of an output. The texts of all its pages, one after the other, are the output as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPage {
    /// The run.
    pub run_id: RunId,
    /// The identity of this start of the run id.
    pub incarnation: Incarnation,
    /// The number of outputs that the run has so far.
    pub outputs: usize,
    /// Which of them this is, from 0.
    pub output: usize,
    /// Its size, in bytes of JSON.
    pub bytes: usize,
    /// Where this page begins, in bytes.
    pub offset: usize,
    /// The part of the JSON text.
    pub text: String,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<usize>,
}

/// Why there is no such page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPage {
    /// The run has no such output.
    #[error("there is no output number {output}: the run has {outputs} (the first is number 0)")]
    NoOutput {
        /// Which output was wanted.
        output: usize,
        /// How many the run has.
        outputs: usize,
    },
    /// The run id belongs to another run by now.
    #[error("the run id belongs to another start by now, {found}: read its output from offset 0")]
    OtherRun {
        /// The identity of that start.
        found: Incarnation,
    },
    /// The offset is no `next` of a page.
    #[error("offset {offset} is not the start of a page: use 0, or the `next` of the page before")]
    BadOffset {
        /// The offset.
        offset: usize,
    },
    /// The result was stored without its outputs, and the record of the run is gone.
    #[error(
        "the output is gone: it was too large for the result message, and the record of the run has expired"
    )]
    Expired,
    /// The output of the record is not JSON.
    #[error("the output of the record is not a text")]
    Corrupt,
}

impl OutputPage {
    /// A page of an output in the record of a run.
    ///
    /// # Errors
    /// See [`NoPage`].
    pub fn of_record(snapshot: &Snapshot, query: &OutputQuery) -> Result<Self, NoPage> {
        let outputs = &snapshot.outputs;
        let text = outputs.get(query.output).map(|output| std::str::from_utf8(&output.value.json));
        let text = text.transpose().map_err(|_not_utf8| NoPage::Corrupt)?;
        // A run that continues as new takes its outputs along.
        let named = query
            .incarnation
            .map(|named| if snapshot.is_called(named) { snapshot.chain_id() } else { named });
        let query = &OutputQuery { incarnation: named, ..*query };
        Self::new(snapshot.run_id.clone(), snapshot.chain_id(), outputs.len(), text, query)
    }

    /// A page of an output in a stored result.
    ///
    /// # Errors
    /// See [`NoPage`].
    pub fn of_result(done: &DoneView, query: &OutputQuery) -> Result<Self, NoPage> {
        let outputs = match &done.left_out {
            Some(left_out) => left_out.outputs,
            None => done.outputs.len(),
        };
        let text = match query.output {
            0 => done.output.as_ref(),
            other => done.outputs.get(other),
        };
        if text.is_none() && query.output < outputs {
            return Err(NoPage::Expired);
        }
        Self::new(done.run_id.clone(), done.incarnation, outputs, text.map(|json| json.get()), query)
    }

    fn new(
        run_id: RunId,
        incarnation: Incarnation,
        outputs: usize,
        text: Option<&str>,
        query: &OutputQuery,
    ) -> Result<Self, NoPage> {
        let OutputQuery { output, offset, limit, incarnation: wanted } = *query;
        if wanted.is_some_and(|wanted| wanted != incarnation) {
            return Err(NoPage::OtherRun { found: incarnation });
        }
        let text = text.ok_or(NoPage::NoOutput { output, outputs })?;
        let rest = text.get(offset..).ok_or(NoPage::BadOffset { offset })?;
        // A page has at least one character, which has at most four bytes.
        let end = rest.floor_char_boundary(limit.unwrap_or(PAGE).clamp(4, PAGE));
        Ok(Self {
            run_id,
            incarnation,
            outputs,
            output,
            bytes: text.len(),
            offset,
            text: rest[..end].to_owned(),
            next: (end < rest.len()).then_some(offset + end),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, query: OutputQuery) -> Result<OutputPage, NoPage> {
        OutputPage::new(RunId::new("r").unwrap(), Incarnation::default(), 1, Some(text), &query)
    }

    #[test]
    fn f13_the_pages_of_an_output_are_the_output() {
        let text = format!("\"{}\"", "aä€😀".repeat(100));
        let (mut found, mut offset) = (String::new(), Some(0));
        while let Some(from) = offset {
            let page =
                page(&text, OutputQuery { offset: from, limit: Some(7), ..OutputQuery::default() }).unwrap();
            assert!(!page.text.is_empty() && page.text.len() <= 7 && page.bytes == text.len());
            found.push_str(&page.text);
            offset = page.next;
        }
        assert_eq!(found, text);
    }

    #[test]
    fn f13_a_page_that_does_not_exist_is_an_error() {
        let bad = page("\"ä\"", OutputQuery { offset: 2, ..OutputQuery::default() });
        assert_eq!(bad, Err(NoPage::BadOffset { offset: 2 }));
        let other = Incarnation::from_random(1);
        let other = page("1", OutputQuery { incarnation: Some(other), ..OutputQuery::default() });
        assert_eq!(other, Err(NoPage::OtherRun { found: Incarnation::default() }));
        let none = OutputPage::new(
            RunId::new("r").unwrap(),
            Incarnation::default(),
            0,
            None,
            &OutputQuery::default(),
        );
        assert_eq!(none, Err(NoPage::NoOutput { output: 0, outputs: 0 }));
    }
}
