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
