//! Calls whose SIP comes in fragments.

use super::*;

/// The IPv4 fragments of a frame without tags, with `size` bytes of payload each, a multiple of eight.
fn cut((ts, frame): &Timed, id: u16, size: usize) -> Vec<Timed> {
    let (header, payload) = frame.split_at(34);
    let mut fragments = Vec::new();
    for (n, part) in payload.chunks(size).enumerate() {
        let more = if (n + 1) * size < payload.len() { 0x2000 } else { 0 };
        let mut fragment = [header, part].concat();
        fragment[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        fragment[18..20].copy_from_slice(&id.to_be_bytes());
        fragment[20..22].copy_from_slice(&(more | (n * size / 8) as u16).to_be_bytes());
        fragments.push((ts + n as u64, fragment));
    }
    fragments
}

/// A call with all SIP that is longer than `size` in fragments.
fn fragmented(size: usize) -> Vec<Timed> {
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 10);
    let cut = |(id, frame): (usize, &Timed)| match &frame.1 {
        bytes if bytes.len() > 34 + size && bytes[36..38] == 5060u16.to_be_bytes() => cut(frame, id as u16, size),
        _ => vec![frame.clone()],
    };
    frames.iter().enumerate().flat_map(cut).collect()
}

/// The frame in VXLAN over IPv4 of its own.
fn in_vxlan((ts, frame): &Timed) -> Timed {
    let payload = [&[8, 0, 0, 0, 0, 0, 9, 0][..], frame].concat();
    (*ts, udp(([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 4789), &payload))
}

#[test]
fn a_call_in_fragments_is_the_call() {
    let whole = in_order(&call(0, "one", (20_000, 30_000), 0xaaaa, 10));
    for size in [8, 64, 248] {
        let document = in_order(&fragmented(size));
        assert_eq!(document.sip, whole.sip, "{size}");
        assert_eq!(document.drops, [].into(), "{size}");
        assert_eq!(document.calls.len(), 1);
        assert_eq!(document.calls[0].streams, whole.calls[0].streams);
    }
}

#[test]
fn fragments_inside_a_tunnel_that_is_in_fragments_itself() {
    let inner: Vec<Timed> = fragmented(120).iter().map(in_vxlan).collect();
    let frames: Vec<Timed> = inner
        .iter()
        .enumerate()
        .flat_map(|(id, frame)| cut(frame, id as u16, 64))
        .collect();
    let document = in_order(&frames);
    let whole = in_order(&call(0, "one", (20_000, 30_000), 0xaaaa, 10));
    assert_eq!((document.sip, document.drops), (whole.sip, [].into()));
}

#[test]
fn the_piece_that_completes_a_message_ends_as_the_message() {
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    let options = message("OPTIONS sip:b@x SIP/2.0", "o", "1 OPTIONS", "");
    let frames = cut(&(0, udp((CALLER, 5060), (CALLEE, 5060), &options)), 1, 64);
    for frame in frames.iter().rev() {
        take(&mut engine, frame);
    }
    let counters = engine.counters();
    assert_eq!(counters.outcomes.get(Outcome::SipUdp), 1);
    assert_eq!(counters.outcomes.get(Outcome::Fragment), frames.len() as u64 - 1);
}

#[test]
fn every_piece_of_a_message_is_kept_whole() {
    let follow = Follow::default();
    // Where the least is kept.
    let shared = Shared::new(&follow).with_rules(&[], Level::Signaling);
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(shared));
    let options = message("OPTIONS sip:b@x SIP/2.0", "o", "1 OPTIONS", "");
    let datagram = (0, udp((CALLER, 5060), (CALLEE, 5060), &options));
    let segments = options.chunks(50).scan(1_000u32, |seq, bytes| {
        let segment = tcp((CALLER, 5062), (CALLEE, 5060), *seq, 0x18, bytes);
        *seq += bytes.len() as u32;
        Some((0, segment))
    });
    let frames: Vec<_> = cut(&datagram, 1, 64).into_iter().rev().chain(segments).collect();
    assert!(frames.len() >= 6);
    for (ts, bytes) in &frames {
        let kept = engine.frame(&Frame {
            ts: Timestamp::from_nanos(*ts),
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        });
        assert_eq!(kept, Keep::All);
    }
    engine.finish();
    assert_eq!(engine.counters().outcomes.get(Outcome::SipUdp), 1);
}

#[test]
fn what_stays_incomplete_is_counted() {
    let mut frames = fragmented(64);
    frames.remove(1);
    let document = in_order(&frames);
    assert_eq!(document.drops, [("fragment_timeout".to_owned(), 1)].into());
    assert_eq!(document.sip.messages, 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Fragments moved by up to 50 ms and dealt out to several lanes one by one: the report is that of the frames in
    /// order on one.
    #[test]
    fn order_and_lanes_do_not_matter(
        size in 1usize..16,
        delays in prop::collection::vec(0u64..50, 1_000),
        lanes in prop::collection::vec(0usize..4, 1_000),
    ) {
        let frames = fragmented(size * 8);
        let expected = in_order(&frames);
        // RTP stays on its lane, as each lane has streams of its own.
        let mut moved: Vec<_> = frames.into_iter().zip(delays).zip(lanes).collect();
        moved.sort_by_key(|(((ts, _), delay), _)| ts + delay * MILLISECOND);
        let lane_of: Vec<usize> = moved
            .iter()
            .map(|(((_, bytes), _), lane)| if bytes[20] & 0x20 != 0 || bytes[21] != 0 { *lane } else { 0 })
            .collect();
        let moved: Vec<Timed> = moved.into_iter().map(|((frame, _), _)| frame).collect();
        let next = std::cell::Cell::new(0);
        let document = play(&moved, 4, |_| lane_of[next.replace(next.get() + 1)]);
        prop_assert_eq!(&document.calls, &expected.calls);
        prop_assert_eq!(&document.sip, &expected.sip);
        prop_assert_eq!(&document.drops, &expected.drops);
    }
}

/// The frame with a VLAN tag.
fn in_vlan(id: u8, (ts, frame): &Timed) -> Timed {
    (*ts, [&frame[..12], &[0x81, 0, 0, id], &frame[12..]].concat())
}

#[test]
fn two_networks_with_the_same_addresses_are_not_mixed_up() {
    let cut_to_pieces = |call_id: &str, vlan: u8| {
        let options = message("OPTIONS sip:b@x SIP/2.0", call_id, "1 OPTIONS", "");
        cut(&(0, udp((CALLER, 5060), (CALLEE, 5060), &options)), 1, 64)
            .iter()
            .map(|piece| in_vlan(vlan, piece))
            .collect::<Vec<_>>()
    };
    let (one, two) = (cut_to_pieces("aaaa", 1), cut_to_pieces("bbbb", 2));
    let frames: Vec<Timed> = one
        .iter()
        .zip(&two)
        .flat_map(|(one, two)| [one.clone(), two.clone()])
        .collect();
    let document = in_order(&frames);
    assert_eq!((document.sip.messages, document.drops), (2, [].into()));
    // In one network they contradict each other.
    let frames: Vec<Timed> = cut_to_pieces("aaaa", 1)
        .iter()
        .zip(&cut_to_pieces("bbbb", 1))
        .flat_map(|(one, two)| [one.clone(), two.clone()])
        .collect();
    assert!(in_order(&frames).drops.contains_key("fragment_overlap"));
}

/// A datagram of UDP over IPv4 with its checksum (RFC 768), word by word.
fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    let mut words: Vec<u8> = [&frame[26..34], &[0, 17], &frame[38..40], &frame[34..]].concat();
    words.resize(words.len().next_multiple_of(2), 0);
    let mut sum = 0u32;
    for word in words.chunks(2) {
        sum += u32::from(word[0]) * 256 + u32::from(word[1]);
        sum = sum % 0x1_0000 + sum / 0x1_0000;
    }
    let sum = if sum == 0xffff { 0xffff } else { 0xffff - sum };
    frame[40..42].copy_from_slice(&(sum as u16).to_be_bytes());
    frame
}

#[test]
fn what_pieces_of_two_datagrams_make_is_not_taken() {
    for call_id in ["odd", "even"] {
        let options = message("OPTIONS sip:b@x SIP/2.0", call_id, "1 OPTIONS", "");
        let whole = with_checksum(udp((CALLER, 5060), (CALLEE, 5060), &options));
        let right = cut(&(0, whole.clone()), 1, 64);
        let document = in_order(&right);
        assert_eq!((document.sip.messages, document.drops), (1, [].into()));
        // A piece of another datagram with the same identification in the place of one that was lost (RFC 4963).
        for n in 1..right.len() {
            let mut mixed = right.clone();
            mixed[n].1[40] ^= 0x20;
            let document = in_order(&mixed);
            assert_eq!(document.drops, [("udp_checksum".to_owned(), 1)].into(), "{n}");
            assert_eq!(document.sip.messages, 0);
        }
        // One that was captured whole may have its checksum from the NIC, behind the capture.
        let mut offloaded = whole;
        offloaded[40] ^= 1;
        assert_eq!(in_order(&[(0, offloaded)]).sip.messages, 1);
    }
}
