//! What the steps hand to each other, and the report at the end.

use super::CorpusContext;
use jetway::{Transition, node};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileReport {
    /// It was read.
    Read(FileCounts),
    /// It was not read.
    Skipped(SkippedFile),
}

/// What is in one file. There are as many of these as files, so the names on the wire are short.
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

/// A file that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedFile {
    /// Its path below the directory.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: SkipReason,
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SkipReason {
    /// It has a NUL byte.
    Binary,
    /// The host may not read it.
    PermissionDenied,
    /// It was there when the directory was scanned and is no more.
    Vanished,
    /// It is larger than a file may be.
    TooLarge,
    /// It has more different terms than a file may have.
    TooManyTerms,
    /// It is not a regular file any more, or a directory that cannot be looked into.
    NotAFile,
    /// Its name is not UTF-8.
    NameNotText,
    /// Reading it failed in another way.
    Unreadable(String),
}

impl SkipReason {
    /// The kind of reason, which skipped files are counted by.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::PermissionDenied => "permission denied",
            Self::Vanished => "vanished",
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
    /// How many files were found: those that were analysed and those that were skipped.
    pub(crate) files: u64,
    /// How many files were read.
    pub(crate) files_analysed: u64,
    /// How many files were not read.
    pub(crate) files_skipped: u64,
    /// How many files were not read, for each kind of reason.
    pub(crate) skipped_by_reason: BTreeMap<String, u64>,
    /// The first files that were not read, in the order of the scan.
    pub(crate) skipped_examples: Vec<SkippedExample>,
    /// Bytes of the files that were read.
    pub(crate) bytes: u64,
    /// Lines in them.
    pub(crate) lines: u64,
    /// Words in them.
    pub(crate) words: u64,
    /// How many different terms there are.
    pub(crate) distinct_terms: u64,
    /// The most frequent terms, the most frequent first, equals by name.
    pub(crate) top_terms: Vec<TermCount>,
    /// The largest files that were read, the largest first, equals by path.
    pub(crate) largest_files: Vec<LargeFile>,
}

/// A file that was not read, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SkippedExample {
    /// Its path below the directory.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
}

/// How often a term occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TermCount {
    /// The term.
    pub(crate) term: String,
    /// How often.
    pub(crate) count: u64,
}

/// One of the largest files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LargeFile {
    /// Its path below the directory.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its lines.
    pub(crate) lines: u64,
    /// Its words.
    pub(crate) words: u64,
}

node! {
    /// Names the directory in the report, which is the output of the run.
    pub(crate) struct MakeReport {};
    context = CorpusContext;
    input = CorpusReport;
    output = CorpusReport;
    |ctx, report| {
        let path = ctx.asked.get().await.root.clone();
        Ok(Transition::Next(CorpusReport { path, ..report }))
    }
}
