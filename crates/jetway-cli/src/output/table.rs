//! Tables and numbers as text.

use comfy_table::{CellAlignment, Table, presets};
use std::io::{self, IsTerminal};

/// A column: its heading and alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Aligned to the left, for text.
    Left(&'static str),
    /// Aligned to the right, for numbers.
    Right(&'static str),
}

/// A table with headings, one line per row. On a terminal, lines separate the rows.
pub(crate) fn table<R>(columns: &[Column], rows: R) -> String
where
    R: IntoIterator<Item = Vec<String>>,
{
    render(columns, rows, io::stdout().is_terminal())
}

fn render<R>(columns: &[Column], rows: R, terminal: bool) -> String
where
    R: IntoIterator<Item = Vec<String>>,
{
    let mut table = Table::new();
    table.load_style(if terminal { presets::UTF8_HORIZONTAL_ONLY } else { presets::NOTHING });
    table.set_header(columns.iter().map(|column| match column {
        Column::Left(heading) | Column::Right(heading) => *heading,
    }));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in columns.iter().enumerate() {
        let Some(cells) = table.column_mut(index) else {
            continue;
        };
        cells.set_padding(if terminal { (1, 1) } else { (0, 2) });
        if let Column::Right(_) = column {
            cells.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A number with thousands separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes and in the largest fitting unit: `12,345 (12.0 KiB)`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let exponent = (number.max(1).ilog2() / 10) as usize;
    match exponent.checked_sub(1).map(|index| UNITS[index.min(UNITS.len() - 1)]) {
        None => count(number),
        Some(unit) => {
            let divisor = 1_u64 << (10 * exponent.min(UNITS.len()));
            // Integer arithmetic: a cast to a float could lose digits.
            let tenths = u128::from(number) * 10 / u128::from(divisor);
            format!("{} ({}.{} {unit})", count(number), tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_are_lines() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["longer name".to_owned(), "1,234".to_owned()]];
        let text = render(&[Column::Left("NAME"), Column::Right("COUNT")], rows, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, ["NAME         COUNT", "a                1", "longer name  1,234"]);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(12), "12");
        assert_eq!(bytes(1_023), "1,023");
        assert_eq!(bytes(12_345), "12,345 (12.0 KiB)");
        assert_eq!(bytes(5 << 20), "5,242,880 (5.0 MiB)");
    }
}
