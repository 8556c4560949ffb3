//! Keys of a telephone: their names, and the bodies of SIP INFO that carry them.
//!
//! `application/dtmf-relay` is two lines, `Signal=5` and `Duration=160`; `application/dtmf` is the key alone. Neither is in
//! an RFC: they are what vendors agreed on (RFC 6086 section 3 names the practice).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use crate::net::Endpoint;
use crate::report;
use crate::sip::Message;
use crate::text::fingerprint;
use crate::time::Timestamp;

/// Keys kept of one stream, and of one call's INFO requests; those beyond are counted.
pub const MAX_DIGITS: usize = 64;

/// Lines of a body that are looked at.
const MAX_LINES: usize = 16;

/// The key of an event code (RFC 4733 section 3.2): digits, `*`, `#`, `A` to `D`, and `!` for the flash of the hook (16,
/// RFC 5244).
pub fn key(event: u8) -> Option<char> {
    const KEYS: &[u8; 17] = b"0123456789*#ABCD!";
    KEYS.get(usize::from(event)).map(|key| char::from(*key))
}

/// A key as a body names it: itself, or its event code.
fn named(name: &[u8]) -> Option<char> {
    match name {
        [one] => {
            let one = char::from(*one).to_ascii_uppercase();
            (0..=16).filter_map(key).find(|key| *key == one)
        }
        [b'1', unit @ b'0'..=b'6'] => key(unit.wrapping_sub(b'0').wrapping_add(10)),
        _ => None,
    }
}

/// What an INFO request says was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The key.
    pub key: char,
    /// For how long, in milliseconds, where it is told.
    pub duration_ms: Option<u32>,
}

/// Reads the body of an INFO request; `None` where it is of another type or names no key.
pub fn signal(content_type: &[u8], body: &[u8]) -> Option<Signal> {
    let media_type = content_type.split(|byte| *byte == b';').next()?.trim_ascii();
    let relay = media_type.eq_ignore_ascii_case(b"application/dtmf-relay");
    if !relay && !media_type.eq_ignore_ascii_case(b"application/dtmf") {
        return None;
    }
    let mut pressed = None;
    let mut duration_ms = None;
    for line in body.split(|byte| matches!(byte, b'\r' | b'\n')).take(MAX_LINES) {
        let mut parts = line.splitn(2, |byte| matches!(byte, b'=' | b':'));
        let name = parts.next().unwrap_or_default().trim_ascii();
        match parts.next().map(<[u8]>::trim_ascii) {
            Some(value) if name.eq_ignore_ascii_case(b"signal") => pressed = pressed.or(named(value)),
            Some(value) if name.eq_ignore_ascii_case(b"duration") => {
                duration_ms = duration_ms.or(std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()));
            }
            None if !relay => pressed = pressed.or(named(name)),
            Some(_) | None => {}
        }
    }
    Some(Signal {
        key: pressed?,
        duration_ms,
    })
}

/// One key pressed, as an INFO request told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InfoDigit {
    /// When the request was first seen, and where it came from then.
    at: (Timestamp, Endpoint),
    /// The request: its sender's tag, hashed, and its number. Retransmissions and further hops have the same.
    request: (u64, u32),
    signal: Signal,
}

/// Keys that the INFO requests of one call told of: the earliest, whatever the order they came in.
#[derive(Clone, Debug, Default)]
pub struct InfoDigits {
    kept: Vec<InfoDigit>,
    /// Requests that had to go or found no room.
    beyond: u64,
}

impl InfoDigits {
    /// Takes an INFO request, if a key is in it.
    pub fn take(known: &mut Option<Box<Self>>, ts: Timestamp, src: Endpoint, message: &Message<'_>) {
        let Some(signal) = signal(message.content_type, message.body) else {
            return;
        };
        let tag = message.from_tag.unwrap_or_default();
        let press = InfoDigit {
            at: (ts, src),
            request: (fingerprint(tag), message.cseq.number),
            signal,
        };
        known.get_or_insert_default().insert(press);
    }

    /// Takes in what another call was told that turned out to be the same.
    pub fn join(known: &mut Option<Box<Self>>, other: Option<Box<Self>>) {
        let Some(other) = other else { return };
        let known = known.get_or_insert_default();
        known.beyond = known.beyond.saturating_add(other.beyond);
        for press in other.kept {
            known.insert(press);
        }
    }

    fn insert(&mut self, press: InfoDigit) {
        if let Some(known) = self.kept.iter_mut().find(|known| known.request == press.request) {
            known.at = known.at.min(press.at);
            return;
        }
        self.kept.push(press);
        if self.kept.len() > MAX_DIGITS {
            let latest = (0..self.kept.len()).max_by_key(|&at| self.kept.get(at).map(|press| press.at));
            if let Some(latest) = latest {
                self.kept.swap_remove(latest);
                self.beyond = self.beyond.saturating_add(1);
            }
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.beyond.saturating_add(self.kept.len() as u64)
    }

    /// What is to be told, in order of time.
    pub fn report(&self) -> report::Dtmf {
        let digit = |press: &InfoDigit| report::Digit {
            digit: press.signal.key.into(),
            at: press.at.0,
            duration_ms: press.signal.duration_ms.map(f64::from),
            source: report::DigitSource::Info,
            src: press.at.1.to_string(),
            ssrc: None,
            timestamp: None,
        };
        let mut digits: Vec<report::Digit> = self.kept.iter().map(digit).collect();
        digits.sort_by(|a, b| (a.at, &a.src).cmp(&(b.at, &b.src)));
        report::Dtmf {
            masked: false,
            digits,
            beyond: self.beyond,
        }
    }
}

#[cfg(test)]
#[path = "dtmf_tests.rs"]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]
mod tests;
