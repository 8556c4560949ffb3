//! Figures over rounds: a median with its least and most, for people and as JSON.

use std::fmt::{self, Write};

use comfy_table::{CellAlignment, presets};
use serde_json::{Map, Value, json};

/// A table of measurements.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name it is chosen by.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// How it was measured, in a few lines.
    pub conditions: Vec<String>,
    /// What tells rows apart: names of their keys.
    pub keys: Vec<&'static str>,
    /// What is measured.
    pub figures: Vec<Figure>,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

/// A column of figures.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The name in JSON, with its unit.
    pub name: &'static str,
    /// The column's heading.
    pub head: &'static str,
    /// How it is shown to people.
    pub style: Style,
}

/// How a figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The median.
    Median,
    /// The median, the least and the most.
    Spread,
    /// The median, and the most where it is more: a loss in one round of five is not to vanish.
    Worst,
}

/// A row: what was measured, and its runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// One for each of the table's keys.
    pub keys: Vec<String>,
    /// What was run.
    pub command: String,
    /// Each round's figures, in order of [`Table::figures`]; `None` where the row has no such figure.
    pub rounds: Vec<Vec<Option<f64>>>,
    /// Why nothing was measured, where nothing was.
    pub missing: Option<String>,
}

/// Median, least and most of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of no values there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = values.get(middle).copied()?;
        let lower = values.get(values.len().div_ceil(2).checked_sub(1)?).copied()?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            min,
            max,
        })
    }
}

impl Row {
    /// A row that is yet to be measured.
    pub fn new(keys: &[&str], command: impl Into<String>) -> Self {
        Self {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            command: command.into(),
            rounds: Vec::new(),
            missing: None,
        }
    }

    /// Over the rounds, what stands in column `figure`.
    fn spread(&self, figure: usize) -> Option<Spread> {
        Spread::of(
            self.rounds
                .iter()
                .filter_map(|round| round.get(figure).copied().flatten()),
        )
    }
}

impl Table {
    /// Over the rounds, the figure `figure` of the row with these keys.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn spread(&self, keys: &[&str], figure: &str) -> Result<Spread, String> {
        let row = self
            .rows
            .iter()
            .find(|row| row.keys == keys)
            .ok_or_else(|| format!("no row {}", keys.join(", ")))?;
        if let Some(reason) = &row.missing {
            return Err(format!("{}: {reason}", keys.join(", ")));
        }
        let column = self.figures.iter().position(|found| found.name == figure);
        column
            .and_then(|column| row.spread(column))
            .ok_or_else(|| format!("no {figure} of {}", keys.join(", ")))
    }

    /// The table with all its rounds: `{"title", "conditions", "rows": [{KEY: …, "command", "figures": {NAME: {"median", "min",
    /// "max", "rounds"}}}]}`.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut object: Map<String, Value> = self
                .keys
                .iter()
                .zip(&row.keys)
                .map(|(name, key)| ((*name).to_owned(), key.as_str().into()))
                .collect();
            object.insert("command".to_owned(), row.command.as_str().into());
            let figures = self.figures.iter().enumerate().filter_map(|(index, figure)| {
                let Spread { median, min, max } = row.spread(index)?;
                let rounds: Vec<_> = row
                    .rounds
                    .iter()
                    .map(|round| round.get(index).copied().flatten())
                    .collect();
                let value = json!({"median": median, "min": min, "max": max, "rounds": rounds});
                Some((figure.name.to_owned(), value))
            });
            object.insert("figures".to_owned(), Value::Object(figures.collect()));
            if let Some(reason) = &row.missing {
                object.insert("missing".to_owned(), reason.as_str().into());
            }
            Value::Object(object)
        });
        json!({"title": self.title, "conditions": self.conditions, "rows": rows.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = comfy_table::Table::new();
        lines.load_style(presets::NOTHING).force_no_tty();
        let heads = self.figures.iter().map(|figure| figure.head.to_owned());
        lines.set_header(self.keys.iter().map(|key| key.to_uppercase()).chain(heads));
        for row in &self.rows {
            let cells = self.figures.iter().enumerate().map(|(index, figure)| {
                row.spread(index)
                    .map_or_else(|| "-".to_owned(), |spread| figure.style.cell(spread))
            });
            lines.add_row(row.keys.iter().cloned().chain(cells));
        }
        for (index, column) in lines.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if index >= self.keys.len() {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{}: {}", self.name, self.title)?;
        for line in &self.conditions {
            writeln!(f, "{line}")?;
        }
        writeln!(f)?;
        writeln!(f, "{}", lines.trim_fmt())?;
        for Row { keys, missing, .. } in &self.rows {
            if let Some(reason) = missing {
                writeln!(f, "not measured: {}: {reason}", keys.join(", "))?;
            }
        }
        let mut told = Vec::new();
        for Row { keys, command, .. } in &self.rows {
            let Some(key) = keys.first().filter(|key| !told.contains(key)) else {
                continue;
            };
            if told.is_empty() {
                writeln!(f)?;
            }
            writeln!(f, "{key}: {command}")?;
            told.push(key);
        }
        Ok(())
    }
}

impl Style {
    fn cell(self, spread: Spread) -> String {
        let Spread { median, min, max } = spread;
        let middle = number(median);
        match self {
            Self::Median => middle,
            Self::Spread if number(min) == number(max) => middle,
            Self::Spread => format!("{middle} ({} - {})", number(min), number(max)),
            Self::Worst if number(max) == middle => middle,
            Self::Worst => format!("{middle} (max {})", number(max)),
        }
    }
}

/// With three digits that count, in groups of three.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => return "0".to_owned(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => return whole(value),
    };
    digits
        .strip_suffix(".00")
        .or(digits.strip_suffix(".0"))
        .unwrap_or(&digits)
        .to_owned()
}

/// To the next whole number, in groups of three digits.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        // Writing to a string does not fail.
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let round = |rate, lost| vec![Some(rate), lost];
        Table {
            name: "example",
            title: "an example".to_owned(),
            conditions: vec!["on paper".to_owned()],
            keys: vec!["receiver"],
            figures: vec![
                Figure {
                    name: "rate_pps",
                    head: "RATE",
                    style: Style::Spread,
                },
                Figure {
                    name: "lost_frames",
                    head: "LOST",
                    style: Style::Worst,
                },
            ],
            rows: vec![
                Row {
                    keys: vec!["one".to_owned()],
                    command: "one -v".to_owned(),
                    rounds: vec![
                        round(3.0, Some(0.0)),
                        round(1_234_567.0, Some(0.0)),
                        round(2_000.4, Some(7.0)),
                    ],
                    missing: None,
                },
                Row {
                    keys: vec!["other".to_owned()],
                    command: "other".to_owned(),
                    rounds: vec![round(1.0, None)],
                    missing: None,
                },
            ],
        }
    }

    #[test]
    fn a_spread_has_its_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).map(|s| (s.median, s.min, s.max));
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[4.0]), Some((4.0, 4.0, 4.0)));
        assert_eq!(spread(&[3.0, 1.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some((2.0, 1.0, 9.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
    }

    #[test]
    fn a_loss_in_one_round_of_three_is_shown() {
        let text = table().to_string();
        let line = text.lines().find(|line| line.starts_with("one ")).unwrap();
        assert!(line.contains("2,000 (3 - 1,234,567)"), "{text}");
        assert!(line.ends_with("0 (max 7)"), "{text}");
        let other = text.lines().find(|line| line.starts_with("other ")).unwrap();
        assert!(other.ends_with('-'), "{text}");
        assert!(text.contains("one: one -v"), "{text}");
    }

    #[test]
    fn json_has_every_round() {
        let json = table().json();
        let one = &json["rows"][0];
        assert_eq!(one["receiver"], "one");
        assert_eq!(
            one["figures"]["lost_frames"],
            json!({"median": 0.0, "min": 0.0, "max": 7.0, "rounds": [0.0, 0.0, 7.0]})
        );
        assert_eq!(json["rows"][1]["figures"].get("lost_frames"), None);
    }

    #[test]
    fn digits_come_in_groups_of_three() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1.234, "1.23"),
            (9.999, "10"),
            (12.34, "12.3"),
            (99.96, "100"),
            (999.4, "999"),
            (1_000.0, "1,000"),
            (12_345_678.0, "12,345,678"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
