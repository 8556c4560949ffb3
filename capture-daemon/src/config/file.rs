//! The configuration file: read with every problem named by line, and written with every key explained.

#![deny(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a file is whatever was written into it"
)]

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use capture_common::Level;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, SECTIONS};
use super::rules::EXAMPLE;
use super::{Config, Mode, rules};
use crate::rules::{MAX_RULES, idle, never};

/// Bytes of the longest file that is read; the default one has some 5,000.
const LONGEST: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was read, and this is wrong with it.
    #[error("{}", list(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// In order of their lines.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; absent where the value does not come from the file.
    pub line: Option<usize>,
    /// The key as `section.name`; absent for what is no key.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn list(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|problem| one(path, problem)).collect();
    lines.join("\n")
}

fn one(path: &Path, problem: &Problem) -> String {
    match problem.line {
        Some(line) => format!("{}:{line}: {problem}", path.display()),
        None => format!("{}: {problem}", path.display()),
    }
}

/// Reads and checks a file.
///
/// # Errors
/// The file cannot be read, or something in it is wrong; all that is wrong is said at once.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    open(path).map(|(config, _)| config)
}

/// Reads and checks a file, and returns what is odd about it, a line each: rules that can never match.
///
/// # Errors
/// As [`load`].
pub fn check(path: &Path) -> Result<Vec<String>, ConfigError> {
    let (_, odd) = open(path)?;
    Ok(odd.iter().map(|problem| one(path, problem)).collect())
}

fn open(path: &Path) -> Result<(Config, Vec<Problem>), ConfigError> {
    let wrong = |problems| ConfigError::Wrong {
        path: path.to_owned(),
        problems,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(vec![Problem {
            line: None,
            key: None,
            message: format!("longer than {LONGEST} bytes: not a configuration"),
        }]));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        wrong(vec![Problem {
            line: Some(Lines::of(before).line(before.len())),
            key: None,
            message: "not UTF-8".to_owned(),
        }])
    })?;
    read(text).map_err(wrong)
}

/// Reads and checks the text of a file.
///
/// # Errors
/// Everything that is wrong with it, in order of the lines.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    read(text).map(|(config, _)| config)
}

/// The same, with what is odd about it.
fn read(text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let lines = Lines::of(text.as_bytes());
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax(&lines, error)).collect());
    }
    let mut reading = Reading {
        lines,
        config: Config::default(),
        set: HashMap::new(),
        rules: Vec::new(),
        problems: Vec::new(),
    };
    reading.document(document.get_ref());
    reading.finish()
}

/// Where the lines of a text end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &[u8]) -> Self {
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self(newlines.map(|(at, _)| at).collect())
    }

    /// The line, from 1, of the byte at `offset`.
    fn line(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|newline| *newline < offset)
    }
}

fn syntax(lines: &Lines, error: &toml::de::Error) -> Problem {
    Problem {
        line: error.span().map(|span| lines.line(span.start)),
        key: None,
        message: error.message().replace('\n', ", "),
    }
}

/// What stands above each rule.
const RULES: &str = "rules";

/// Length of a name from the file that is looked at or repeated; a longer one is a mistake of another kind.
const NAME: usize = 64;

fn shortened(name: &str) -> String {
    name.chars().take(NAME).collect()
}

/// The nearest of `names`, where one is near enough to have been meant.
fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = shortened(wrong);
    names
        .map(|name| (strsim::jaro_winkler(&wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

struct Reading {
    lines: Lines,
    config: Config,
    /// Line of each key the file sets, by `section.name`.
    set: HashMap<String, usize>,
    /// Line of each rule.
    rules: Vec<usize>,
    problems: Vec<Problem>,
}

impl Reading {
    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in document {
            let section = name.get_ref().as_ref();
            let line = self.lines.line(name.span().start);
            if section == RULES {
                self.rules(line, value.get_ref());
            } else if !SECTIONS.iter().any(|(known, _)| *known == section) {
                let message = unknown_section(section);
                self.wrong(line, None, message);
            } else if let Some(table) = value.get_ref().as_table() {
                self.section(section, table);
            } else {
                self.wrong(line, None, format!("{section} is a section: write [{section}]"));
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = self.lines.line(name.span().start);
            let name = name.get_ref().as_ref();
            let path = format!("{section}.{}", shortened(name));
            match KEYS.iter().find(|key| key.section == section && key.name == name) {
                None => self.wrong(line, Some(path), unknown_key(section, name)),
                Some(key) => match (key.read)(&mut self.config, value.get_ref()) {
                    Ok(()) => {
                        self.set.insert(path, line);
                    }
                    Err(message) => self.wrong(line, Some(path), message),
                },
            }
        }
    }

    fn rules(&mut self, line: usize, value: &DeValue<'_>) {
        let Some(array) = value.as_array() else {
            return self.wrong(line, None, format!("{RULES} are a list: write [[{RULES}]] above each"));
        };
        for entry in array {
            let line = self.lines.line(entry.span().start);
            let Some(table) = entry.get_ref().as_table() else {
                self.wrong(line, None, format!("a rule is a table: write [[{RULES}]] above it"));
                continue;
            };
            match rules::read(table, entry.span()) {
                Ok(rule) => {
                    if self.config.rules.iter().any(|known| known.name == rule.name) {
                        let message = format!("a rule called {} is there already", rule.name);
                        self.wrong(line, Some(format!("{RULES}.name")), message);
                    }
                    self.rules.push(line);
                    self.config.rules.push(rule);
                }
                Err(wrong) => {
                    for (at, word, message) in wrong {
                        let key = match word.as_str() {
                            "" => RULES.to_owned(),
                            word => format!("{RULES}.{}", shortened(word)),
                        };
                        self.wrong(self.lines.line(at.start), Some(key), message);
                    }
                }
            }
        }
        if array.len() > MAX_RULES {
            let message = format!("{} rules are more than {MAX_RULES}", array.len());
            self.wrong(line, Some(RULES.to_owned()), message);
        }
    }

    fn wrong(&mut self, line: usize, key: Option<String>, message: String) {
        self.problems.push(Problem {
            line: Some(line),
            key,
            message,
        });
    }

    fn finish(mut self) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        // Beside a host the CPU and the disk are the host's: of RTP the headers are kept, unless the file wants more.
        if self.config.capture.mode != Mode::Mirror {
            if !self.set.contains_key("capture.level") {
                self.config.capture.level = Level::Headers;
            }
            if !self.set.contains_key("capture.raise_priority") {
                self.config.capture.raise_priority = false;
            }
        }
        for mut problem in self.config.problems() {
            problem.line = problem.key.as_ref().and_then(|key| self.set.get(key)).copied();
            self.problems.push(problem);
        }
        if self.problems.is_empty() {
            let nevers = never(&self.config.rules).into_iter();
            let odd = nevers.zip(&self.config.rules).zip(&self.rules);
            let media = self.config.capture.media;
            let odd = odd.filter_map(|((never, rule), line)| {
                let never = never.map(|never| never.to_string());
                Some(Problem {
                    line: Some(*line),
                    key: Some(format!("{RULES}.{}", rule.name)),
                    message: never.or_else(|| idle(rule.level, media).map(str::to_owned))?,
                })
            });
            return Ok((self.config.clone(), odd.collect()));
        }
        self.problems.sort_by_key(|problem| problem.line);
        Err(self.problems)
    }
}

fn unknown_section(section: &str) -> String {
    let names = || SECTIONS.iter().map(|(name, _)| *name).chain([RULES]);
    let written = |name: &str| match name {
        RULES => format!("[[{name}]]"),
        _ => format!("[{name}]"),
    };
    let holder = KEYS.iter().find(|key| key.name == section).map(|key| key.section);
    match (holder, nearest(section, names())) {
        (Some(holder), _) => format!("{section} belongs under [{holder}]"),
        (None, Some(near)) => format!(
            "unknown section [{}]; did you mean {}?",
            shortened(section),
            written(near)
        ),
        (None, None) => {
            let known: Vec<String> = names().map(written).collect();
            format!(
                "unknown section [{}]; there are {}",
                shortened(section),
                known.join(" ")
            )
        }
    }
}

fn unknown_key(section: &str, name: &str) -> String {
    let of_section = || KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    if let Some(near) = nearest(name, of_section()) {
        return format!("unknown key; did you mean {near}?");
    }
    match KEYS.iter().find(|key| key.name == name) {
        Some(Key { section, .. }) => format!("unknown key; {section}.{name} is one"),
        None => format!(
            "unknown key; [{section}] has {}",
            of_section().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The default configuration as a file, every key explained above it.
pub fn default_file() -> String {
    let config = Config::default();
    let mut file =
        String::from("# siphon, the default configuration: a key that is left out has the value it has here.\n");
    for (section, doc) in SECTIONS {
        file.push_str(&format!("\n# {doc}\n[{section}]\n"));
        for key in KEYS.iter().filter(|key| key.section == *section) {
            let comment: Vec<String> = wrapped(key.doc, 98).iter().map(|line| format!("# {line}\n")).collect();
            file.push_str(&format!(
                "{}{} = {}\n",
                comment.concat(),
                key.name,
                (key.write)(&config)
            ));
        }
    }
    file.push_str(EXAMPLE);
    file
}

/// `text` broken at spaces into lines of at most `width` bytes where its words allow.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
