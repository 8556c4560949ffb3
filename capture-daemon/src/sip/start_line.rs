//! The first line of a message: request or response.

use super::header::{line, number, split_before, trim};
use super::message::Malformed;
use super::method::Method;

/// The longest first line that is believed to be one. RFC 3261 sets no limit; a peer that sends no line end must not
/// make every segment search further back.
pub const LONGEST: usize = 8_192;

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `INVITE sip:bob@example.com SIP/2.0`.
    Request {
        /// What is asked.
        method: Method,
        /// Request-URI as on the wire.
        uri: &'a [u8],
    },
    /// `SIP/2.0 200 OK`.
    Response {
        /// Status code, 100 to 699.
        code: u16,
        /// Reason phrase as on the wire, often empty.
        reason: &'a [u8],
    },
}

impl<'a> StartLine<'a> {
    /// Reads a line without its line end. White space where RFC 3261 section 7.1 wants a single space is borne.
    ///
    /// # Errors
    /// [`Malformed::StartLine`], [`Malformed::Version`] or [`Malformed::StatusCode`].
    pub fn parse(line: &'a [u8]) -> Result<Self, Malformed> {
        let line = trim(line);
        if starts_with_ignore_case(line, b"SIP/") {
            return Self::response(line);
        }
        let (token, rest) = split_before(line, |byte| !is_token(byte));
        let uri_and_version = trim(rest);
        let space = uri_and_version
            .iter()
            .rposition(|byte| matches!(byte, b' ' | b'\t'))
            .ok_or(Malformed::StartLine)?;
        let (uri, version) = uri_and_version.split_at_checked(space).ok_or(Malformed::StartLine)?;
        let version = trim(version);
        if token.is_empty() || !rest.starts_with(b" ") || !starts_with_ignore_case(version, b"SIP/") {
            return Err(Malformed::StartLine);
        }
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Malformed::Version);
        }
        Ok(Self::Request {
            method: Method::from_token(token),
            uri: trim(uri),
        })
    }

    fn response(line: &'a [u8]) -> Result<Self, Malformed> {
        let (version, rest) = split_before(line, |byte| byte == b' ');
        if !version.eq_ignore_ascii_case(b"SIP/2.0") {
            return Err(Malformed::Version);
        }
        let (code, reason) = split_before(trim(rest), |byte| byte == b' ');
        let code = number(code)
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (100..700).contains(code))
            .ok_or(Malformed::StatusCode)?;
        Ok(Self::Response {
            code,
            reason: trim(reason),
        })
    }
}

/// Whether a payload begins as SIP messages do, whatever port it stands on. Empty lines before it do not count
/// (RFC 3261 section 7.5).
#[inline]
pub fn begins(payload: &[u8]) -> bool {
    // Every RTP packet is asked: the first bit of its version says no.
    payload.first().is_some_and(u8::is_ascii) && begins_start_line(payload)
}

fn begins_start_line(payload: &[u8]) -> bool {
    let (_, payload) = split_before(payload, |byte| !matches!(byte, b'\r' | b'\n'));
    // So is much else: the first octet says no before a line end is looked for.
    if !payload.first().is_some_and(|byte| is_token(*byte)) {
        return false;
    }
    let payload = payload.get(..LONGEST).unwrap_or(payload);
    let first = line(payload).map_or(payload, |(line, _)| line);
    plausible(first)
}

/// Whether a whole line looks like a start line of any SIP version.
pub fn plausible(line: &[u8]) -> bool {
    if line.len() > LONGEST {
        return false;
    }
    if starts_with_ignore_case(line, b"SIP/") {
        return true;
    }
    let (token, rest) = split_before(line, |byte| !is_token(byte));
    let rest = trim(rest);
    let version = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t'));
    !token.is_empty()
        && line.get(token.len()) == Some(&b' ')
        && version.is_some_and(|at| starts_with_ignore_case(rest.get(at + 1..).unwrap_or_default(), b"SIP/"))
}

/// Whether a line that is not there in full could still become a start line.
pub fn may_become(prefix: &[u8]) -> bool {
    // No registered method has more than nine letters; a token without end is something else.
    const LONGEST_METHOD: usize = 64;
    let (token, rest) = split_before(prefix, |byte| !is_token(byte));
    if starts_with_ignore_case(prefix, b"SIP/") {
        return prefix.len() <= LONGEST;
    }
    let method_goes_on = rest.is_empty() && token.len() <= LONGEST_METHOD;
    let uri_goes_on = !token.is_empty() && rest.starts_with(b" ") && !rest.contains(&0);
    prefix.len() <= LONGEST && (method_goes_on || uri_goes_on)
}

/// Whether octets whose line end is not looked for begin a message: a version, or a token and a URI with a scheme. `None`
/// where there are too few to tell. Bytes at random do so once in some ten million places.
pub fn is_beginning(prefix: &[u8]) -> Option<bool> {
    const VERSION: &[u8] = b"SIP/2.0 ";
    let version = prefix.get(..VERSION.len()).unwrap_or(prefix);
    if VERSION
        .get(..version.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(version))
    {
        return (version.len() == VERSION.len()).then_some(true);
    }
    let (token, rest) = split_before(prefix, |byte| !is_token(byte));
    let (space, uri) = rest.split_first()?;
    if token.is_empty() || *space != b' ' {
        return Some(false);
    }
    // RFC 3986 section 3.1.
    let (scheme, rest) = split_before(uri, |byte| {
        !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.')
    });
    Some(*rest.first()? == b':' && scheme.first().is_some_and(u8::is_ascii_alphabetic))
}

/// RFC 3261 section 25.1, `token`.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
}

fn starts_with_ignore_case(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses() {
        assert_eq!(
            StartLine::parse(b"INVITE sip:b@h; lr SIP/2.0 "),
            Ok(StartLine::Request {
                method: Method::Invite,
                uri: b"sip:b@h; lr",
            })
        );
        assert_eq!(
            StartLine::parse(b"sip/2.0 180"),
            Ok(StartLine::Response { code: 180, reason: b"" })
        );
        assert_eq!(
            StartLine::parse(b"SIP/2.0 404 Not Found"),
            Ok(StartLine::Response {
                code: 404,
                reason: b"Not Found",
            })
        );
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        let cases: [(&[u8], Malformed); 8] = [
            (b"", Malformed::StartLine),
            (b"INVITE SIP/2.0", Malformed::StartLine),
            (b"GET / HTTP/1.1", Malformed::StartLine),
            (b"IN(VITE sip:b@h SIP/2.0", Malformed::StartLine),
            (b"OPTIONS sip:b@h SIP/7.0", Malformed::Version),
            (b"SIP/3.0 200 OK", Malformed::Version),
            (b"SIP/2.0 4294967301 big", Malformed::StatusCode),
            (b"SIP/2.0 99 low", Malformed::StatusCode),
        ];
        for (line, why) in cases {
            assert_eq!(StartLine::parse(line), Err(why), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_beginning_is_told_by_its_first_octets() {
        for sure in [
            &b"SIP/2.0 "[..],
            b"sip/2.0 200 OK",
            b"INVITE sip:",
            b"x tel:+1",
            b"OPTIONS sips:b@h SIP/2.0\r\n",
        ] {
            assert_eq!(is_beginning(sure), Some(true));
        }
        for unsure in [
            &b""[..],
            b"S",
            b"SIP/2.0",
            b"SIPPING",
            b"INVITE ",
            b"INVITE s",
            b"INVITE sip",
        ] {
            assert_eq!(is_beginning(unsure), None);
        }
        for other in [
            &b"\r\n"[..],
            b"SIP/3.0 200",
            b"GET / HTTP/1.1",
            b"INVITE  sip:b",
            b"INVITE 5:b",
            b"INVITE :b",
            b" sip:b",
            b"v=0\r\n",
        ] {
            assert_eq!(is_beginning(other), Some(false), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn content_tells_sip_from_the_rest() {
        assert!(begins(b"\r\nOPTIONS sip:b@h SIP/2.0\r\nVia: x"));
        assert!(begins(b"SIP/2.0 200 OK\r\n"));
        for other in [&b""[..], b"GET / HTTP/1.1\r\n", b"\x80\x00\x00\x01", b"v=0\r\n", b"SIP"] {
            assert!(!begins(other));
        }
    }
}
