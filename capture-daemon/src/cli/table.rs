//! Tables: columns two spaces apart, no borders, and long texts cut where the line would be too long.

use comfy_table::{Cell, CellAlignment, Color, Row, presets};

use super::Style;

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
        }
    }

    /// Gives the words of this column their colours.
    pub(super) fn colouring(mut self, head: &str) -> Self {
        self.coloured = self.columns.iter().position(|column| column.head() == head);
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
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if style.colour {
            table.enforce_styling();
        }
        table.set_header(self.columns.iter().map(|column| Cell::new(column.head())));
        for cells in &self.rows {
            let cells = cells.iter().zip(&widths).enumerate().map(|(index, (text, width))| {
                let cell = Cell::new(cut(text, *width));
                let colour = colour_of(text).filter(|_| style.colour && self.coloured == Some(index));
                match colour {
                    Some(colour) => cell.fg(colour),
                    None => cell,
                }
            });
            table.add_row(Row::from(cells));
        }
        for (column, kind) in table.column_iter_mut().zip(self.columns) {
            column.set_padding((0, GAP as u16));
            if matches!(kind, Column::Figure(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = table.trim_fmt();
        text.push('\n');
        text
    }

    /// Columns as wide as their widest cell; where that is too much, the widest long ones give way to each other.
    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.head().len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let gaps = GAP * widths.len().saturating_sub(1);
        let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        for last_resort in [false, true] {
            while over > 0 {
                let widest = widths
                    .iter_mut()
                    .zip(self.columns)
                    .filter(|(width, column)| match column {
                        Column::Long(_, least) => **width > if last_resort { STUMP } else { *least },
                        Column::Word(_) | Column::Figure(_) => false,
                    })
                    .max_by_key(|(width, _)| **width);
                let Some((width, _)) = widest else { break };
                *width -= 1;
                over -= 1;
            }
        }
        widths
    }
}

/// The beginning of a text that is too long, with a mark that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
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
        let style = |width| Style { width, colour: false };
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
    }

    #[test]
    fn colours_are_for_terminals() {
        let coloured = table().render(Style {
            width: 80,
            colour: true,
        });
        assert!(coloured.contains("\u{1b}[38;5;10manswered"), "{coloured:?}");
        assert!(!table().render(Style::PLAIN).contains('\u{1b}'));
    }
}
