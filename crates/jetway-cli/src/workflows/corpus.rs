//! `corpus`: reads every file below a directory and reports what is in it.
//!
//! ```text
//! scan ══▶ analyse ──▶ merge ──▶ report        ══▶ one branch for each file
//!              ┆          ▲                     ┆  where a file cannot be read as text
//!              └┄┄▶ skip ─┘
//! ```
//!
//! Input: `{"path": DIR, "top": N}`; `top` is 20 where it is left out. Output: a [`CorpusReport`].
//!
//! `DIR` is a path on the machine of the host that takes the step, so hosts on several machines need the same directory
//! under the same name.

mod analyse;
mod count;
mod merge;
mod report;
mod scan;
mod skip;

pub(crate) use report::{CorpusReport, TermCount};

use analyse::Analyse;
use jetway::{Fixed, Merge, SharedState, workflow};
use merge::MergeReports;
use report::MakeReport;
use scan::Scan;
use serde::{Deserialize, Serialize};
use skip::Skip;
use std::path::PathBuf;

/// What a run of the workflow is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorpusInput {
    /// The directory.
    pub(crate) path: PathBuf,
    /// How many terms and files the report names.
    #[serde(default = "default_top")]
    pub(crate) top: usize,
}

fn default_top() -> usize {
    20
}

/// A file below the directory, still to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileToRead {
    /// Its path below the directory.
    pub(crate) path: String,
    /// Its size when the directory was scanned.
    pub(crate) bytes: u64,
}

/// What the steps of a run share: what was asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(crate) struct CorpusContext {
    asked: SharedState<Fixed<Asked>>,
}

/// Set by `scan`, read by the other nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    root: PathBuf,
    top: usize,
}

workflow! {
    /// Reads every file below a directory and reports what is in it.
    pub(crate) struct Corpus {
        scan: Scan,
        analyse: Analyse,
        skip: Skip,
        #[gather]
        merge: MergeReports,
        report: MakeReport,
    }
    name = "corpus";
    start = scan;
    context = CorpusContext;
    edges {
        scan => [analyse];
        analyse => [merge];
        analyse on_failure => { [skip] };
        skip => [merge];
        merge => [report];
        report => {};
    }
}

/// The workflow, ready to be served.
pub(crate) fn corpus() -> Corpus {
    Corpus {
        scan: Scan {},
        analyse: Analyse {},
        skip: Skip {},
        merge: MergeReports {},
        report: MakeReport {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jetway::{Error, Workflow, WorkflowCtx};
    use std::{fs, path::Path};

    async fn report(path: &Path, top: usize) -> Result<CorpusReport, Error> {
        let ctx = WorkflowCtx::new(CorpusContext::default());
        corpus().run(&ctx, CorpusInput { path: path.to_owned(), top }).await
    }

    #[tokio::test]
    async fn every_file_is_analysed_or_skipped_with_a_reason() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("a.txt"), "one two two\n").unwrap();
        fs::write(at("sub/b.txt"), "Two three\nlines\n").unwrap();
        fs::write(at("sub/program"), b"\x7fELF\0\0").unwrap();

        let report = report(directory.path(), 2).await.unwrap();
        assert_eq!(report.path, directory.path());
        assert_eq!((report.files, report.files_analysed, report.files_skipped), (3, 2, 1));
        assert_eq!((report.bytes, report.lines, report.words, report.distinct_terms), (28, 3, 6, 4));
        let top: Vec<_> = report.top_terms.iter().map(|term| (term.term.as_str(), term.count)).collect();
        assert_eq!(top, [("two", 3), ("lines", 1)]);
        let largest: Vec<_> = report.largest_files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(largest, ["sub/b.txt", "a.txt"]);
        assert_eq!(report.skipped_by_reason["binary"], 1);
        assert_eq!(report.skipped_examples[0].path, "sub/program");
    }

    #[tokio::test]
    async fn an_empty_directory_gives_a_report_of_zeros() {
        let directory = tempfile::tempdir().unwrap();
        let empty = report(directory.path(), 20).await.unwrap();
        assert_eq!(empty, CorpusReport { path: directory.path().to_owned(), ..CorpusReport::default() });
    }

    #[tokio::test]
    async fn what_is_no_directory_fails_the_run() {
        let error = report(Path::new("/no/such/directory"), 20).await.unwrap_err();
        assert!(error.to_string().contains("cannot scan /no/such/directory"), "{error}");
    }

    #[test]
    fn the_top_is_20_where_it_is_left_out() {
        let input: CorpusInput = serde_json::from_str(r#"{"path": "/x"}"#).unwrap();
        assert_eq!(input.top, 20);
        assert!(serde_json::from_str::<CorpusInput>(r#"{"path": "/x", "tpo": 5}"#).is_err());
    }
}
