//! The HTTP header that turns a connection into a WebSocket (RFC 6455 sections 1.3 and 4).

/// What HTTP says to whoever looks for WebSockets of one subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// A whole header.
    Header {
        /// Its octets, the empty line included, and those of the body where it is to be passed over.
        len: usize,
        /// What comes behind it.
        upgrade: Upgrade,
    },
    /// A header, or a body to be passed over, of which more must come.
    Incomplete {
        /// Bytes there must be to say more.
        needed: usize,
        /// Bytes in which the header does not end: 0 where it does.
        searched: usize,
    },
    /// No HTTP, as far as can be told.
    Nothing,
}

/// What comes behind a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// WebSocket with the subprotocol that was asked for.
    Agreed,
    /// The same question with credentials, or its answer: 401 and 407 (RFC 9110 section 11).
    Challenge,
    /// Nothing but HTTP, or a WebSocket of another subprotocol.
    None,
}

/// The longest first line that is believed to be one, as of SIP.
const LONGEST: usize = 8_192;

/// Reads the header of HTTP that begins `bytes`, of a request or of an answer: each direction is read alone.
pub fn http(bytes: &[u8], subprotocol: &[u8]) -> Http {
    let incomplete = Http::Incomplete {
        needed: bytes.len().saturating_add(1),
        searched: bytes.len(),
    };
    let Some((first, mut rest)) = line(bytes) else {
        return if bytes.starts_with(ANSWER) && bytes.len() <= LONGEST || ANSWER.starts_with(bytes) {
            incomplete
        } else {
            Http::Nothing
        };
    };
    let is_answer = first.starts_with(ANSWER);
    if !is_answer && !matches!(first.split_last_chunk(), Some((_, b" HTTP/1.1" | b" HTTP/1.0"))) {
        return Http::Nothing;
    }
    let status = first.get(9..12).filter(|_| is_answer);
    let mut is_websocket = false;
    let mut is_agreed = false;
    let mut body = 0_usize;
    loop {
        let Some((field, behind)) = line(rest) else {
            return incomplete;
        };
        rest = behind;
        if field.is_empty() {
            break;
        }
        let Some((name, value)) = split(field, b':') else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"Upgrade") {
            is_websocket |= lists(value, b"websocket");
        } else if name.eq_ignore_ascii_case(b"Sec-WebSocket-Protocol") {
            is_agreed |= lists(value, subprotocol);
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            let value = std::str::from_utf8(value.trim_ascii()).ok();
            body = value.and_then(|value| value.parse().ok()).unwrap_or(0);
        }
    }
    let header = bytes.len().saturating_sub(rest.len());
    let upgrade = match status {
        Some(b"401" | b"407") => Upgrade::Challenge,
        Some(b"101") | None if is_websocket && is_agreed => Upgrade::Agreed,
        _ => Upgrade::None,
    };
    let len = match upgrade {
        Upgrade::Challenge => header.saturating_add(body),
        _ => header,
    };
    if len <= bytes.len() {
        Http::Header { len, upgrade }
    } else {
        Http::Incomplete {
            needed: len,
            searched: 0,
        }
    }
}

/// Whether a segment begins with the whole header that opens a WebSocket of this subprotocol. Any TCP segment may be asked.
pub fn is_upgrade(bytes: &[u8], subprotocol: &[u8]) -> bool {
    (bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/1.1 101"))
        && matches!(
            http(bytes, subprotocol),
            Http::Header {
                upgrade: Upgrade::Agreed,
                ..
            }
        )
}

const ANSWER: &[u8] = b"HTTP/1.";

/// The first line without its end, and what follows.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = split(bytes, b'\n')?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
}

/// What stands before and behind the first `at`.
fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let mut parts = bytes.splitn(2, |octet| *octet == at);
    parts.next().zip(parts.next())
}

/// Whether a list of tokens has this one, in any case.
fn lists(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|octet| *octet == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}
