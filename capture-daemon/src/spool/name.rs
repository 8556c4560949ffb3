//! Names of spool files: written from the configured template, and recognised by it again.

use std::time::Duration;

use crate::config::Format;
use crate::time::Timestamp;

/// What a file is called while it is open, behind its name.
pub const PART: &str = ".part";

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A word in braces that stands for nothing.
    #[error("template has {{{0}}}; there are {{interface}}, {{lane}}, {{time}} and {{extension}}")]
    Unknown(String),
    /// A brace without its partner.
    #[error("template has a brace without its partner")]
    Brace,
    /// Without these, files of two lanes or of two intervals would have one name.
    #[error("template lacks {{{0}}}, without which two files would have one name")]
    Missing(&'static str),
    /// A word in braces that stands there twice.
    #[error("template has {{{0}}} twice")]
    Twice(&'static str),
    /// The file's number, which follows the time, would run into the lane's.
    #[error("template needs something between {{time}} and {{lane}}")]
    Adjacent,
    /// The name would lead out of the folder.
    #[error("a file name has no slash")]
    Slash,
    /// Closed files must not look like open ones.
    #[error("a closed file's name does not end in {PART}")]
    Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Lane,
    Time,
    Extension,
}

/// The names of the files of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<Piece>);

/// What a file name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts<'n> {
    /// The lane whose frames are in the file.
    pub lane: usize,
    /// UTC time of the first frame, such as `20261121T090000Z`.
    pub time: &'n str,
    /// Number of the file among those that begin in one second; 0 is not written.
    pub number: u32,
    /// The extension, or empty where the template has none.
    pub extension: &'n str,
}

impl Names {
    /// Takes a template apart and sets `interface` in.
    ///
    /// # Errors
    /// A template whose names could not be told apart, or would not lie in the folder.
    pub fn new(template: &str, interface: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let literal = |pieces: &mut Vec<Piece>, text: &str| match pieces.last_mut() {
            Some(Piece::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => pieces.push(Piece::Literal(text.to_owned())),
        };
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braced) = rest.split_at(at);
            literal(&mut pieces, before);
            let (word, after) = braced
                .strip_prefix('{')
                .and_then(|word| word.split_once('}'))
                .ok_or(TemplateError::Brace)?;
            rest = after;
            match word {
                "interface" => literal(&mut pieces, interface),
                "lane" => pieces.push(Piece::Lane),
                "time" => pieces.push(Piece::Time),
                "extension" => pieces.push(Piece::Extension),
                _ => return Err(TemplateError::Unknown(word.to_owned())),
            }
        }
        literal(&mut pieces, rest);
        let count = |piece| pieces.iter().filter(|other| **other == piece).count();
        for (piece, name, needed) in [
            (Piece::Lane, "lane", true),
            (Piece::Time, "time", true),
            (Piece::Extension, "extension", false),
        ] {
            match count(piece) {
                0 if needed => return Err(TemplateError::Missing(name)),
                0 | 1 => {}
                _ => return Err(TemplateError::Twice(name)),
            }
        }
        if pieces.windows(2).any(|pair| *pair == [Piece::Time, Piece::Lane]) {
            return Err(TemplateError::Adjacent);
        }
        let literals = |test: fn(&str) -> bool| pieces.iter().any(|p| matches!(p, Piece::Literal(text) if test(text)));
        if literals(|text| text.contains(['/', '\0'])) {
            return Err(TemplateError::Slash);
        }
        if matches!(pieces.last(), Some(Piece::Literal(text)) if text.ends_with(PART)) {
            return Err(TemplateError::Part);
        }
        Ok(Self(pieces))
    }

    /// The name of a file.
    pub fn name(&self, parts: &Parts<'_>) -> String {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Lane => name.push_str(&parts.lane.to_string()),
                Piece::Time if parts.number == 0 => name.push_str(parts.time),
                Piece::Time => name.push_str(&format!("{}-{}", parts.time, parts.number)),
                Piece::Extension => name.push_str(parts.extension),
            }
        }
        name
    }

    /// What `name` says, or `None` where it is not the name of a file of this interface and template.
    pub fn parts<'n>(&self, name: &'n str) -> Option<Parts<'n>> {
        matched(&self.0, name, Parts::default())
    }
}

/// Tries each way in which `rest` may be what `pieces` write. A template has at most three open pieces and a name 255
/// bytes, so the ways are few.
fn matched<'n>(pieces: &[Piece], rest: &'n str, parts: Parts<'n>) -> Option<Parts<'n>> {
    let Some((piece, pieces)) = pieces.split_first() else {
        return rest.is_empty().then_some(parts);
    };
    match piece {
        Piece::Literal(text) => matched(pieces, rest.strip_prefix(text.as_str())?, parts),
        Piece::Lane => numbers(rest).find_map(|(lane, rest)| {
            let lane = usize::try_from(lane).ok()?;
            matched(pieces, rest, Parts { lane, ..parts.clone() })
        }),
        Piece::Time => {
            let (time, rest) = rest.split_at_checked(TIME_LEN).filter(|(time, _)| is_time(time))?;
            let parts = Parts { time, ..parts };
            let numbered = rest.strip_prefix('-').into_iter().flat_map(numbers);
            numbered.chain([(0, rest)]).find_map(|(number, rest)| {
                matched(
                    pieces,
                    rest,
                    Parts {
                        number,
                        ..parts.clone()
                    },
                )
            })
        }
        Piece::Extension => ["pcapng", "pcap"].into_iter().find_map(|extension| {
            let rest = rest.strip_prefix(extension)?;
            matched(
                pieces,
                rest,
                Parts {
                    extension,
                    ..parts.clone()
                },
            )
        }),
    }
}

/// The numbers that `text` may begin with, the longest first, and what follows each.
fn numbers(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count().min(9);
    (1..=digits).rev().filter_map(|len| {
        let (number, rest) = text.split_at(len);
        Some((number.parse().ok()?, rest))
    })
}

const TIME_LEN: usize = "20261121T090000Z".len();

fn is_time(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    })
}

/// A moment as file names say it: UTC, to the second.
pub fn time_text(ts: Timestamp) -> String {
    let seconds = i64::try_from(ts.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
    // In jiff's range, which ends in the year 9999, for any u64 of nanoseconds.
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The extension of files of a format.
pub const fn extension(format: Format) -> &'static str {
    match format {
        Format::Pcap => "pcap",
        Format::Pcapng => "pcapng",
    }
}

/// The end of the interval that `ts` lies in: the next multiple of `interval` since midnight UTC, or that midnight's
/// successor; for more than a day, the next multiple since the epoch. Zero is no interval, and has no end.
pub fn interval_end(ts: Timestamp, interval: Duration) -> Timestamp {
    const DAY: u64 = 86_400_000_000_000;
    let (nanos, Ok(interval)) = (ts.as_nanos(), u64::try_from(interval.as_nanos())) else {
        return Timestamp::from_nanos(u64::MAX);
    };
    let end = match interval {
        0 => u64::MAX,
        1..=DAY => {
            let midnight = nanos - nanos % DAY;
            let begun = (nanos - midnight) / interval;
            midnight.saturating_add(((begun + 1) * interval).min(DAY))
        }
        _ => (nanos / interval).saturating_add(1).saturating_mul(interval),
    };
    Timestamp::from_nanos(end)
}
