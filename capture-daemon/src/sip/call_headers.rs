//! What headers beyond those every message has say of a call: Reason, Session-ID, Session-Expires, Replaces, Event, and the
//! status line that tells how a transfer went.

#![deny(
    clippy::arithmetic_side_effects,
    reason = "the bytes come from the network; in debug builds arithmetic would panic on them"
)]

use super::header::{number, parameter, split_before, trim, word};
use super::start_line::StartLine;

/// One value of a Reason header (RFC 3326): `Q.850;cause=16;text="Normal call clearing"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `Q.850`, `SIP` or another name.
    pub protocol: &'a [u8],
    /// The cause in that protocol's numbers.
    pub cause: Option<u32>,
    /// The cause in words; empty where there are none.
    pub text: &'a [u8],
}

impl<'a> Reason<'a> {
    /// Reads one value of the header; `None` where it names no protocol.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (protocol, parameters) = split_before(value, |byte| byte == b';');
        let protocol = trim(protocol);
        (!protocol.is_empty()).then(|| Self {
            protocol,
            cause: parameter(parameters, "cause").and_then(number),
            text: parameter(parameters, "text").unwrap_or_default(),
        })
    }
}

/// The UUIDs of a Session-ID header: the sender's, and its peer's where the header has one (RFC 7989 section 5; RFC 7329
/// has the first alone). Only 32 hexadecimal digits are one, and 32 zeros stand for none.
pub fn session_ids(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (local, parameters) = split_before(value, |byte| byte == b';');
    [Some(trim(local)), parameter(parameters, "remote")]
        .into_iter()
        .flatten()
        .filter(|uuid| uuid.len() == 32 && uuid.iter().all(u8::is_ascii_hexdigit))
        .filter(|uuid| uuid.iter().any(|digit| *digit != b'0'))
}

/// Seconds of a Session-Expires header (RFC 4028 section 4).
pub fn session_expires(value: &[u8]) -> Option<u32> {
    let (seconds, _) = split_before(value, |byte| byte == b';');
    number(trim(seconds))
}

/// The Call-ID that a Replaces header names (RFC 3891 section 6.1); `None` where it names none.
pub fn replaced_call_id(value: &[u8]) -> Option<&[u8]> {
    let (call_id, _) = split_before(value, |byte| byte == b';');
    Some(trim(call_id)).filter(|call_id| !call_id.is_empty())
}

/// The CSeq number of the REFER that an Event header of package `refer` speaks of: `None` in it where it names none
/// (RFC 3515 section 2.4.6). `None` for other packages.
pub fn referred(value: &[u8]) -> Option<Option<u32>> {
    let (package, parameters) = split_before(value, |byte| byte == b';');
    trim(package)
        .eq_ignore_ascii_case(b"refer")
        .then(|| parameter(parameters, "id").and_then(number))
}

/// The status code in a body of type `message/sipfrag` (RFC 3515 section 2.4.5); `None` where the body is none or begins
/// with no status line.
pub fn fragment_status(content_type: &[u8], body: &[u8]) -> Option<u16> {
    let (media_type, _) = split_before(content_type, |byte| byte == b';');
    if !trim(media_type).eq_ignore_ascii_case(b"message/sipfrag") {
        return None;
    }
    let (first, _) = split_before(body, |byte| matches!(byte, b'\r' | b'\n'));
    match StartLine::parse(first).ok()? {
        StartLine::Response { code, .. } => Some(code),
        StartLine::Request { .. } => None,
    }
}

/// Whether a list of option tags (Require, Supported) names this one.
pub fn names_option(value: &[u8], option: &str) -> bool {
    super::header::values(value).any(|tag| word(tag).0.eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
#[path = "call_headers_tests.rs"]
mod tests;
