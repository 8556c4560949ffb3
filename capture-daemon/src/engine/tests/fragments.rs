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
