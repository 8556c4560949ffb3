//! Tables: columns two spaces apart, no borders, and long texts cut where the line would be too long.

use comfy_table::{Cell, CellAlignment, Color, Row, presets};

use super::Style;
use super::text::ABSENT;

/// Spaces between columns.
const GAP: usize = 2;
/// What is left of a column that gave way to the last.
const STUMP: usize = 8;

/// How a column behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Words: to the left, whole.
    Word(&'static str),
    /// Figures: to the right, whole.
    Figure(&'static str),
    /// Long words: to the left, cut where there is no room, but below this width only when nothing else helps.
    Long(&'static str, usize),
}

impl Column {
    fn head(self) -> &'static str {
        match self {
            Self::Word(head) | Self::Figure(head) | Self::Long(head, _) => head,
        }
    }
}

/// Rows under their heads. The cells of a row beyond the columns are left out.
pub(super) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
    /// The column whose words have colours.
    coloured: Option<usize>,
    /// Columns that are left out where nothing stands in them.
    sparing: &'static [&'static str],
    /// Columns that are left out where there is no room, the first of them first.
    dropping: &'static [&'static str],
}

/// Colour of a word that says how something stands.
pub(super) fn colour_of(word: &str) -> Option<Color> {
    match word {
        "green" | "answered" | "registered" | "active" | "yes" => Some(Color::Green),
        "yellow" | "ringing" | "trying" | "challenged" => Some(Color::Yellow),
        "red" | "failed" | "timed_out" | "no" => Some(Color::Red),
        _ => None,
    }
}

impl Table {
    /// A table with no rows.
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            coloured: None,
            sparing: &[],
            dropping: &[],
        }
    }

    /// Gives the words of this column their colours.
    pub(super) fn colouring(mut self, head: &str) -> Self {
        self.coloured = self.columns.iter().position(|column| column.head() == head);
        self
    }

    /// Leaves these columns out where nothing stands in them.
    pub(super) const fn sparing(mut self, heads: &'static [&'static str]) -> Self {
        self.sparing = heads;
        self
    }

    /// Leaves these columns out where there is no room, the first of them first, before a text is cut.
    pub(super) const fn dropping(mut self, heads: &'static [&'static str]) -> Self {
        self.dropping = heads;
        self
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    /// The table as lines.
    pub(super) fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let shown = |at: &usize| widths.get(*at).copied().flatten();
        let columns: Vec<(usize, usize)> = (0..self.columns.len())
            .filter_map(|at| Some((at, shown(&at)?)))
            .collect();
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if style.colour {
            table.enforce_styling();
        }
        table.set_header(columns.iter().map(|(at, _)| Cell::new(self.columns[*at].head())));
        for cells in &self.rows {
            let cells = columns.iter().map(|&(at, width)| {
                let text = &cells[at];
                let cell = Cell::new(cut(text, width, style));
                let colour = colour_of(text).filter(|_| style.colour && self.coloured == Some(at));
                match colour {
                    Some(colour) => cell.fg(colour),
                    None => cell,
                }
            });
            table.add_row(Row::from(cells));
        }
        for (column, (at, _)) in table.column_iter_mut().zip(&columns) {
            column.set_padding((0, GAP as u16));
            if matches!(self.columns[*at], Column::Figure(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }

    /// Columns as wide as their widest cell, `None` for those left out. Where that is too much, the widest long ones give way
    /// to each other, then columns are left out, and then long ones are cut.
    fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let cells = || self.rows.iter().filter_map(|row| row.get(at));
            let empty = self.sparing.contains(&column.head()) && cells().all(|cell| cell == ABSENT);
            let widest = cells().map(|cell| cell.chars().count()).max().unwrap_or(0);
            widths.push((!empty).then(|| widest.max(column.head().len())));
        }
        let mut dropping = self.dropping.iter();
        loop {
            let mut narrowed = widths.clone();
            if self.narrow(&mut narrowed, room, false) {
                return narrowed;
            }
            let Some(dropped) = dropping.next() else { break };
            let at = self.columns.iter().position(|column| column.head() == *dropped);
            if let Some(width) = at.and_then(|at| widths.get_mut(at)) {
                *width = None;
            }
        }
        self.narrow(&mut widths, room, false);
        self.narrow(&mut widths, room, true);
        widths
    }

    /// Takes from the widest long columns what is over, down to the width they should have or, as the last resort, to a stump.
    /// Whether the rest fits.
    fn narrow(&self, widths: &mut [Option<usize>], room: usize, last_resort: bool) -> bool {
        let shown = widths.iter().flatten();
        let gaps = GAP * shown.clone().count().saturating_sub(1);
        let mut over = (shown.sum::<usize>() + gaps).saturating_sub(room);
        while over > 0 {
            let widest = widths
                .iter_mut()
                .zip(self.columns)
                .filter_map(|(width, column)| Some((width.as_mut()?, column)))
                .filter(|(width, column)| match column {
                    Column::Long(_, least) => **width > if last_resort { STUMP } else { *least },
                    Column::Word(_) | Column::Figure(_) => false,
                })
                .max_by_key(|(width, _)| **width);
            let Some((width, _)) = widest else { return false };
            *width -= 1;
            over -= 1;
        }
        true
    }
}

/// The beginning of a text that is too long, with a mark that there is more.
pub(super) fn cut(text: &str, width: usize, style: Style) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push(if style.ascii { '~' } else { '…' });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::Word("STATE"),
        Column::Figure("N"),
        Column::Long("NAME", 12),
        Column::Long("ID", 8),
    ];

    fn table() -> Table {
        let mut table = Table::new(COLUMNS).colouring("STATE");
        table.row([
            "answered".into(),
            "7".into(),
            "short".into(),
            "abcdefghijklmnopqrstuvwxyz".into(),
        ]);
        table.row([
            "failed".into(),
            "1,000".into(),
            "a name that is long".into(),
            "-".into(),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned_and_the_long_ones_cut() {
        let style = |width| Style { width, ..Style::PLAIN };
        assert_eq!(
            table().render(style(80)),
            "STATE         N  NAME                 ID\n\
             answered      7  short                abcdefghijklmnopqrstuvwxyz\n\
             failed    1,000  a name that is long  -\n"
        );
        assert_eq!(
            table().render(style(44)),
            "STATE         N  NAME           ID\n\
             answered      7  short          abcdefghijk…\n\
             failed    1,000  a name that …  -\n"
        );
        let ascii = Style {
            width: 44,
            ascii: true,
            ..Style::PLAIN
        };
        assert!(table().render(ascii).contains("a name that ~  -\n"));
    }

    #[test]
    fn columns_give_way_before_texts_are_cut() {
        let whole = table().dropping(&["N", "STATE"]);
        let heads = |width| {
            let text = whole.render(Style { width, ..Style::PLAIN });
            text.lines().next().map(str::to_owned)
        };
        assert_eq!(heads(80).as_deref(), Some("STATE         N  NAME                 ID"));
        assert_eq!(heads(39).as_deref(), Some("STATE         N  NAME          ID"));
        assert_eq!(heads(34).as_deref(), Some("STATE     NAME          ID"));
        assert_eq!(heads(24).as_deref(), Some("NAME          ID"));
        assert_eq!(heads(20).as_deref(), Some("NAME        ID"));
        let mut empty = Table::new(COLUMNS).sparing(&["ID"]);
        empty.row(["failed".into(), "1".into(), "-".into(), "-".into()]);
        assert_eq!(empty.render(Style::PLAIN), "STATE   N  NAME\nfailed  1  -\n");
    }

    #[test]
    fn colours_are_for_terminals() {
        let coloured = table().render(Style {
            width: 80,
            colour: true,
            ascii: false,
        });
        assert!(coloured.contains("\u{1b}[38;5;10manswered"), "{coloured:?}");
        assert!(!table().render(Style::PLAIN).contains('\u{1b}'));
    }
}
