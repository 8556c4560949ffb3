//! SIP over WebSocket (RFC 7118) in all the ways that frames and segments come.

use super::*;

const CLIENT: ([u8; 4], u16) = (CALLER, 40_000);
const SERVER: ([u8; 4], u16) = (CALLEE, 8080);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// A frame whose mask, if it has one, changes with what it carries.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked {
        [payload.len() as u8, 0x81, 0x20, 0xff]
    } else {
        [0; 4]
    };
    let mut frame = vec![first];
    let bit = u8::from(masked) << 7;
    match payload.len() {
        len @ 0..126 => frame.push(bit | len as u8),
        len @ 126..=0xffff => {
            frame.push(bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(bit | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend(mask);
    }
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(octet, mask)| octet ^ mask),
    );
    frame
}

/// What a client says: INVITE of more than 64 KB in one frame, OPTIONS in fragments with a ping between, keep-alives,
/// REGISTER in binary, and the end.
fn said(masked: bool) -> Vec<Vec<u8>> {
    let body = format!("{}a=x:{}\r\n", sdp(CALLER, 20_000), "y".repeat(66_000));
    let options = message("OPTIONS sip:b@x SIP/2.0", "o", "1 OPTIONS", "");
    let (head, tail) = options.split_at(30);
    vec![
        frame(0x81, masked, &message("INVITE sip:b@x SIP/2.0", "t", "1 INVITE", &body)),
        frame(0x8a, masked, b""),
        frame(0x81, masked, b"\r\n\r\n"),
        frame(0x01, masked, head),
        frame(0x89, masked, b"are you there"),
        frame(0x00, masked, &tail[..9]),
        frame(0x80, masked, &tail[9..]),
        frame(0x82, masked, &message("REGISTER sip:x SIP/2.0", "r", "1 REGISTER", "")),
        frame(0x81, masked, &message("CANCEL sip:b@x SIP/2.0", "t", "1 CANCEL", "")),
        frame(0x88, masked, &[3, 0xe8]),
    ]
}

const ALL: [(&str, u64); 4] = [("CANCEL", 1), ("INVITE", 1), ("OPTIONS", 1), ("REGISTER", 1)];

/// One direction of a connection that carries `bytes`, cut at `sizes` over and over, a segment each millisecond.
fn direction(ends: [([u8; 4], u16); 2], bytes: &[u8], sizes: &[usize], isn: u32) -> Vec<Timed> {
    let mut frames = vec![(0, tcp(ends[0], ends[1], isn, 0x02, b""))];
    let mut rest = bytes;
    for (n, size) in sizes.iter().cycle().enumerate() {
        let (segment, behind) = rest.split_at(rest.len().min(*size));
        let seq = isn.wrapping_add(1 + (bytes.len() - rest.len()) as u32);
        let flags = if behind.is_empty() { 0x19 } else { 0x18 };
        frames.push(((n as u64 + 1) * MILLISECOND, tcp(ends[0], ends[1], seq, flags, segment)));
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    frames
}

fn requests(document: &Document) -> Vec<(&str, u64)> {
    let requests = document.sip.requests.iter();
    requests.map(|(method, n)| (method.as_str(), *n)).collect()
}

#[test]
fn both_directions_each_alone() {
    for (ends, opening, masked) in [([CLIENT, SERVER], REQUEST, true), ([SERVER, CLIENT], ANSWER, false)] {
        let bytes = [opening, &said(masked).concat()].concat();
        for sizes in [&[1_448][..], &[1, 2, 3, 400], &[60_000]] {
            let document = in_order(&direction(ends, &bytes, sizes, u32::MAX - 30_000));
            assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
            assert_eq!(document.sip.malformed, 0);
        }
    }
}

#[test]
fn a_message_has_the_time_of_the_packet_that_completed_it() {
    let invite = frame(
        0x81,
        true,
        &message("INVITE sip:b@x SIP/2.0", "t", "1 INVITE", &sdp(CALLER, 20_000)),
    );
    let ringing = frame(0x81, false, &message("SIP/2.0 180 Ringing", "t", "1 INVITE", ""));
    let ok = frame(
        0x81,
        false,
        &message("SIP/2.0 200 OK", "t", "1 INVITE", &sdp(CALLEE, 30_000)),
    );
    let request = [REQUEST, &invite].concat();
    let answer = [ANSWER, &ringing, &ok].concat();
    let mut frames = direction([CLIENT, SERVER], &request, &[REQUEST.len(), 100], 1);
    // The fourth segment has the last octet of the last message.
    let cuts = [ANSWER.len(), ringing.len() + 5, ok.len() - 6, 1];
    let later = |(ts, bytes)| (ts + 100 * MILLISECOND, bytes);
    frames.extend(direction([SERVER, CLIENT], &answer, &cuts, 1).into_iter().map(later));
    let sent = 1 + invite.len().div_ceil(100) as u64;
    let document = in_order(&frames);
    let call = &document.calls[0];
    assert_eq!(
        (call.start, call.setup_ms),
        (Timestamp::from_nanos(sent * MILLISECOND), Some((104 - sent) as f64))
    );
}

#[test]
fn a_port_that_nobody_named_is_known_by_the_upgrade() {
    let server = (CALLEE, 3333);
    let bytes = [REQUEST, &said(true).concat()].concat();
    let frames = direction([CLIENT, server], &bytes, &[REQUEST.len(), 1_448], 5);
    let document = in_order(&frames);
    assert_eq!(requests(&document), ALL);
    assert_eq!(document.drops, [("other_tcp".to_owned(), 1)].into(), "the SYN");
    // Elsewhere, and without SIP as its subprotocol, it is anyone's.
    let other = String::from_utf8(bytes[..REQUEST.len()].to_vec())
        .unwrap()
        .replace("l: sip", "l: xyz");
    let document = in_order(&direction([CLIENT, server], other.as_bytes(), &[1_448], 5));
    assert_eq!(document.drops, [("other_tcp".to_owned(), 2)].into());
}

#[test]
fn a_connection_joined_in_the_middle_is_read_from_the_next_message_on() {
    for (ends, masked) in [([CLIENT, SERVER], true), ([SERVER, CLIENT], false)] {
        let said = said(masked).concat();
        let invite_len = said.len() - said_after_invite(masked);
        for seen in [invite_len - 66_000, invite_len - 700, invite_len - 3] {
            let mut frames = direction(ends, &said[seen..], &[1_000], 77);
            frames.remove(0);
            let document = in_order(&frames);
            assert_eq!(
                (requests(&document), &document.drops),
                ([("CANCEL", 1), ("OPTIONS", 1), ("REGISTER", 1)].to_vec(), &[].into()),
                "{seen}"
            );
        }
        let mut frames = direction(ends, &said, &[1_000], 77);
        frames.remove(0);
        assert_eq!(requests(&in_order(&frames)), ALL, "the first byte begins a frame");
    }
}

fn said_after_invite(masked: bool) -> usize {
    said(masked)[1..].iter().map(Vec::len).sum()
}

#[test]
fn loss_costs_the_messages_it_hits() {
    for (ends, opening, masked) in [([CLIENT, SERVER], REQUEST, true), ([SERVER, CLIENT], ANSWER, false)] {
        let mut said = said(masked);
        said[0] = frame(
            0x81,
            masked,
            &message("INVITE sip:b@x SIP/2.0", "t", "1 INVITE", &sdp(CALLER, 20_000)),
        );
        let bytes = [opening, &said.concat()].concat();
        let frames = direction(ends, &bytes, &[50], 7);
        let ping_and_close = 2;
        for lost in 1..frames.len() {
            let mut frames = frames.clone();
            frames.remove(lost);
            let document = in_order(&frames);
            let missing = ALL.len() as u64 - document.sip.messages;
            let in_upgrade = (lost - 1) * 50 < opening.len();
            let at_end = lost + ping_and_close >= frames.len();
            assert!(
                missing <= 2 && (missing > 0 || in_upgrade || at_end),
                "{lost}: {missing}"
            );
        }
    }
}

#[test]
fn what_is_compressed_is_told_by_its_name() {
    let bytes = [ANSWER, &frame(0xc1, false, &[0xf2, 0x48, 0xcd]), &said(false).concat()].concat();
    let document = in_order(&direction([SERVER, CLIENT], &bytes, &[700], 7));
    assert_eq!(requests(&document), ALL);
    assert_eq!(document.drops, [("websocket_extension".to_owned(), 1)].into());
}

#[test]
fn what_is_no_sip_is_malformed_and_what_is_no_frame_costs_until_the_next() {
    let json = frame(0x81, true, br#"{"janus": "keepalive"}"#);
    let bytes = [
        REQUEST,
        &json,
        b"\xff\xfe nothing\r\n".as_slice(),
        b"at all",
        &said(true).concat(),
    ]
    .concat();
    let document = in_order(&direction([CLIENT, SERVER], &bytes, &[333], 7));
    assert_eq!(requests(&document), ALL);
    assert_eq!(document.drops, [("tcp_sip_malformed".to_owned(), 2)].into());
    assert_eq!(document.sip.malformed, 1);
}

#[test]
fn a_client_that_is_asked_for_credentials_comes_again() {
    let asked = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 11\r\n\r\ncome again!";
    let bytes = [REQUEST, REQUEST, &said(true).concat()].concat();
    assert_eq!(requests(&in_order(&direction([CLIENT, SERVER], &bytes, &[91], 7))), ALL);
    let bytes = [asked, ANSWER, &said(false).concat()].concat();
    let document = in_order(&direction([SERVER, CLIENT], &bytes, &[91], 7));
    assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
}

#[test]
fn other_http_is_neither_read_nor_missed() {
    let page = [
        &b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"[..],
        &said(false).concat(),
    ]
    .concat();
    let mut frames = direction([SERVER, CLIENT], &page, &[1_000], 7);
    frames.remove(20);
    let frames_read = frames.len() as u64;
    let document = in_order(&frames);
    assert_eq!(document.sip.messages, 0);
    assert_eq!(document.drops, [("other_tcp".to_owned(), frames_read - 1)].into());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Segments moved by up to 50 ms, some twice, with the upgrade or joined behind it: the messages are those in order.
    #[test]
    fn the_order_of_segments_does_not_matter(
        sizes in prop::collection::vec(1usize..3_000, 1..20),
        isn in any::<u32>(),
        masked in any::<bool>(),
        joined in any::<bool>(),
        again in prop::collection::vec(any::<bool>(), 1..10),
        delays in prop::collection::vec(0u64..50, 8_000),
    ) {
        let (ends, opening) = if masked { ([CLIENT, SERVER], REQUEST) } else { ([SERVER, CLIENT], ANSWER) };
        let opening = if joined { &[][..] } else { opening };
        let bytes = [opening, &said(masked).concat()].concat();
        let frames = direction(ends, &bytes, &sizes, isn);
        let copies = |(frame, again): (Timed, &bool)| std::iter::repeat_n(frame, 1 + usize::from(*again));
        let mut frames: Vec<Timed> = frames.into_iter().zip(again.iter().cycle()).flat_map(copies).collect();
        if joined {
            frames.retain(|(ts, _)| *ts > 0);
        }
        let expected = in_order(&frames);
        prop_assert_eq!(requests(&expected), ALL.to_vec());
        let mut moved: Vec<_> = frames.into_iter().zip(delays.into_iter().cycle()).collect();
        moved.sort_by_key(|((ts, _), delay)| ts + delay * MILLISECOND);
        let moved: Vec<Timed> = moved.into_iter().map(|(frame, _)| frame).collect();
        let document = in_order(&moved);
        prop_assert_eq!(&document.sip, &expected.sip);
        prop_assert_eq!(&document.calls, &expected.calls);
        prop_assert_eq!(&document.drops, &expected.drops);
    }
}
