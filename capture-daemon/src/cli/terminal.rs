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
}

impl Style {
    /// No colours, the usual width.
    pub const PLAIN: Self = Self {
        width: WIDTH,
        colour: false,
    };

    /// What standard output is. No colours with NO_COLOR (no-color.org) or on a dumb terminal.
    pub fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let width = comfy_table::Table::new().width().map_or(WIDTH, usize::from);
        Self {
            width: width.clamp(NARROWEST, WIDEST),
            colour: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
        }
    }
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
