//! The values that the steps pass on, and the final report.

use super::CorpusContext;
use jetway::{Transition, node};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The result for one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileReport {
    /// It was analysed.
    Read(FileCounts),
    /// It was skipped.
    Skipped(SkippedFile),
}

/// The counts of one file. There is one for each file, so the encoded field names are short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileCounts {
    #[serde(rename = "p")]
    pub(crate) path: String,
    #[serde(rename = "b")]
    pub(crate) bytes: u64,
    #[serde(rename = "l")]
    pub(crate) lines: u64,
    #[serde(rename = "w")]
    pub(crate) words: u64,
    #[serde(rename = "t")]
    pub(crate) terms: BTreeMap<String, u64>,
}

/// A file that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedFile {
    /// Path relative to the directory.
    pub(crate) path: String,
    /// The reason.
    pub(crate) reason: SkipReason,
}

/// Why a file was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SkipReason {
    /// It contains a NUL byte.
    Binary,
    /// The host has no permission to read it.
    PermissionDenied,
    /// It was deleted after the scan.
    Deleted,
    /// It is larger than the limit.
    TooLarge,
    /// It has more distinct terms than the limit.
    TooManyTerms,
    /// It is no longer a regular file, or it is a directory that cannot be read.
    NotAFile,
    /// Its name is not valid UTF-8.
    NameNotText,
    /// Reading failed for another reason.
    Unreadable(String),
}

impl SkipReason {
    /// The kind of the reason, by which skipped files are counted.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::PermissionDenied => "permission denied",
            Self::Deleted => "deleted",
            Self::TooLarge => "too large",
            Self::TooManyTerms => "too many terms",
            Self::NotAFile => "not a file",
            Self::NameNotText => "name is not UTF-8",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "unreadable: {why}"),
            kind => f.write_str(kind.kind()),
        }
    }
}

/// The output of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct CorpusReport {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Number of files found: analysed and skipped.
    pub(crate) files: u64,
    /// Number of files analysed.
    pub(crate) files_analysed: u64,
    /// Number of files skipped.
    pub(crate) files_skipped: u64,
    /// Number of files skipped, by reason.
    pub(crate) skipped_by_reason: BTreeMap<String, u64>,
    /// The first skipped files, in the order of the scan.
    pub(crate) skipped_examples: Vec<SkippedExample>,
    /// Bytes in the analysed files.
    pub(crate) bytes: u64,
    /// Lines in them.
    pub(crate) lines: u64,
    /// Words in them.
    pub(crate) words: u64,
    /// Number of distinct terms.
    pub(crate) distinct_terms: u64,
    /// The most frequent terms, by frequency, then by name.
    pub(crate) top_terms: Vec<TermCount>,
    /// The largest analysed files, by size, then by path.
    pub(crate) largest_files: Vec<LargeFile>,
}

/// A skipped file, with its reason as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedExample {
    /// Path relative to the directory.
    pub(crate) path: String,
    /// The reason.
    pub(crate) reason: String,
}

/// A term and its frequency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TermCount {
    /// The term.
    pub(crate) term: String,
    /// Number of occurrences.
    pub(crate) count: u64,
}

/// One of the largest files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LargeFile {
    /// Path relative to the directory.
    pub(crate) path: String,
    /// Size in bytes.
    pub(crate) bytes: u64,
    /// Number of lines.
    pub(crate) lines: u64,
    /// Number of words.
    pub(crate) words: u64,
}

node! {
    /// Adds the directory to the report, which is the output of the run.
    pub(crate) struct MakeReport {};
    context = CorpusContext;
    input = CorpusReport;
    output = CorpusReport;
    |ctx, report| {
        let path = ctx.options.get().await.root.clone();
        Ok(Transition::Next(CorpusReport { path, ..report }))
    }
}
