//! Tables at every width.

use super::*;

const RUNS: [Column; 5] = [
    Column::cut("WORKFLOW"),
    Column::cut("RUN"),
    Column::state("STATUS"),
    Column::right("STEPS"),
    Column::right("DURATION").spare(),
];

fn tables(width: Option<usize>) -> Tables {
    Tables { width, terminal: width.is_some(), colour: false, full: false, cut: Cell::new(false) }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[test]
fn columns_are_aligned_and_rows_are_lines() {
    let rows = [row(&["a", "1"]), row(&["longer name", "1,234"])];
    let text = tables(None).table(&[Column::left("NAME"), Column::right("COUNT")], rows);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, ["NAME         COUNT", "a                1", "longer name  1,234"]);
}

#[test]
fn u1_no_line_is_wider_than_the_terminal() {
    let id = "0123456789abcdef".repeat(4);
    let rows = [
        row(&["corpus", &id, "completed", "11,338", "12.3 s"]),
        row(&["進捗のワークフロー名前がとても長い", "進捗", "failed", "1", "4 min 5 s"]),
        row(&["emoji 👨‍👩‍👧‍👦 and e\u{301}", "x", "running", "1", ""]),
    ];
    for width in NARROWEST..140 {
        let tables = tables(Some(width));
        let text = tables.table(&RUNS, rows.clone());
        for line in text.lines() {
            assert!(measure_text_width(line) <= width, "{width}: {line:?}\n{text}");
        }
        assert_eq!(text.lines().count(), 4, "{width}:\n{text}");
        assert_eq!(tables.cut.get(), !(text.contains(&id) && text.contains("12.3 s")), "{width}:\n{text}");
    }
}

#[test]
fn u1_long_values_wrap_and_end() {
    let long = "{\"path\":\"/usr/share\"}".repeat(1000);
    let columns = [Column::left("FIELD"), Column::wrap("VALUE")];
    for width in [60, 80, 120] {
        let tables = tables(Some(width));
        let text = tables.table(&columns, [row(&["status", "running"]), row(&["output", &long])]);
        assert!(text.lines().all(|line| measure_text_width(line) <= width), "{text}");
        assert!(text.lines().count() <= 2 + MAX_LINES && text.contains(CUT), "{text}");
        assert!(tables.cut.get());
    }
    let full = tables(None).table(&columns, [row(&["output", &long])]);
    assert!(full.contains(&long));
}

#[test]
fn u1_states_are_in_colour_and_keep_the_width() {
    let tables = Tables { colour: true, ..tables(Some(60)) };
    let text = tables
        .table(&RUNS, [row(&["進捗", "r", "failed", "1", "2 s"]), row(&["failed", "r", "running", "1", ""])]);
    assert!(text.contains("\u{1b}[31m\u{1b}[1mfailed\u{1b}[0m"), "{text:?}");
    // The name of a workflow is no state.
    assert_eq!(text.matches("\u{1b}[31m").count(), 1, "{text:?}");
    let plain = Tables { colour: false, ..tables };
    let uncoloured = plain
        .table(&RUNS, [row(&["進捗", "r", "failed", "1", "2 s"]), row(&["failed", "r", "running", "1", ""])]);
    assert_eq!(console::strip_ansi_codes(&text), uncoloured);
}

#[test]
fn a_value_cannot_control_the_terminal() {
    let text = tables(None).table(&[Column::wrap("VALUE")], [row(&["a\u{1b}[2Jb\rc\td"])]);
    assert_eq!(text, "VALUE\na\\u{1b}[2Jb\\rc d");
}
