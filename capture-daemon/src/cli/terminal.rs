//! Where the output goes: its width, whether it takes colours, and what to do when nobody reads it.

use std::io::{self, IsTerminal, Write};

/// Width of tables that go to no terminal.
const WIDTH: usize = 100;
/// A narrower terminal breaks lines itself.
const NARROWEST: usize = 80;
/// A wider line is hard to follow.
const WIDEST: usize = 160;

/// How text for people is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether colours are understood and wanted.
    pub colour: bool,
    /// Whether nothing but ASCII is understood.
    pub ascii: bool,
}

/// Colours by what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// As the terminal writes.
    Plain,
    /// What is there for the eye to follow, and not to be read.
    Faint,
    /// A heading.
    Bold,
    /// A question.
    Cyan,
    /// Well.
    Green,
    /// Not decided, or to be looked at.
    Yellow,
    /// Not well.
    Red,
}

impl Ink {
    /// The escape sequence that begins it (ECMA-48, SGR); empty for what needs none.
    const fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "\u{1b}[2m",
            Self::Bold => "\u{1b}[1m",
            Self::Cyan => "\u{1b}[36m",
            Self::Green => "\u{1b}[32m",
            Self::Yellow => "\u{1b}[33m",
            Self::Red => "\u{1b}[31m",
        }
    }
}

impl Style {
    /// No colours, the usual width.
    pub const PLAIN: Self = Self {
        width: WIDTH,
        colour: false,
        ascii: false,
    };

    /// What standard output is. No colours with NO_COLOR (no-color.org) or on a dumb terminal.
    pub fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let width = comfy_table::Table::new().width().map_or(WIDTH, usize::from);
        Self {
            width: width.clamp(NARROWEST, WIDEST),
            colour: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
            ascii: !speaks_utf8(|name| std::env::var(name).ok()),
        }
    }

    /// A text in a colour, where colours are wanted.
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        match ink.begin() {
            begin if self.colour && !begin.is_empty() && !text.is_empty() => format!("{begin}{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// Whether the locale's characters are UTF-8: the first of the three variables that is set says so (POSIX, XBD 8.2).
fn speaks_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty());
    let charset = locale.as_deref().and_then(|locale| locale.split_once('.'));
    charset.is_some_and(|(_, charset)| {
        let charset = charset.split('@').next().unwrap_or_default();
        charset.eq_ignore_ascii_case("UTF-8") || charset.eq_ignore_ascii_case("UTF8")
    })
}

/// Writes to standard output. A reader that has gone, as `head` does, is no error.
pub(super) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes an error to standard error, where there is nobody left to tell if that fails.
pub(super) fn complain(error: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_which_characters_there_are() {
        let speaks = |set: &[(&str, &str)]| {
            let value = |name: &str| {
                set.iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            speaks_utf8(value)
        };
        assert!(speaks(&[("LANG", "de_DE.UTF-8")]));
        assert!(speaks(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(speaks(&[("LANG", "ca_ES.UTF-8@valencia")]));
        assert!(!speaks(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!speaks(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!speaks(&[]));
    }

    #[test]
    fn colours_are_painted_where_they_are_wanted() {
        let coloured = Style {
            colour: true,
            ..Style::PLAIN
        };
        assert_eq!(coloured.paint(Ink::Red, "486"), "\u{1b}[31m486\u{1b}[0m");
        assert_eq!(coloured.paint(Ink::Plain, "486"), "486");
        assert_eq!(Style::PLAIN.paint(Ink::Red, "486"), "486");
    }
}
