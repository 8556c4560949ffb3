//! Multipart bodies (RFC 2046 section 5.1), as far as finding one part.

use super::header::{Fields, line, split_before, trim};

/// The media type of a session description (RFC 8866 section 8.1).
pub const SDP: &[u8] = b"application/sdp";

/// The first part of `body` whose media type is `wanted`.
pub fn part<'a>(body: &'a [u8], boundary: &[u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = after_delimiter(body, boundary)?.1;
    while !rest.is_empty() {
        // A part without an end, from a sender that forgot the last delimiter or a frame that was cut, ends with the body.
        let (content, next) = after_delimiter(rest, boundary).unwrap_or((rest, &[]));
        let mut fields = Fields::new(content);
        let is_wanted = fields
            .by_ref()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"Content-Type"))
            .any(|(_, value)| trim(split_before(value, |byte| byte == b';').0).eq_ignore_ascii_case(wanted));
        if is_wanted {
            fields.by_ref().for_each(drop);
            return Some(fields.rest());
        }
        rest = next;
    }
    None
}

/// What stands before the next delimiter line and after it. The line end before a delimiter belongs to the delimiter.
fn after_delimiter<'a>(bytes: &'a [u8], boundary: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (first, next) = line(rest).unwrap_or((rest, &[]));
        if first
            .strip_prefix(b"--")
            .is_some_and(|delimiter| delimiter.starts_with(boundary))
        {
            let before = bytes.get(..bytes.len() - rest.len())?;
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            return Some((before.strip_suffix(b"\r").unwrap_or(before), next));
        }
        rest = next;
    }
    None
}
