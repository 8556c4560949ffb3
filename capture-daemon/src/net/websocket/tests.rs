//! Messages against a reader that takes an octet at a time, and what is looked for out of step.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails"
)]

use proptest::prelude::*;

use super::*;

/// A frame as a peer writes it, with the shortest length or a longer one.
fn frame(first: u8, mask: Option<[u8; 4]>, length_len: usize, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (length_len, payload.len()) {
        (0, len @ 0..126) => bytes.push(masked | len as u8),
        (0 | 2, len @ 0..=0xffff) => {
            bytes.push(masked | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        (_, len) => {
            bytes.push(masked | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    for (n, octet) in payload.iter().enumerate() {
        bytes.push(octet ^ mask.unwrap_or_default()[n % 4]);
    }
    bytes
}

/// The specification, an octet at a time: RFC 6455 section 5.2 as a state machine. What of `bytes` is a message, and
/// `Err(true)` where more is needed, `Err(false)` where no more would help.
fn slow(bytes: &[u8]) -> Result<(usize, Kind, Vec<u8>), bool> {
    let mut octets = bytes.iter().copied().enumerate();
    let mut payload = Vec::new();
    let mut kind = None;
    loop {
        let (_, first) = octets.next().ok_or(true)?;
        let (mut at, second) = octets.next().ok_or(true)?;
        let mut number = |count: u8| -> Result<Vec<u8>, bool> {
            let mut taken = Vec::new();
            for _ in 0..count {
                let (now, octet) = octets.next().ok_or(true)?;
                at = now;
                taken.push(octet);
            }
            Ok(taken)
        };
        let length = number(match second % 128 {
            126 => 2,
            127 => 8,
            _ => 0,
        })?;
        let mask = number(if second >= 128 { 4 } else { 0 })?;
        let mut len = u128::from(second % 128);
        if !length.is_empty() {
            len = 0;
            for octet in length {
                len = len * 256 + u128::from(octet);
            }
        }
        let control = match first % 16 {
            0 if kind.is_some() => false,
            1 | 2 if kind.is_none() => false,
            8..=10 if first >= 128 && len < 126 => true,
            _ => return Err(false),
        };
        if len >= 1 << 63 {
            return Err(false);
        }
        let mut n = 0;
        while n < len {
            let (now, octet) = octets.next().ok_or(true)?;
            at = now;
            if !control {
                payload.push(if mask.is_empty() {
                    octet
                } else {
                    octet ^ mask[(n % 4) as usize]
                });
            }
            n += 1;
        }
        if control {
            if kind.is_none() {
                return Ok((at + 1, Kind::Control, Vec::new()));
            }
            continue;
        }
        if first & 0x70 > 0 {
            kind = Some(Kind::Extended);
        }
        let kind = *kind.get_or_insert(Kind::Data);
        if first >= 128 {
            return Ok((at + 1, kind, payload));
        }
    }
}

/// What [`read`] says, asked again with each octet it wants, as a TCP direction does.
fn fast(bytes: &[u8]) -> Result<(usize, Kind, Vec<u8>), bool> {
    let mut searched = 0;
    let mut len = 0;
    loop {
        match read(&bytes[..len], searched) {
            Framing::Message(message) => {
                assert_eq!(message.len, len, "asked for more than was needed");
                return Ok((message.len, message.kind, message.payload.into_owned()));
            }
            Framing::Incomplete { needed, .. } if needed > bytes.len() => return Err(true),
            Framing::Incomplete { needed, searched: more } => {
                assert!(needed > len && more >= searched && more <= len);
                (len, searched) = (needed, more);
            }
            Framing::Invalid => return Err(false),
        }
    }
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(&[0x00_u8, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a][..]),
        1 => any::<u8>(),
    ];
    let length_len = prop::sample::select(&[0_usize, 0, 0, 2, 8][..]);
    let payload = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        1 => prop::collection::vec(any::<u8>(), 120..300),
    ];
    (first, any::<Option<[u8; 4]>>(), length_len, payload)
        .prop_map(|(first, mask, length_len, payload)| frame(first, mask, length_len, &payload))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn frames_in_any_order_are_read_as_an_octet_at_a_time(
        frames in prop::collection::vec(any_frame(), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = frames.concat();
        prop_assert_eq!(fast(&bytes), slow(&bytes));
        let cut = &bytes[..cut.index(bytes.len() + 1)];
        prop_assert_eq!(fast(cut), slow(cut));
        prop_assert_eq!(matches!(read(cut, 0), Framing::Message(_)), slow(cut).is_ok(), "at once");
    }

    #[test]
    fn any_octets_are_read_as_an_octet_at_a_time(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(fast(&bytes), slow(&bytes));
    }

    /// A message, however it is cut into frames and with whatever between them.
    #[test]
    fn fragments_are_put_together(
        payload in prop::collection::vec(any::<u8>(), 0..2_000),
        sizes in prop::collection::vec(1usize..600, 1..10),
        mask in any::<Option<[u8; 4]>>(),
        pings in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        let mut rest = &payload[..];
        for (n, size) in sizes.iter().cycle().enumerate() {
            let (part, behind) = rest.split_at(rest.len().min(*size));
            let last = if behind.is_empty() { 0x80 } else { 0 };
            bytes.extend(frame(last | if n == 0 { BINARY } else { CONTINUATION }, mask, 0, part));
            rest = behind;
            if rest.is_empty() {
                break;
            }
            if pings {
                bytes.extend(frame(0x89, mask, 0, b"ping"));
            }
        }
        let len = bytes.len();
        bytes.extend(frame(0x8a, mask, 0, b""));
        prop_assert_eq!(fast(&bytes), Ok((len, Kind::Data, payload)));
    }
}

#[test]
fn lengths_of_one_two_and_eight_octets() {
    for len in [0, 125, 126, 65_535, 65_536] {
        let payload = vec![7; len];
        for mask in [None, Some([1, 2, 3, 4])] {
            let bytes = frame(0x81, mask, 0, &payload);
            assert_eq!(fast(&bytes), Ok((bytes.len(), Kind::Data, payload.clone())));
        }
    }
    // More than can be: waited for without end by nobody who bounds what waits.
    let huge = [0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1];
    assert_eq!(
        read(&huge, 0),
        Framing::Incomplete {
            needed: 0x8000_0000_0000_0009,
            searched: 0
        }
    );
    let beyond = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(read(&beyond, 0), Framing::Invalid);
}

#[test]
fn what_an_extension_coded_is_told() {
    let bytes = frame(0xc1, None, 0, b"\xf2\x48");
    assert_eq!(fast(&bytes), Ok((4, Kind::Extended, b"\xf2\x48".to_vec())));
}

#[test]
fn what_no_peer_may_write() {
    for bytes in [
        &frame(0x83, None, 0, b"")[..],
        &frame(0x8b, None, 0, b""),
        &frame(0x80, None, 0, b"goes on after nothing"),
        &frame(0x09, None, 0, b"a ping in parts"),
        &frame(0x89, None, 0, &[0; 126]),
        &[frame(0x01, None, 0, b"a"), frame(0x81, None, 0, b"begins again")].concat(),
        b"GET / HTTP/1.1",
        b"HTTP/1.1 101",
    ] {
        assert_eq!(read(bytes, 0), Framing::Invalid, "{bytes:?}");
    }
}

/// Text that begins with a capital A, of two or more.
fn expected(prefix: &[u8]) -> Option<bool> {
    match prefix {
        [] | [b'A'] => None,
        [b'A', b'A', ..] => Some(true),
        _ => Some(false),
    }
}

#[test]
fn the_next_message_is_found_from_anywhere() {
    for mask in [None, Some([0x81, 2, 0x82, 1])] {
        let one = frame(0x81, mask, 0, &[&b"AA"[..], &[b'b'; 830]].concat());
        let two = frame(0x02, mask, 0, &[&b"AA"[..], &[b'c'; 50]].concat());
        let bytes = [&one[..], &two].concat();
        assert_eq!(begins(&bytes, expected), Some(true));
        for at in 1..one.len() {
            assert_eq!(begins(&bytes[at..], expected), Some(false));
            assert_eq!(search(&bytes[at..], expected), one.len() - at);
        }
        // Cut short, it may begin at the last octets, and is not passed over.
        for len in 0..two.len() {
            let cut = &bytes[1..one.len() + len];
            let sure = if mask.is_some() { 8 } else { 4 };
            assert_eq!(search(cut, expected), one.len() - 1);
            let at_end = &cut[one.len() - 1..];
            assert_eq!(begins(at_end, expected), (len >= sure).then_some(true), "{len}");
        }
    }
    assert_eq!(
        begins(&frame(0x81, None, 0, b"A"), expected),
        Some(false),
        "that is all of it"
    );
    assert_eq!(begins(&frame(0x89, None, 0, b"AA"), expected), Some(false), "a ping");
}

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: h2c, WebSocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: msrp, SIP\r\n\r\n";
const ANSWER_101: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-protocol: sip\r\n\r\n";

#[test]
fn headers_say_what_comes_behind_them() {
    let len = |text: &str| text.find("\r\n\r\n").unwrap() + 4;
    let cases = [
        (REQUEST, Upgrade::Agreed),
        (ANSWER_101, Upgrade::Agreed),
        (
            "GET / HTTP/1.1\nUpgrade: websocket\nSec-WebSocket-Protocol: sip\n\r\n\r\n",
            Upgrade::Agreed,
        ),
        (
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
            Upgrade::None,
        ),
        ("GET / HTTP/1.1\r\nSec-WebSocket-Protocol: sip\r\n\r\n", Upgrade::None),
        ("POST /x HTTP/1.0\r\nContent-Length: 99\r\n\r\n", Upgrade::None),
        (
            "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
            Upgrade::None,
        ),
        ("HTTP/1.1 401 \r\n\r\n", Upgrade::Challenge),
    ];
    for (text, upgrade) in cases {
        let more = format!("{text}\u{1}x");
        let found = http(more.as_bytes(), b"sip");
        let expected = if text.contains("\n\r\n\r\n") {
            text.len() - 2
        } else {
            len(text)
        };
        assert_eq!(found, Http::Header { len: expected, upgrade }, "{text}");
        for cut in 0..expected {
            let bytes = &text.as_bytes()[..cut];
            let whole_line = text[..cut].contains('\n');
            let answer = text.starts_with("HTTP") || cut == 0;
            let incomplete = Http::Incomplete {
                needed: cut + 1,
                searched: cut,
            };
            let expected = if whole_line || answer {
                incomplete
            } else {
                Http::Nothing
            };
            assert_eq!(http(bytes, b"sip"), expected, "{cut} of {text}");
        }
    }
    let body = "HTTP/1.1 407 x\r\nContent-Length: 3\r\n\r\nab";
    assert_eq!(
        http(body.as_bytes(), b"sip"),
        Http::Incomplete {
            needed: body.len() + 1,
            searched: 0
        }
    );
    for other in ["INVITE sip:b@h SIP/2.0\r\n\r\n", "HTTP/2 200\r\n\r\n", "\r\n"] {
        assert_eq!(http(other.as_bytes(), b"sip"), Http::Nothing);
    }
}

#[test]
fn a_segment_is_told_to_open_a_websocket() {
    for text in [REQUEST, ANSWER_101] {
        assert!(is_upgrade(text.as_bytes(), b"sip"));
        assert!(!is_upgrade(text.as_bytes(), b"mqtt"));
        assert!(!is_upgrade(&text.as_bytes()[..text.len() - 1], b"sip"));
    }
    assert!(!is_upgrade(b"", b"sip"));
}

proptest! {
    #[test]
    fn any_header_is_read_within_its_bytes(bytes in "(GET / HTTP/1\\.1|HTTP/1\\.1 (101|401))\r\n([A-Za-z-]{0,9}: ?[a-z0-9,]{0,9}\r?\n){0,5}(\r\n)?.{0,20}") {
        match http(bytes.as_bytes(), b"sip") {
            Http::Header { len, .. } => prop_assert!(len <= bytes.len()),
            Http::Incomplete { needed, searched } => prop_assert!(needed > bytes.len() && searched <= bytes.len()),
            Http::Nothing => prop_assert!(false, "it begins as HTTP does"),
        }
    }
}
