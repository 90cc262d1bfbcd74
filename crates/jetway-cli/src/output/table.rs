//! Tables that fit the terminal.

mod layout;
mod numbers;

pub(crate) use numbers::{bytes, count};

use super::printable::{printable, printable_line};
use clap::Args;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};
use console::{Style, Term, measure_text_width, truncate_str};
use layout::{GAP, Widths};
use std::{
    cell::Cell,
    io::{self, IsTerminal},
};

/// The narrowest terminal that tables are made for.
const NARROWEST: usize = 20;
/// How many lines a value may take on a terminal.
const MAX_LINES: usize = 6;
/// The end of a value that was cut.
const CUT: &str = "…";

/// How tables are printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct TableArgs {
    /// Print all columns and whole values, also where they are wider than the terminal
    #[arg(long)]
    pub(crate) full: bool,
}

/// A column: its heading, and what happens to its values where the terminal is too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    heading: &'static str,
    kind: Kind,
    /// Whether the column is left out first.
    spare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    State,
    Cut,
    Wrap,
}

impl Column {
    const fn new(heading: &'static str, kind: Kind) -> Self {
        Self { heading, kind, spare: false }
    }

    /// Short texts.
    pub(crate) const fn left(heading: &'static str) -> Self {
        Self::new(heading, Kind::Left)
    }

    /// Numbers, aligned to the right.
    pub(crate) const fn right(heading: &'static str) -> Self {
        Self::new(heading, Kind::Right)
    }

    /// States, in colour on a terminal.
    pub(crate) const fn state(heading: &'static str) -> Self {
        Self::new(heading, Kind::State)
    }

    /// Names that are cut.
    pub(crate) const fn cut(heading: &'static str) -> Self {
        Self::new(heading, Kind::Cut)
    }

    /// Texts that are continued on the next line. A state among them is in colour.
    pub(crate) const fn wrap(heading: &'static str) -> Self {
        Self::new(heading, Kind::Wrap)
    }

    /// The column is left out where the terminal is too narrow for all of them.
    pub(crate) const fn spare(self) -> Self {
        Self { spare: true, ..self }
    }

    fn shrinks(self) -> bool {
        matches!(self.kind, Kind::Cut | Kind::Wrap)
    }

    fn has_states(self) -> bool {
        matches!(self.kind, Kind::State | Kind::Wrap)
    }
}

/// Renders tables for standard output, and remembers whether they show everything.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The width of the terminal. `None`: no limit.
    width: Option<usize>,
    /// Whether people read this: standard output is a terminal.
    terminal: bool,
    colour: bool,
    full: bool,
    cut: Cell<bool>,
}

impl Tables {
    pub(crate) fn new(TableArgs { full }: TableArgs) -> Self {
        let terminal = io::stdout().is_terminal();
        let columns =
            Term::stdout().size_checked().map(|(_rows, columns)| usize::from(columns).max(NARROWEST));
        let width = columns.filter(|_| terminal && !full);
        Self { width, terminal, colour: super::coloured(&io::stdout()), full, cut: Cell::new(false) }
    }

    /// Whether times are shown as people say them: on a terminal, unless everything is asked for.
    pub(crate) fn relative_times(&self) -> bool {
        self.terminal && !self.full
    }

    /// A table with headings, one row after the other.
    pub(crate) fn table<R>(&self, columns: &[Column], rows: R) -> String
    where
        R: IntoIterator<Item = Vec<String>>,
    {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().map(|cell| printable(&cell)).collect()).collect();
        let widths = Widths::of(columns, &rows, self.width);
        let shown = |index: &usize| widths.column(*index).is_some();
        let kept: Vec<usize> = (0..columns.len()).filter(shown).collect();
        if kept.len() < columns.len() {
            self.cut.set(true);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_truncation_indicator(CUT);
        table
            .set_header(kept.iter().map(|&index| self.fitted(columns[index].heading, false, &widths, index)));
        for row in &rows {
            let cells = kept.iter().map(|&index| {
                let text = row.get(index).map_or("", String::as_str);
                self.fitted(text, columns[index].kind == Kind::Wrap, &widths, index)
            });
            let mut cells = Row::from(cells.collect::<Vec<_>>());
            if self.width.is_some() {
                cells.max_height(MAX_LINES);
            }
            table.add_row(cells);
        }
        self.arrange(&mut table, columns, &kept, &widths);
        self.painted(&table.trim_fmt(), columns, &kept, &widths)
    }

    /// One line, cut where the terminal ends.
    pub(crate) fn line(&self, text: &str) -> String {
        let line = printable_line(text);
        let Some(width) = self.width.filter(|width| measure_text_width(&line) > *width) else { return line };
        self.cut.set(true);
        truncate_str(&line, width, CUT).into_owned()
    }

    /// Says how to see what was cut, if anything was.
    pub(crate) fn finish(&self) {
        if self.cut.get() {
            super::note("not everything fits the terminal: --full shows all, --json too");
        }
    }

    /// The text as its column takes it.
    fn fitted(&self, text: &str, wraps: bool, widths: &Widths, index: usize) -> String {
        let (Some(_), Some(width)) = (self.width, widths.column(index)) else { return text.to_owned() };
        if wraps {
            // What is beyond the last line would be cut by the table, which does not tell.
            let most = width * MAX_LINES;
            let lines: usize = text.lines().map(|line| measure_text_width(line).div_ceil(width).max(1)).sum();
            if lines > MAX_LINES || measure_text_width(text) >= most {
                self.cut.set(true);
            }
            return truncate_str(text, most, CUT).into_owned();
        }
        let line = text.replace('\n', " ");
        if measure_text_width(&line) > width {
            self.cut.set(true);
        }
        truncate_str(&line, width, CUT).into_owned()
    }

    fn arrange(&self, table: &mut Table, columns: &[Column], kept: &[usize], widths: &Widths) {
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width + GAP).unwrap_or(u16::MAX));
        }
        for (position, &index) in kept.iter().enumerate() {
            let Some(cells) = table.column_mut(position) else { continue };
            cells.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
            if columns[index].kind == Kind::Right {
                cells.set_cell_alignment(CellAlignment::Right);
            }
            if let (Some(_), Some(width)) = (self.width, widths.column(index)) {
                let width = u16::try_from(width + GAP).unwrap_or(u16::MAX);
                cells.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
            }
        }
    }

    /// The table with its headings and states in colour.
    fn painted(&self, table: &str, columns: &[Column], kept: &[usize], widths: &Widths) -> String {
        if !self.colour {
            return table.to_owned();
        }
        let mut lines = table.lines();
        let heading = Style::new().bold().force_styling(true);
        let mut painted: Vec<String> =
            lines.next().map(|line| heading.apply_to(line).to_string()).into_iter().collect();
        let start_of = |position: usize| -> usize {
            kept[..position].iter().filter_map(|&index| widths.column(index)).map(|width| width + GAP).sum()
        };
        let states: Vec<usize> =
            (0..kept.len()).filter(|&position| columns[kept[position]].has_states()).map(start_of).collect();
        painted.extend(
            lines.map(|line| {
                states.iter().rev().fold(line.to_owned(), |line, &start| paint_state(&line, start))
            }),
        );
        painted.join("\n")
    }
}

/// The line with the state at this place in colour, if there is one.
fn paint_state(line: &str, start: usize) -> String {
    let before = truncate_str(line, start, "");
    let rest = &line[before.len()..];
    let end = rest.find("  ").unwrap_or(rest.len());
    match state_style(&rest[..end]) {
        Some(style) => {
            format!("{before}{}{}", style.force_styling(true).apply_to(&rest[..end]), &rest[end..])
        }
        None => line.to_owned(),
    }
}

fn state_style(state: &str) -> Option<Style> {
    Some(match state {
        "completed" | "ok" => Style::new().green(),
        "failed" | "FAILED" => Style::new().red().bold(),
        "running" => Style::new().cyan(),
        "paused" | "cancelled" | "warning" => Style::new().yellow(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
