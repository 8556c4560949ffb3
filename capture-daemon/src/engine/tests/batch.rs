//! Frames in batches come to what they come to one by one.

use super::*;

/// Everything that is to be told.
fn told(engine: &mut Engine, shared: &Shared) -> Document {
    engine.finish();
    let now = Timestamp::from_nanos(10_000_000_000);
    document(shared, &[engine.counters()], engine.streams(), now)
}

/// Calls at once, one of them heard before it is announced, and what is neither SIP nor RTP, in order of time.
fn mixed(late: u64) -> Vec<Timed> {
    let mut frames = Vec::new();
    for number in 0..6u16 {
        let ports = (20_000 + number * 4, 20_002 + number * 4);
        let at = u64::from(number) * 37 * MILLISECOND;
        frames.extend(call(
            at,
            &format!("call-{number}"),
            ports,
            1000 + u32::from(number) * 10,
            90,
        ));
    }
    // The SDP of the last one comes when its media is under way.
    for (at, frame) in &mut frames {
        if frame.windows(6).any(|bytes| bytes == b"call-5") {
            *at += late * MILLISECOND;
        }
    }
    for number in 0..40u64 {
        let at = number * 61 * MILLISECOND;
        frames.push((at, udp((CALLER, 5060), (CALLEE, 5060), b"\r\n\r\n")));
        frames.push((
            at + 1,
            udp((CALLER, 30_000), (CALLEE, 30_002), &rtp(77, number as u16, 0)),
        ));
        frames.push((at + 2, tcp((CALLER, 5060), (CALLEE, 5060), number as u32, 0x10, b"x")));
        frames.push((at + 3, vec![0; 20]));
    }
    frames.sort_by_key(|(at, _)| *at);
    frames
}

/// The audit holds what was handed on against what was taken in, at any moment.
#[test]
fn no_frame_is_handed_on_before_it_is_counted() {
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    let frames: Vec<Frame<'_>> = frames
        .iter()
        .map(|(at, bytes)| Frame {
            ts: Timestamp::from_nanos(*at),
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        })
        .collect();
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    let counters = engine.counters();
    let mut handed_on = 0;
    engine.frames(&frames, |_, _| {
        handed_on += 1;
        let (taken_in, outcomes) = (
            counters.frames.get(),
            Outcome::ALL
                .iter()
                .map(|outcome| counters.outcomes.get(*outcome))
                .sum::<u64>(),
        );
        assert!(
            handed_on <= taken_in && handed_on <= outcomes,
            "{handed_on} of {taken_in}"
        );
    });
    assert_eq!(handed_on, frames.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_is_the_same_as_its_frames(
        late in 0..2_000u64,
        sizes in prop::collection::vec(1..200usize, 1..20),
        without_sip in any::<bool>(),
    ) {
        let frames = mixed(late);
        let frames: Vec<Frame<'_>> = frames
            .iter()
            .map(|(at, bytes)| Frame {
                ts: Timestamp::from_nanos(*at),
                link: LinkType::Ethernet,
                wire_len: bytes.len() as u32,
                bytes,
            })
            .collect();
        let follow = Follow { rtp_without_sip: without_sip, max_streams: 8, waiting_room: 4, ..Follow::default() };
        let new = || {
            let shared = Arc::new(Shared::new(&follow));
            (Engine::new(&follow, &Capture::default(), Arc::clone(&shared)), shared)
        };
        let ((mut one_by_one, shared), (mut together, shared_too)) = (new(), new());
        let mut rest = &frames[..];
        for size in sizes.iter().cycle() {
            let (batch, later) = rest.split_at((*size).min(rest.len()));
            rest = later;
            let Some(last) = batch.last() else { break };
            let mut taken = Vec::new();
            together.frames(batch, |frame, keep| taken.push((frame.bytes.as_ptr(), keep)));
            let each = batch.iter().map(|frame| (frame.bytes.as_ptr(), one_by_one.frame(frame)));
            prop_assert_eq!(taken, each.collect::<Vec<_>>());
            one_by_one.tick(last.ts);
            together.tick(last.ts);
        }
        let (is, should_be) = (told(&mut together, &shared_too), told(&mut one_by_one, &shared));
        prop_assert!(should_be.streams.len() >= 8 && should_be.calls.len() == 6);
        prop_assert_eq!(serde_json::to_value(&is).unwrap(), serde_json::to_value(&should_be).unwrap());
    }
}
