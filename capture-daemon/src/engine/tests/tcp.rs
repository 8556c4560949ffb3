//! SIP over TCP in all the ways that segments come.

use super::*;

/// Messages of one direction: an INVITE whose body has `padding` more bytes, and some smaller ones.
fn messages(padding: usize) -> Vec<Vec<u8>> {
    let body = format!("{}a=x:{}\r\n", sdp(CALLER, 20_000), "y".repeat(padding));
    vec![
        message("INVITE sip:b@x SIP/2.0", "t", "1 INVITE", &body),
        b"\r\n\r\n".to_vec(),
        message("CANCEL sip:b@x SIP/2.0", "t", "1 CANCEL", ""),
        message("REGISTER sip:x SIP/2.0", "r", "1 REGISTER", ""),
        message("OPTIONS sip:x SIP/2.0", "o", "1 OPTIONS", ""),
    ]
}

/// A connection that carries `bytes`, cut at `sizes` over and over, a segment each millisecond.
fn connection(bytes: &[u8], sizes: &[usize], isn: u32) -> Vec<Timed> {
    let ends = ((CALLER, 40_000), (CALLEE, 5060));
    let mut frames = vec![(0, tcp(ends.0, ends.1, isn, 0x02, b""))];
    let mut rest = bytes;
    for (n, size) in sizes.iter().cycle().enumerate() {
        let ts = (n as u64 + 1) * MILLISECOND;
        let seq = isn.wrapping_add(1 + (bytes.len() - rest.len()) as u32);
        if rest.is_empty() {
            frames.push((ts, tcp(ends.0, ends.1, seq, 0x11, b"")));
            return frames;
        }
        let (segment, behind) = rest.split_at(rest.len().min(*size));
        frames.push((ts, tcp(ends.0, ends.1, seq, 0x18, segment)));
        rest = behind;
    }
    frames
}

fn requests(document: &Document) -> Vec<(&str, u64)> {
    document
        .sip
        .requests
        .iter()
        .map(|(method, n)| (method.as_str(), *n))
        .collect()
}

const ALL: [(&str, u64); 4] = [("CANCEL", 1), ("INVITE", 1), ("OPTIONS", 1), ("REGISTER", 1)];

#[test]
fn an_invite_of_64_kilobytes() {
    let bytes = messages(65_536).concat();
    for sizes in [&[1_448][..], &[9_000, 1], &[60_000]] {
        let document = in_order(&connection(&bytes, sizes, u32::MAX - 30_000));
        assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
    }
}

#[test]
fn an_invite_in_segments_of_one_byte() {
    let bytes = messages(20_000).concat();
    let document = in_order(&connection(&bytes, &[1], 7));
    assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
}

#[test]
fn loss_costs_the_messages_it_hits() {
    let bytes = messages(0).concat();
    for lost in 1..bytes.len().div_ceil(50) {
        let mut frames = connection(&bytes, &[50], 7);
        frames.remove(lost);
        let document = in_order(&frames);
        let missing = ALL.len() as u64 - document.sip.messages;
        assert!(
            (1..=2).contains(&missing) || lost == bytes.len() / 50,
            "{lost}: {missing}"
        );
        assert_eq!(document.drops.get("tcp_gap"), Some(&1), "{lost}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Segments moved by up to 50 ms, some twice, with SYN or joined in the middle: the messages are those in order.
    #[test]
    fn the_order_of_segments_does_not_matter(
        sizes in prop::collection::vec(1usize..400, 1..20),
        isn in any::<u32>(),
        joined in any::<bool>(),
        again in prop::collection::vec(any::<bool>(), 1..10),
        delays in prop::collection::vec(0u64..50, 4_000),
    ) {
        let frames = connection(&messages(500).concat(), &sizes, isn);
        let copies = |(frame, again): (Timed, &bool)| std::iter::repeat_n(frame, 1 + usize::from(*again));
        let mut frames: Vec<Timed> = frames.into_iter().zip(again.iter().cycle()).flat_map(copies).collect();
        if joined {
            frames.retain(|(ts, _)| *ts > 0);
        }
        let expected = in_order(&frames);
        prop_assert_eq!(requests(&expected), ALL.to_vec());
        let mut moved: Vec<_> = frames.into_iter().zip(delays).collect();
        moved.sort_by_key(|((ts, _), delay)| ts + delay * MILLISECOND);
        let moved: Vec<Timed> = moved.into_iter().map(|(frame, _)| frame).collect();
        let document = in_order(&moved);
        prop_assert_eq!(&document.sip, &expected.sip);
        prop_assert_eq!(&document.calls, &expected.calls);
        prop_assert_eq!(&document.drops, &expected.drops);
    }
}

#[test]
fn tls_is_told_once_for_each_direction_and_is_no_malformed_sip() {
    let record = |kind: u8, len: u16| {
        let mut record = vec![kind, 3, 3];
        record.extend(len.to_be_bytes());
        record.extend((0..len).map(|n| (n % 251) as u8));
        record
    };
    let ends = ((CALLER, 40_000), (CALLEE, 5061));
    let bytes = [record(22, 500), record(20, 1), record(23, 3_000), record(23, 20)].concat();
    for joined in [false, true] {
        let mut frames = Vec::new();
        for (from, to) in [ends, (ends.1, ends.0)] {
            if !joined {
                frames.push((1, tcp(from, to, 99, 0x02, b"")));
            }
            for (n, segment) in bytes.chunks(1_000).enumerate() {
                frames.push((MILLISECOND, tcp(from, to, 100 + n as u32 * 1_000, 0x18, segment)));
            }
        }
        let document = in_order(&frames);
        // Until it is told, it is taken for SIP: SYN, and what a connection joined in the middle is listened to.
        let unread = if joined { 0 } else { frames.len() as u64 - 2 };
        assert_eq!(document.sip.messages, 0);
        let expected = [("tcp_tls", 2), ("other_tcp", unread)].map(|(name, n)| (name.to_owned(), n));
        let drops: std::collections::BTreeMap<_, _> = expected.into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(document.drops, drops, "joined: {joined}");
    }
}

/// The same messages without a Content-Length, each in a segment of its own or with its body in the next.
#[test]
fn a_body_without_content_length_is_the_session_description_that_follows() {
    let messages = messages(0);
    let strip = |message: &[u8]| {
        let text = String::from_utf8(message.to_vec()).unwrap();
        let lines = text.split_inclusive("\r\n");
        lines
            .filter(|line| !line.starts_with("Content-Length"))
            .collect::<String>()
    };
    let mut bytes = Vec::new();
    let mut sizes = Vec::new();
    for message in &messages {
        let message = strip(message);
        bytes.extend(message.as_bytes());
        sizes.push(message.len());
    }
    let header = strip(&messages[0]).find("v=0").unwrap();
    let parts = [header, sizes[0] - header];
    for sizes in [&sizes[..], &[&parts, &sizes[1..]].concat(), &[9_000]] {
        let document = in_order(&connection(&bytes, sizes, 7));
        assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
    }
    // Its media is known: a stream to where it wants it is the call's.
    let mut frames = connection(&bytes, &sizes, 7);
    for seq in 0..10 {
        frames.push((
            20 * MILLISECOND,
            udp((CALLEE, 30_000), (CALLER, 20_000), &rtp(0xaaaa, seq, 96)),
        ));
    }
    assert_eq!(in_order(&frames).calls[0].streams, ["0x0000aaaa"]);
}

#[test]
fn keepalives_of_either_kind_stand_between_messages_and_alone() {
    // RFC 5626 section 3.5.1: a ping of two line ends, a pong of one; alone in a segment and cut in the middle.
    let messages = messages(0);
    for (keepalive, sizes) in [("\r\n\r\n", [4, 3, 1, 2]), ("\r\n", [2, 1, 1, 1])] {
        let mut bytes = messages[0].clone();
        for _ in 0..20 {
            bytes.extend(keepalive.as_bytes());
        }
        bytes.extend(messages[2..].concat());
        bytes.extend(keepalive.as_bytes());
        let sizes = [&[messages[0].len()], &sizes[..]].concat();
        let document = in_order(&connection(&bytes, &sizes, 7));
        assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
    }
}

#[test]
fn of_a_retransmission_with_other_content_the_first_copy_counts() {
    let bytes = messages(0).concat();
    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    // In fifty segments; each copy, cut elsewhere, comes when the last of what it copies is there.
    let size = bytes.len().div_ceil(50);
    let frames = connection(&bytes, &[size], 7);
    let copies = connection(&other, &[size * 2 + 3], 7);
    let late = |(ts, frame): &Timed| (ts * 2 + 5 * MILLISECOND, frame.clone());
    let mut all: Vec<Timed> = frames.iter().cloned().chain(copies.iter().skip(1).map(late)).collect();
    all.sort_by_key(|(ts, _)| *ts);
    let (document, expected) = (in_order(&all), in_order(&frames));
    assert_eq!((requests(&document), &document.drops), (ALL.to_vec(), &[].into()));
    assert_eq!((&document.sip, &document.calls), (&expected.sip, &expected.calls));
}
