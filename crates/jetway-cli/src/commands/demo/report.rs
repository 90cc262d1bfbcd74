//! The report of the corpus workflow as text.

use crate::{
    output::{self, Column, Tables, bytes, count},
    workflows::corpus::{CorpusReport, TermCount},
};
use jetway::client::DoneView;
use std::fmt::Write;

/// How many skipped files are listed.
const SKIPPED_SHOWN: usize = 10;

/// The report as text.
pub(super) fn render(tables: &Tables, report: &CorpusReport, done: &DoneView) -> String {
    let mut sections = vec![totals(tables, report, done)];
    if !report.top_terms.is_empty() {
        sections.push(section("Most frequent terms", &terms(tables, &report.top_terms)));
    }
    if !report.largest_files.is_empty() {
        sections.push(section("Largest files", &largest(tables, report)));
    }
    if report.files_skipped > 0 {
        sections.push(skipped(tables, report));
    }
    sections.join("\n\n") + "\n"
}

fn section(heading: &str, table: &str) -> String {
    format!("{heading}\n\n{table}")
}

fn totals(tables: &Tables, report: &CorpusReport, done: &DoneView) -> String {
    let mut rows = vec![
        ("files", count(report.files)),
        ("analysed", count(report.files_analysed)),
        ("skipped", count(report.files_skipped)),
        ("bytes", bytes(report.bytes)),
        ("lines", count(report.lines)),
        ("words", count(report.words)),
        ("distinct terms", count(report.distinct_terms)),
        ("steps", count(done.steps)),
    ];
    if let Some(duration) = output::elapsed(&done.started_at, done.finished_at.as_deref()) {
        rows.push(("duration", duration));
    }
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    section(
        &tables.line(&report.path.display().to_string()),
        &tables.table(&[Column::left("FIELD"), Column::right("VALUE")], rows),
    )
}

fn terms(tables: &Tables, terms: &[TermCount]) -> String {
    let rows = terms.iter().map(|term| vec![term.term.clone(), count(term.count)]);
    tables.table(&[Column::cut("TERM"), Column::right("COUNT")], rows)
}

fn largest(tables: &Tables, report: &CorpusReport) -> String {
    let columns =
        [Column::cut("FILE"), Column::right("BYTES"), Column::right("LINES"), Column::right("WORDS")];
    let rows = report
        .largest_files
        .iter()
        .map(|file| vec![file.path.clone(), count(file.bytes), count(file.lines), count(file.words)]);
    tables.table(&columns, rows)
}

fn skipped(tables: &Tables, report: &CorpusReport) -> String {
    let reasons = report.skipped_by_reason.iter().map(|(reason, files)| vec![reason.clone(), count(*files)]);
    let mut text =
        section("Skipped files", &tables.table(&[Column::cut("REASON"), Column::right("FILES")], reasons));
    text.push('\n');
    for file in report.skipped_examples.iter().take(SKIPPED_SHOWN) {
        // Writing to a string cannot fail.
        write!(text, "\n{}", tables.line(&format!("  {}: {}", file.path, file.reason))).unwrap_or_default();
    }
    let shown = report.skipped_examples.len().min(SKIPPED_SHOWN) as u64;
    if report.files_skipped > shown {
        let more = count(report.files_skipped - shown);
        write!(text, "\n  and {more} more (--json lists the first 100)").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::TableArgs;

    fn done() -> DoneView {
        serde_json::from_value(serde_json::json!({
            "run_id": "r", "incarnation": "0000000000000000", "workflow": "corpus", "status": "completed", "output": null, "outputs": [],
            "error": null, "started_at": "2026-01-01T00:00:00.000Z",
            "finished_at": "2026-01-01T00:00:12.300Z", "steps": 1234,
        }))
        .unwrap()
    }

    fn report(skipped: u64) -> CorpusReport {
        let examples: Vec<_> = (0..skipped)
            .map(|n| serde_json::json!({ "path": format!("f{n}"), "reason": "binary" }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "path": "/data", "files": 1500, "files_analysed": 1500 - skipped, "files_skipped": skipped,
            "skipped_by_reason": { "binary": skipped }, "skipped_examples": examples,
            "bytes": 2048, "lines": 3, "words": 4, "distinct_terms": 2,
            "top_terms": [{ "term": "fn", "count": 1200 }, { "term": "let", "count": 7 }],
            "largest_files": [{ "path": "a.rs", "bytes": 2000, "lines": 2, "words": 3 }],
        }))
        .unwrap()
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn the_report_shows_every_count() {
        let text = render(&Tables::new(TableArgs::default()), &report(12), &done());
        let has = |row: &[&str]| text.lines().any(|line| words(line) == row);
        assert!(text.starts_with("/data\n"), "{text}");
        for row in [
            &["files", "1,500"][..],
            &["analysed", "1,488"],
            &["skipped", "12"],
            &["bytes", "2,048", "(2.0", "KiB)"],
            &["steps", "1,234"],
            &["duration", "12.3", "s"],
            &["fn", "1,200"],
            &["a.rs", "2,000", "2", "3"],
            &["binary", "12"],
            &["f9:", "binary"],
            &["and", "2", "more", "(--json", "lists", "the", "first", "100)"],
        ] {
            assert!(has(row), "{row:?} is missing in\n{text}");
        }
        assert!(!has(&["f10:", "binary"]), "{text}");
    }

    #[test]
    fn an_empty_directory_has_no_empty_tables() {
        let empty = CorpusReport { path: "/data".into(), ..CorpusReport::default() };
        let text = render(&Tables::new(TableArgs::default()), &empty, &done());
        assert!(!text.contains("TERM") && !text.contains("Skipped"), "{text}");
        assert!(text.lines().any(|line| words(line) == ["files", "0"]), "{text}");
    }
}
