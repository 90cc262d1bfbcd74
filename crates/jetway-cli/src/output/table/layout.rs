//! How wide the columns of a table are.

use super::Column;
use console::measure_text_width;

/// The space between two columns.
pub(super) const GAP: usize = 2;
/// A column that shrinks is not made narrower than that while others can be left out.
const ROOM: usize = 16;

/// A column that shrinks is not made narrower than that while others can be cut.
const NARROW: usize = 4;

/// The width of each column, in the columns of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Widths(Vec<Option<usize>>);

impl Widths {
    /// The widths with which the rows fit `limit`, if there is a limit.
    pub(super) fn of(columns: &[Column], rows: &[Vec<String>], limit: Option<usize>) -> Self {
        let widest = |index: usize| {
            let cells = rows.iter().filter_map(|row| row.get(index)).flat_map(|cell| cell.lines());
            let widest = cells.map(measure_text_width).max().unwrap_or_default();
            widest.max(measure_text_width(columns[index].heading))
        };
        let mut widths = Self((0..columns.len()).map(|index| Some(widest(index))).collect());
        let Some(limit) = limit else { return widths };
        while widths.at_least(columns) > limit
            && let Some(spare) =
                (0..columns.len()).rfind(|&index| columns[index].spare && widths.0[index].is_some())
        {
            widths.0[spare] = None;
        }
        widths.shrink(limit, NARROW, |index| columns[index].shrinks());
        widths.shrink(limit, 1, |_any| true);
        widths
    }

    /// The width of a column. `None` if it is left out.
    pub(super) fn column(&self, index: usize) -> Option<usize> {
        self.0[index]
    }

    /// The width of the table.
    fn total(&self) -> usize {
        let shown = self.0.iter().flatten();
        shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
    }

    /// The width of the table if the columns that shrink are as narrow as is useful.
    fn at_least(&self, columns: &[Column]) -> usize {
        let narrow = |(index, width): (usize, &Option<usize>)| {
            width.map(|width| if columns[index].shrinks() { width.min(ROOM) } else { width })
        };
        Self(self.0.iter().enumerate().map(narrow).collect()).total()
    }

    /// Makes the widest of the columns that shrink narrower until the table fits.
    fn shrink(&mut self, limit: usize, narrowest: usize, shrinks: impl Fn(usize) -> bool) {
        while self.total() > limit {
            let excess = self.total() - limit;
            let shrinking =
                |index: &usize| shrinks(*index) && self.0[*index].is_some_and(|width| width > narrowest);
            let Some(widest) = (0..self.0.len()).filter(shrinking).max_by_key(|&index| self.0[index]) else {
                return;
            };
            let others = (0..self.0.len()).filter(|&index| index != widest && shrinks(index));
            let next = others.filter_map(|index| self.0[index]).max().unwrap_or_default();
            let width = self.0[widest].unwrap_or_default();
            // Down to the next one, and then both in turn.
            let step = excess.min((width - next.min(width)).max(1));
            self.0[widest] = Some((width - step).max(narrowest));
        }
    }
}
