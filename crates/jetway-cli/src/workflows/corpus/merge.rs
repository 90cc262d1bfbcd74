//! `merge`: combines the reports of all files.

use super::{
    CorpusContext,
    report::{CorpusReport, FileCounts, FileReport, LargeFile, SkippedExample, SkippedFile, TermCount},
};
use jetway::{Error, Transition, node};
use std::collections::HashMap;

/// How many skipped files the report lists. All are counted.
const SKIPPED_EXAMPLES: usize = 100;

node! {
    /// Runs once, with the reports of all files in the order of the scan, and adds them up.
    pub(crate) struct MergeReports {};
    context = CorpusContext;
    input = Vec<FileReport>;
    output = CorpusReport;
    |ctx, files| {
        let top = ctx.options.get().await.top;
        let merged = tokio::task::spawn_blocking(move || merge(files, top)).await;
        let merged = merged.map_err(|error| Error::Generic(format!("merging did not finish: {error}")))?;
        Ok(Transition::Next(merged))
    }
}

fn merge(files: Vec<FileReport>, top: usize) -> CorpusReport {
    let mut report = CorpusReport { files: files.len() as u64, ..CorpusReport::default() };
    let mut terms: HashMap<String, u64> = HashMap::new();
    for file in files {
        match file {
            FileReport::Read(counts) => add(&mut report, &mut terms, counts),
            FileReport::Skipped(file) => skip(&mut report, file),
        }
    }
    report.distinct_terms = terms.len() as u64;
    report.top_terms = most_frequent(terms, top);
    report.largest_files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    report.largest_files.truncate(top);
    report
}

fn add(report: &mut CorpusReport, terms: &mut HashMap<String, u64>, counts: FileCounts) {
    let FileCounts { path, bytes, lines, words, terms: in_file } = counts;
    report.files_analysed += 1;
    report.bytes += bytes;
    report.lines += lines;
    report.words += words;
    report.largest_files.push(LargeFile { path, bytes, lines, words });
    for (term, count) in in_file {
        *terms.entry(term).or_default() += count;
    }
}

fn skip(report: &mut CorpusReport, file: SkippedFile) {
    report.files_skipped += 1;
    *report.skipped_by_reason.entry(file.reason.kind().to_owned()).or_default() += 1;
    if report.skipped_examples.len() < SKIPPED_EXAMPLES {
        report.skipped_examples.push(SkippedExample { path: file.path, reason: file.reason.to_string() });
    }
}

fn most_frequent(terms: HashMap<String, u64>, top: usize) -> Vec<TermCount> {
    let mut all: Vec<TermCount> = terms.into_iter().map(|(term, count)| TermCount { term, count }).collect();
    let rank = |a: &TermCount, b: &TermCount| b.count.cmp(&a.count).then_with(|| a.term.cmp(&b.term));
    if (1..all.len()).contains(&top) {
        // There may be millions, of which only the top has to be sorted.
        all.select_nth_unstable_by(top - 1, rank);
    }
    all.truncate(top);
    all.sort_unstable_by(rank);
    all
}

#[cfg(test)]
mod tests {
    use super::super::report::SkipReason;
    use super::*;

    fn read(path: &str, bytes: u64, terms: &[(&str, u64)]) -> FileReport {
        let terms = terms.iter().map(|(term, count)| ((*term).to_owned(), *count)).collect();
        FileReport::Read(FileCounts { path: path.to_owned(), bytes, lines: 1, words: 2, terms })
    }

    #[test]
    fn nothing_is_a_report_of_zeros() {
        assert_eq!(merge(Vec::new(), 20), CorpusReport::default());
    }

    #[test]
    fn counts_are_added_and_the_top_is_sorted() {
        let files = vec![
            read("b", 7, &[("x", 2), ("y", 1)]),
            read("a", 7, &[("x", 1), ("z", 1)]),
            read("c", 9, &[("y", 2), ("w", 1)]),
        ];
        let report = merge(files, 2);
        assert_eq!(
            (report.files, report.files_analysed, report.bytes, report.lines, report.words),
            (3, 3, 23, 3, 6)
        );
        assert_eq!(report.distinct_terms, 4);
        let top: Vec<_> = report.top_terms.iter().map(|term| (term.term.as_str(), term.count)).collect();
        assert_eq!(top, [("x", 3), ("y", 3)]);
        let largest: Vec<_> = report.largest_files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(largest, ["c", "a"]);
    }

    #[test]
    fn skipped_files_are_all_counted_and_the_first_are_named() {
        let skipped = |number: usize| {
            let reason =
                if number == 0 { SkipReason::Unreadable("x".to_owned()) } else { SkipReason::Binary };
            FileReport::Skipped(SkippedFile { path: number.to_string(), reason })
        };
        let report = merge((0..150).map(skipped).collect(), 5);
        assert_eq!((report.files, report.files_analysed, report.files_skipped), (150, 0, 150));
        assert_eq!(report.skipped_by_reason["binary"], 149);
        assert_eq!(report.skipped_by_reason["unreadable"], 1);
        assert_eq!(report.skipped_examples.len(), SKIPPED_EXAMPLES);
        assert_eq!(report.skipped_examples[0].reason, "unreadable: x");
    }

    #[test]
    fn no_top_is_fine() {
        let report = merge(vec![read("a", 1, &[("x", 1)])], 0);
        assert_eq!((report.top_terms.len(), report.largest_files.len(), report.distinct_terms), (0, 0, 1));
    }
}
