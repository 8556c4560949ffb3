//! A call's messages as a ladder: a column for each endpoint, an arrow for each message, time downwards.

use super::phrases::phrase;
use crate::cli::Style;
use crate::cli::table::cut;
use crate::cli::terminal::Ink;
use crate::cli::text::{count, list, moment_to_the_millisecond, printable};
use crate::report::{Call, Message};
use crate::time::Timestamp;

/// Least and most columns between two endpoints that all labels fit between.
const NEAR: usize = 18;
const FAR: usize = 26;
/// Labels are cut where there is room for no more than this between two endpoints; where there is less, there is no ladder.
const LEAST_GAP: usize = 14;
/// Space between the times and the ladder.
const MARGIN: usize = 2;

/// The characters of a ladder.
struct Glyphs {
    lifeline: char,
    arrow: char,
    again: char,
    right: char,
    left: char,
    itself: char,
    between: char,
}

const UTF8: Glyphs = Glyphs {
    lifeline: '│',
    arrow: '─',
    again: '╌',
    right: '▶',
    left: '◀',
    itself: '↩',
    between: '⋮',
};

const ASCII: Glyphs = Glyphs {
    lifeline: '|',
    arrow: '-',
    again: '.',
    right: '>',
    left: '<',
    itself: '@',
    between: ':',
};

/// A message, or the place of those that are not there.
enum Rung<'a> {
    Message(&'a Message),
    NotKept(u64),
}

struct Entry<'a> {
    at: Timestamp,
    /// Which call it belongs to, from 1.
    leg: usize,
    rung: Rung<'a>,
}

/// The ladder of some calls, by time. Where there are several, each line says by a number which it belongs to.
pub(super) fn ladder(calls: &[&Call], style: Style) -> String {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (call, leg) in calls.iter().zip(1..) {
        // The first half and the last half of the messages are kept.
        let half = call.ladder.len().div_ceil(2);
        for (message, place) in call.ladder.iter().zip(1..) {
            let at = message.ts;
            entries.push(Entry {
                at,
                leg,
                rung: Rung::Message(message),
            });
            if place == half && call.messages_not_kept > 0 {
                entries.push(Entry {
                    at,
                    leg,
                    rung: Rung::NotKept(call.messages_not_kept),
                });
            }
        }
    }
    entries.sort_by_key(|entry| entry.at);
    let Some(first) = entries.first() else {
        return String::new();
    };
    let start = first.at;
    let times: Vec<String> = entries.iter().map(|entry| seconds(entry.at, start)).collect();
    let width = times.iter().map(String::len).max().unwrap_or(0);
    let prefixes: Vec<String> = times
        .iter()
        .zip(&entries)
        .map(|(time, entry)| match calls.len() {
            ..=1 => format!("{time:>width$}"),
            _ => format!("{time:>width$} {}", entry.leg),
        })
        .collect();
    let margin = prefixes.first().map_or(0, String::len) + MARGIN;
    let mut text = format!("Seconds since {} UTC\n", moment_to_the_millisecond(start));
    match Plan::find(&entries, margin, style.width) {
        Some(plan) => plan.draw(&entries, &prefixes, style, &mut text),
        None => lines(&entries, &prefixes, style, &mut text),
    }
    text
}

/// Time since the start of the ladder, in seconds.
pub(super) fn seconds(at: Timestamp, start: Timestamp) -> String {
    let (sign, span) = if at < start {
        ("-", start.since(at))
    } else {
        ("", at.since(start))
    };
    format!("{sign}{}.{:03}", span.as_secs(), span.subsec_millis())
}

/// What an arrow says.
fn label(message: &Message) -> String {
    let mut words = match message.status_code {
        None if message.method == "INVITE" && message.to_tag.is_some() => "re-INVITE".to_owned(),
        None => printable(&message.method),
        Some(code) => format!("{code} {}", phrase(code)).trim_end().to_owned(),
    };
    let mut notes = Vec::new();
    if message.status_code.is_some() && message.method != "INVITE" {
        notes.push(printable(&message.method));
    }
    if message.sdp {
        notes.push("SDP".to_owned());
    }
    if message.retransmission {
        notes.push("again".to_owned());
    }
    if !notes.is_empty() {
        words.push_str(&format!(" ({})", notes.join(", ")));
    }
    words
}

const fn ink(message: &Message) -> Ink {
    match message.status_code {
        _ if message.retransmission => Ink::Faint,
        None => Ink::Cyan,
        Some(200..300) => Ink::Green,
        // What every client that is asked for credentials goes through is no failure.
        Some(..=399 | 401 | 407) => Ink::Yellow,
        Some(_) => Ink::Red,
    }
}

/// What of an address is a column: all of it, or the host.
type Part = fn(&str) -> &str;

fn whole(end: &str) -> &str {
    end
}

fn host(end: &str) -> &str {
    end.rsplit_once(':').map_or(end, |(host, _)| host)
}

fn messages<'a>(entries: &'a [Entry<'a>]) -> impl Iterator<Item = &'a Message> {
    entries.iter().filter_map(|entry| match entry.rung {
        Rung::Message(message) => Some(message),
        Rung::NotKept(_) => None,
    })
}

/// Endpoints in order of appearance.
fn ends<'a>(entries: &'a [Entry<'a>], of: Part) -> Vec<&'a str> {
    let mut ends = Vec::new();
    for end in messages(entries).flat_map(|message| [of(&message.src), of(&message.dst)]) {
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends
}

/// `A`, `B`, …, `Z`, `27`, ….
pub(super) fn letter(at: usize) -> String {
    match u8::try_from(at) {
        Ok(at @ ..26) => char::from(b'A' + at).to_string(),
        _ => (at + 1).to_string(),
    }
}

/// The letters and what they stand for.
pub(super) fn legend(ends: &[&str], style: Style) -> String {
    let parts = ends.iter().enumerate();
    list(
        "",
        parts.map(|(at, end)| format!("{} {}", letter(at), printable(end))),
        style.width,
    )
}

/// Where everything stands.
struct Plan<'a> {
    of: Part,
    ends: Vec<&'a str>,
    /// Heads of the columns are letters.
    legend: bool,
    /// Where the first column stands, and how far it is to the next.
    first: usize,
    gap: usize,
}

impl<'a> Plan<'a> {
    /// The plan that says most of those that fit: with addresses over the columns, with letters there, with a column for each
    /// host instead of each port, with labels that are cut.
    fn find(entries: &'a [Entry<'a>], margin: usize, room: usize) -> Option<Self> {
        let (all, cut) = (usize::MAX, LEAST_GAP);
        let tries: [(Part, bool, usize); 6] = [
            (whole, false, all),
            (whole, true, all),
            (host, false, all),
            (host, true, all),
            (whole, true, cut),
            (host, true, cut),
        ];
        tries
            .into_iter()
            .find_map(|(of, legend, most)| Self::fit(entries, of, legend, most, margin, room))
    }

    fn fit(entries: &'a [Entry<'a>], of: Part, legend: bool, most: usize, margin: usize, room: usize) -> Option<Self> {
        let ends = ends(entries, of);
        // Hosts that are one host tell nothing.
        if ends.len() < 2 && self::ends(entries, whole).len() > 1 {
            return None;
        }
        let head = |end: &&str| if legend { 1 } else { end.len() };
        let place = |end: &str| ends.iter().position(|known| *known == of(end)).unwrap_or(0);
        let arrows = messages(entries).map(|message| {
            let columns = place(&message.src).abs_diff(place(&message.dst)).max(1);
            // A space before and behind the label, a dash, the head of the arrow, the next column.
            (label(message).chars().count() + 5).div_ceil(columns)
        });
        let labels = arrows.max().unwrap_or(0).min(most).max(NEAR.min(most));
        let heads = ends.iter().zip(ends.iter().skip(1));
        let heads = heads.map(|(one, next)| head(one).div_ceil(2) + head(next).div_ceil(2) + 2);
        let need = labels.max(heads.max().unwrap_or(0));
        let first = margin + ends.first().map_or(0, |end| head(end) / 2);
        let behind = ends.last().map_or(0, |end| head(end).div_ceil(2));
        // What an endpoint sends to itself is written beside it.
        let gaps = (ends.len() - 1).max(1);
        let widest = room.checked_sub(first + behind)? / gaps;
        (need <= widest).then(|| Self {
            of,
            ends,
            legend,
            first,
            gap: need.max(widest.min(FAR)),
        })
    }

    fn column(&self, end: &str) -> usize {
        let place = self.ends.iter().position(|known| *known == (self.of)(end));
        self.first + self.gap * place.unwrap_or(0)
    }

    fn draw(&self, entries: &[Entry<'_>], prefixes: &[String], style: Style, text: &mut String) {
        let glyphs = if style.ascii { &ASCII } else { &UTF8 };
        if self.legend {
            text.push_str(&legend(&self.ends, style));
        }
        let mut heads = Canvas::default();
        for (at, end) in self.ends.iter().enumerate() {
            let head = if self.legend { letter(at) } else { printable(end) };
            let middle = self.first + self.gap * at;
            heads.write(middle.saturating_sub(head.chars().count() / 2), &head, Ink::Bold);
        }
        text.push_str(&heads.finish(style));
        for (entry, prefix) in entries.iter().zip(prefixes) {
            let mut line = Canvas::default();
            let lifeline = match entry.rung {
                Rung::Message(_) => glyphs.lifeline,
                Rung::NotKept(_) => glyphs.between,
            };
            for at in 0..self.ends.len() {
                line.write(self.first + self.gap * at, &lifeline.to_string(), Ink::Faint);
            }
            match entry.rung {
                Rung::Message(message) => {
                    line.write(0, prefix, Ink::Plain);
                    self.arrow(message, glyphs, style, &mut line);
                }
                Rung::NotKept(messages) => {
                    let words = format!(" {} not kept ", count(messages));
                    line.write(self.first + 1, &words, Ink::Yellow);
                }
            }
            text.push_str(&line.finish(style));
        }
    }

    fn arrow(&self, message: &Message, glyphs: &Glyphs, style: Style, line: &mut Canvas) {
        let (from, to) = (self.column(&message.src), self.column(&message.dst));
        let room = from.abs_diff(to).max(self.gap).saturating_sub(5);
        let label = cut(&label(message), room, style);
        let ink = ink(message);
        let dash = if message.retransmission {
            glyphs.again
        } else {
            glyphs.arrow
        };
        let dashes = |used: usize| {
            let length = from.abs_diff(to).saturating_sub(used + 1);
            dash.to_string().repeat(length)
        };
        let used = label.chars().count() + 3;
        if from < to {
            let arrow = format!(" {label} {}{}", dashes(used), glyphs.right);
            line.write(from + 1, &arrow, ink);
        } else if to < from {
            let arrow = format!("{}{} {label} ", glyphs.left, dashes(used));
            line.write(to + 1, &arrow, ink);
        } else if self.ends.len() > 1 && from == self.first + self.gap * (self.ends.len() - 1) {
            line.write(from.saturating_sub(used), &format!(" {label} {}", glyphs.itself), ink);
        } else {
            line.write(from + 1, &format!("{} {label} ", glyphs.itself), ink);
        }
    }
}

/// The messages one below the other, where there are too many endpoints for columns.
fn lines(entries: &[Entry<'_>], prefixes: &[String], style: Style, text: &mut String) {
    let glyphs = if style.ascii { &ASCII } else { &UTF8 };
    let ends = ends(entries, whole);
    text.push_str(&legend(&ends, style));
    let name = |end: &str| {
        ends.iter()
            .position(|known| *known == end)
            .map_or_else(String::new, letter)
    };
    let width = letter(ends.len().saturating_sub(1)).len();
    for (entry, prefix) in entries.iter().zip(prefixes) {
        let mut line = Canvas::default();
        match entry.rung {
            Rung::Message(message) => {
                let way = format!(
                    "{:>width$} {}{} {:width$}",
                    name(&message.src),
                    glyphs.arrow,
                    glyphs.right,
                    name(&message.dst)
                );
                line.write(0, prefix, Ink::Plain);
                line.write(prefix.len() + MARGIN, &way, Ink::Plain);
                let behind = prefix.len() + way.chars().count() + 2 * MARGIN;
                line.write(behind, &label(message), ink(message));
            }
            Rung::NotKept(messages) => {
                let words = format!("{} {} messages were not kept", glyphs.between, count(messages));
                line.write(prefix.len() + MARGIN, &words, Ink::Yellow);
            }
        }
        text.push_str(&line.finish(style));
    }
}

/// One line, written at any place.
#[derive(Default)]
struct Canvas(Vec<(char, Ink)>);

impl Canvas {
    fn write(&mut self, at: usize, text: &str, ink: Ink) {
        for (c, at) in text.chars().zip(at..) {
            if self.0.len() <= at {
                self.0.resize(at + 1, (' ', Ink::Plain));
            }
            if let Some(cell) = self.0.get_mut(at) {
                *cell = (c, ink);
            }
        }
    }

    fn finish(self, style: Style) -> String {
        let end = self.0.iter().rposition(|(c, _)| *c != ' ').map_or(0, |last| last + 1);
        let mut line = String::new();
        for run in self.0.get(..end).unwrap_or_default().chunk_by(|a, b| a.1 == b.1) {
            let text: String = run.iter().map(|(c, _)| *c).collect();
            line.push_str(&style.paint(run.first().map_or(Ink::Plain, |(_, ink)| *ink), &text));
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
#[path = "ladder_tests.rs"]
mod tests;
