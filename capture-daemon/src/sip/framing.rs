//! Where a message ends in a stream of bytes (RFC 3261 section 18.3), and where the next begins when that is not known.

use super::header::{Fields, line, split_before};
use super::message::content_length;
use super::start_line::{may_become, plausible};

/// What stands at the beginning of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A message of this many octets.
    Message(usize),
    /// A message, or something that may become one, of which more must come.
    Incomplete,
    /// This many octets of empty lines: a ping or pong of RFC 5626 section 4.4.1, or slack between messages.
    Keepalive(usize),
    /// This many octets that belong to no message.
    Garbage(usize),
}

/// Says what stands at the beginning of `bytes`. Never more than one pass over them, and every answer but
/// [`Framing::Incomplete`] takes at least one octet.
///
/// A message without Content-Length, which RFC 3261 section 18.3 forbids in streams, has the lines of a session description
/// that follow it for a body, as many as `bytes` hold; where its Content-Type announces one, it is waited for. With a
/// Content-Length that cannot be read it has none.
pub fn frame(bytes: &[u8]) -> Framing {
    let (slack, message) = split_before(bytes, |byte| !matches!(byte, b'\r' | b'\n'));
    if !slack.is_empty() {
        return Framing::Keepalive(slack.len());
    }
    let Some((first, rest)) = line(message) else {
        return if may_become(message) {
            Framing::Incomplete
        } else {
            Framing::Garbage(garbage_len(message))
        };
    };
    if !plausible(first) {
        return Framing::Garbage(garbage_len(message));
    }
    match rest_len(rest).and_then(|len| len.checked_add(bytes.len() - rest.len())) {
        Some(len) if len <= bytes.len() => Framing::Message(len),
        _ => Framing::Incomplete,
    }
}

/// Octets of what follows a start line, once the header is whole.
fn rest_len(rest: &[u8]) -> Option<usize> {
    let mut fields = Fields::new(rest);
    let mut length = None;
    let mut has_sdp = false;
    for (name, value) in fields.by_ref() {
        if length.is_none() && name.eq_ignore_ascii_case(b"Content-Length") {
            length = Some(content_length(value).unwrap_or(0));
        } else if name.eq_ignore_ascii_case(b"Content-Type") {
            let (media_type, _) = split_before(value, |byte| byte == b';');
            has_sdp = media_type.trim_ascii().eq_ignore_ascii_case(b"application/sdp");
        }
    }
    let header = fields.ended().then(|| rest.len() - fields.rest().len())?;
    let length = length.unwrap_or_else(|| match fields.rest() {
        body @ ([] | [b'v']) if has_sdp => body.len() + 1,
        body => sdp_len(body),
    });
    header.checked_add(length)
}

/// Octets of the lines that begin `bytes` as those of a session description do (RFC 8866 section 5), the last one perhaps
/// not there in full. No start line looks like one.
fn sdp_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while bytes.starts_with(b"v=") && matches!(rest, [b'a'..=b'z', b'=', ..]) {
        rest = line(rest).map_or(&[], |(_, behind)| behind);
    }
    bytes.len() - rest.len()
}

/// Octets of the message that begins `bytes`, which [`frame`] found incomplete: `None` while its header is not whole.
pub fn announced_len(bytes: &[u8]) -> Option<usize> {
    let (_, rest) = line(bytes)?;
    rest_len(rest)?.checked_add(bytes.len() - rest.len())
}

/// Whether [`frame`], which found the first `searched` octets incomplete and their header not whole, would say the same of
/// all of `bytes`. Looks at the first line and at what is new, so that a stream that comes in tiny segments is not read
/// again with each of them.
pub fn is_unchanged(bytes: &[u8], searched: usize) -> bool {
    let old = bytes.get(..searched).unwrap_or(bytes);
    // An empty line begins behind a line end, at most two octets before what is new.
    let new = bytes.get(searched.saturating_sub(2)..).unwrap_or_default();
    let mut lines = new.split(|byte| *byte == b'\n');
    lines.next();
    let mut ended = lines.clone().skip(1).zip(lines).map(|(_, line)| line);
    line(old).is_some() && !ended.any(|line| matches!(line, b"" | b"\r"))
}

/// Octets up to the next line that is, or may become, a start line.
fn garbage_len(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((_, next)) = line(rest) {
        let begins = match line(next) {
            Some((first, _)) => plausible(first),
            None => may_become(next),
        };
        if begins {
            return bytes.len() - next.len();
        }
        rest = next;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:b@h SIP/2.0\r\nCall-ID: 1\r\nl: 4\r\n\r\nbody";

    #[test]
    fn every_prefix_of_a_message_is_incomplete() {
        for len in 0..OPTIONS.len() {
            assert_eq!(frame(OPTIONS.get(..len).unwrap()), Framing::Incomplete, "{len}");
        }
        assert_eq!(frame(OPTIONS), Framing::Message(OPTIONS.len()));
    }

    #[test]
    fn what_is_announced_and_what_is_unchanged_agree_with_framing() {
        for text in [OPTIONS, b"SIP/2.0 200 OK\nl: 9\nt: x\n fold\n\nbody" as &[u8]] {
            let header = text.windows(4).position(|at| at == b"body").unwrap();
            for len in 0..text.len() {
                let bytes = text.get(..len).unwrap();
                let total = (len >= header).then_some(if text == OPTIONS { text.len() } else { text.len() + 5 });
                assert_eq!(announced_len(bytes), total, "{len}");
                for searched in 0..len {
                    let line_was_whole = bytes.get(..searched).unwrap().contains(&b'\n');
                    let expected = line_was_whole && (searched < header) && len < header;
                    if searched < header {
                        assert_eq!(is_unchanged(bytes, searched), expected, "{searched} of {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn messages_follow_each_other_and_slack_is_a_keepalive() {
        let stream = [OPTIONS, b"\r\n\r\n", OPTIONS].concat();
        assert_eq!(frame(&stream), Framing::Message(OPTIONS.len()));
        let rest = stream.get(OPTIONS.len()..).unwrap();
        assert_eq!(frame(rest), Framing::Keepalive(4));
        assert_eq!(frame(rest.get(4..).unwrap()), Framing::Message(OPTIONS.len()));
    }

    #[test]
    fn joining_in_the_middle_skips_to_the_next_start_line() {
        let stream = [b"tent-Length: 4\r\n\r\nv=0\r\n", OPTIONS].concat();
        assert_eq!(frame(&stream), Framing::Garbage(stream.len() - OPTIONS.len()));
        assert_eq!(frame(b"\x16\x03\x01\x00\xff\x00"), Framing::Garbage(6));
        // The last line may be the beginning of a message and is kept.
        assert_eq!(frame(b"a=b\r\nOPTI"), Framing::Garbage(5));
    }

    #[test]
    fn without_a_content_length_a_session_description_is_the_body() {
        const BODY: &[u8] = b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";
        for (header, waits) in [
            (&b"SIP/2.0 200 OK\r\nc: Application/SDP;x\r\n\r\n"[..], true),
            (b"SIP/2.0 200 OK\r\n\r\n", false),
        ] {
            for behind in [&b""[..], OPTIONS, b"\r\n\r\n", b"OPT", b"a", b"\x81\x00"] {
                let text = [header, BODY, behind].concat();
                assert_eq!(frame(&text), Framing::Message(header.len() + BODY.len()), "{behind:?}");
                let alone = [header, behind].concat();
                let expected = match (waits, behind) {
                    (true, []) => Framing::Incomplete,
                    _ => Framing::Message(header.len()),
                };
                assert_eq!(frame(&alone), expected, "{behind:?}");
            }
            for len in 2..BODY.len() {
                let text = [header, BODY.get(..len).unwrap()].concat();
                let whole_lines_and_what_may_be_one = match BODY.get(len - 2) {
                    Some(b'\n') => len - 1,
                    _ => len,
                };
                assert_eq!(
                    frame(&text),
                    Framing::Message(header.len() + whole_lines_and_what_may_be_one),
                    "{len}"
                );
            }
            let one = [header, b"v"].concat();
            let expected = if waits {
                Framing::Incomplete
            } else {
                Framing::Message(header.len())
            };
            assert_eq!(frame(&one), expected);
            assert_eq!(announced_len(header), Some(header.len() + usize::from(waits)));
        }
        let said = b"SIP/2.0 200 OK\r\nc: application/sdp\r\nl: 3\r\n\r\nv=0\r\n";
        assert_eq!(frame(said), Framing::Message(said.len() - 2), "what it says holds");
    }

    #[test]
    fn a_wrong_content_length_costs_the_body_only() {
        let text = b"SIP/2.0 200 OK\r\nContent-Length: -5\r\n\r\n";
        assert_eq!(frame(text), Framing::Message(text.len()));
        let huge = b"SIP/2.0 200 OK\r\nContent-Length: 4294967295\r\n\r\n";
        assert_eq!(frame(huge), Framing::Incomplete);
    }
}
