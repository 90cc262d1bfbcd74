//! `corpus`: counts lines, words and terms of every file below a directory.
//!
//! ```text
//! scan ══▶ analyse ──▶ merge ──▶ report        ══▶ one branch per file
//!              ┆          ▲                     ┆  if the file cannot be read as text
//!              └┄┄▶ skip ─┘
//! ```
//!
//! Input: `{"path": DIR, "top": N}`; the default of `top` is 20. Output: a [`CorpusReport`].
//!
//! `DIR` is a path on the host that runs the step, below the directory that its operator names ([`CorpusRoot`]), or relative
//! to it. Hosts on several machines need the same directory at the same path.

mod analyse;
mod count;
mod merge;
mod report;
mod root;
mod scan;
mod skip;

pub(crate) use report::{CorpusReport, TermCount};
pub(crate) use root::{CorpusArgs, CorpusRoot};

use analyse::Analyse;
use jetway::{Fixed, Merge, SharedState, workflow};
use merge::MergeReports;
use report::MakeReport;
use scan::Scan;
use serde::{Deserialize, Serialize};
use skip::Skip;
use std::path::PathBuf;

/// The input of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorpusInput {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Number of terms and of files in the report.
    #[serde(default = "default_top")]
    pub(crate) top: usize,
}

fn default_top() -> usize {
    20
}

/// A file below the directory that is to be analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileToRead {
    /// Path relative to the directory.
    pub(crate) path: String,
    /// Size in bytes at the time of the scan.
    pub(crate) bytes: u64,
}

/// The context: the options of the run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Merge)]
pub(crate) struct CorpusContext {
    options: SharedState<Fixed<CorpusOptions>>,
}

/// Set by `scan`, read by the other nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct CorpusOptions {
    root: PathBuf,
    top: usize,
}

workflow! {
    /// Counts lines, words and terms of every file below a directory.
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

/// The workflow with its nodes. It reads files below `root` alone.
pub(crate) fn corpus(root: CorpusRoot) -> Corpus {
    Corpus {
        scan: Scan { root: root.clone() },
        analyse: Analyse { root: root.clone() },
        skip: Skip { root },
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
        let root = CorpusRoot::open(&std::env::temp_dir()).unwrap();
        corpus(root).run(&ctx, CorpusInput { path: path.to_owned(), top }).await
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
    async fn a_missing_directory_fails_the_run() {
        let missing = std::env::temp_dir().join("no-such-directory-of-a-corpus");
        let error = report(&missing, 20).await.unwrap_err();
        let expected = format!("cannot scan {}: No such file", missing.display());
        assert!(error.to_string().contains(&expected), "{error}");
    }

    #[tokio::test]
    async fn h9_a_directory_outside_of_the_root_fails_the_run() {
        for outside in ["/etc", "..", "/tmp/../etc"] {
            let error = report(Path::new(outside), 20).await.unwrap_err();
            assert!(error.to_string().contains("--corpus-root"), "{outside}: {error}");
        }
    }

    #[test]
    fn the_default_of_top_is_20() {
        let input: CorpusInput = serde_json::from_str(r#"{"path": "/x"}"#).unwrap();
        assert_eq!(input.top, 20);
        assert!(serde_json::from_str::<CorpusInput>(r#"{"path": "/x", "tpo": 5}"#).is_err());
    }
}
