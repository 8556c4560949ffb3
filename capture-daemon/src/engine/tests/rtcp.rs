//! RTCP and keys pressed, from frames to the report.

use super::*;
use crate::config::{Digits, Privacy};
use crate::report::{DigitSource, Stream};

const SECOND: u64 = 1_000 * MILLISECOND;

fn numbers(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An RTCP packet with its header.
fn packet(count: u8, packet_type: u8, words: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0x80 | count, packet_type];
    bytes.extend((words.len() as u16).to_be_bytes());
    bytes.extend(numbers(words));
    bytes
}

/// A sender report of a clock in seconds, with a block about `about` that names the clock `last_sr` (seconds) kept for `delay`.
fn report(ssrc: u32, clock: u32, packets: u32, about: u32, last_sr: u32, delay: u32) -> Vec<u8> {
    let head = [ssrc, clock, 0, clock.wrapping_mul(8000), packets, packets * 160];
    let block = [about, 0x1a00_0005, 0x0001_0064, 160, last_sr << 16, delay];
    packet(1, 200, &[head, block].concat())
}

fn rtcp(at: u64, from_caller: bool, ports: (u16, u16), payload: &[u8]) -> Timed {
    let (caller, callee) = ((CALLER, ports.0), (CALLEE, ports.1));
    let (src, dst) = if from_caller {
        (caller, callee)
    } else {
        (callee, caller)
    };
    (at, udp(src, dst, payload))
}

/// A call with reports both ways, 20 ms from here to the callee and back, 6 ms to the caller and back. RTCP is on `shift` from
/// RTP's ports.
fn reported(at: u64, call_id: &str, ssrc: u32, shift: (u16, u16)) -> Vec<Timed> {
    let ports = (20_000, 30_000);
    let mut frames = call(at, call_id, ports, ssrc, 1_000);
    let ports = (ports.0 + shift.0, ports.1 + shift.1);
    let begin = at + SECOND;
    for n in 0..3u32 {
        let sent = begin + u64::from(n) * 5 * SECOND;
        let (caller, callee) = (ssrc, ssrc + 1);
        // The caller's report passes, the callee answers half a second after it has it, and so does the caller in turn.
        let clock = 1_000 + n * 5;
        frames.push(rtcp(
            sent,
            true,
            ports,
            &report(caller, clock, 50 + n * 250, callee, 0, 0),
        ));
        let answered = sent + 520 * MILLISECOND;
        frames.push(rtcp(
            answered,
            false,
            ports,
            &report(callee, clock + 3_000, 75 + n * 250, caller, clock, 32_768),
        ));
        let block = [callee, 0, 99, 0, (clock + 3_000) << 16, 32_768];
        let answer = packet(1, 201, &[&[caller][..], &block].concat());
        frames.push(rtcp(answered + 506 * MILLISECOND, true, ports, &answer));
    }
    frames.sort_by_key(|(ts, _)| *ts);
    frames
}

fn stream<'a>(document: &'a Document, ssrc: &str, call_id: &str) -> &'a Stream {
    let is = |stream: &&Stream| stream.ssrc == ssrc && stream.call_id.as_deref() == Some(call_id);
    document.streams.iter().find(is).expect("the stream")
}

/// Half of the path's 26 ms, 20 of the packet and 50 or 200 of the buffer, with G.711 and no loss: G.107 (06/2015) by hand,
/// all defaults, T = Ta of 83 and 233 ms.
#[test]
fn reports_both_ways_make_an_opinion_of_the_conversation() {
    let mut frames = reported(0, "one", 0xaaaa, (1, 1));
    for (_, frame) in &mut frames {
        if let Some(at) = frame.windows(4).position(|name| name == b"PCMX") {
            frame[at..at + 4].copy_from_slice(b"PCMU");
        }
    }
    let document = in_order(&frames);
    let quality = stream(&document, "0x0000aaab", "one")
        .quality
        .clone()
        .expect("a codec with figures");
    let (short, long) = (quality.fixed_50.expect("rated"), quality.fixed_200.expect("rated"));
    for (is, by_hand) in [
        (short.r_lq, 93.206_21),
        (short.r_cq.expect("a path"), 91.017_82),
        (short.mos_cq.expect("a path"), 4.363_13),
        (long.r_cq.expect("a path"), 81.513_43),
        (long.mos_cq.expect("a path"), 4.079_90),
    ] {
        assert!((is - by_hand).abs() < 1e-3, "{is}, not {by_hand}");
    }
}

fn check(document: &Document, call_id: &str) {
    let up = stream(document, "0x0000aaaa", call_id).rtcp.as_deref().expect("RTCP");
    let sender = up.sender.as_ref().expect("sender reports");
    assert_eq!((sender.reports, sender.packets, sender.octets), (3, 550, 88_000));
    assert_eq!(sender.clock_rate_hz, Some(8_000.0));
    let receiver = up.receiver.as_ref().expect("report blocks");
    assert_eq!((receiver.reports, &*receiver.reporter), (3, "0x0000aaab"));
    assert_eq!((receiver.cumulative_lost, receiver.highest_seq), (5, 0x1_0064));
    assert_eq!(
        (receiver.fraction_lost_last, receiver.fraction_lost_max),
        (26.0 / 256.0, 26.0 / 256.0)
    );
    assert_eq!(receiver.jitter_mean_ms, Some(20.0));
    let trip = up.round_trip.as_ref().expect("round trips");
    let [receiver, sender] = [trip.receiver, trip.sender].map(|spread| spread.expect("measured"));
    assert_eq!((receiver.count, receiver.min_ms, receiver.max_ms), (3, 20.0, 20.0));
    assert_eq!((sender.count, sender.mean_ms, sender.last_ms), (3, 6.0, 6.0));
    assert_eq!((trip.path_ms, trip.one_way_ms), (Some(26.0), Some(13.0)));
    let down = stream(document, "0x0000aaab", call_id).rtcp.as_deref().expect("RTCP");
    let trip = down.round_trip.as_ref().expect("round trips");
    assert_eq!(trip.receiver.map(|spread| spread.mean_ms), Some(6.0));
    assert_eq!(trip.path_ms, Some(26.0));
}

#[test]
fn reports_are_joined_on_the_next_port_on_the_same_and_on_any() {
    for shift in [(1, 1), (0, 0), (1, 0), (7_001, 4)] {
        let document = in_order(&reported(0, "one", 0xaaaa, shift));
        check(&document, "one");
        assert_eq!(
            document.rtcp.packets,
            [("rr".to_owned(), 3), ("sr".to_owned(), 6)].into()
        );
        assert_eq!(
            (document.rtcp.round_trips.count, document.rtcp.shares_lost.count),
            (6, 9)
        );
        let below: Vec<u64> = document
            .rtcp
            .round_trips
            .buckets
            .iter()
            .map(|bucket| bucket.count)
            .collect();
        assert_eq!(below, [0, 0, 6, 6, 6, 6, 6, 6, 6], "at most 1, 5, 20, 50 … ms");
    }
}

#[test]
fn calls_that_use_ssrc_and_ports_again_have_reports_of_their_own() {
    let mut frames = reported(0, "one", 0xaaaa, (1, 1));
    frames.extend(reported(30 * SECOND, "two", 0xaaaa, (1, 1)));
    let document = in_order(&frames);
    check(&document, "one");
    check(&document, "two");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Frames moved by up to 50 ms, on four lanes: what is said of each stream is the same.
    #[test]
    fn reports_in_any_order_on_any_lane_say_the_same(moves in prop::collection::vec(0u64..50, 4_100), lanes in 1usize..5) {
        let mut frames = reported(SECOND, "one", 0xaaaa, (1, 1));
        frames.extend(reported(31 * SECOND, "two", 0xaaaa, (1, 1)));
        let mut moved: Vec<_> = frames.into_iter().zip(moves).collect();
        moved.sort_by_key(|((ts, _), by)| ts + by * MILLISECOND);
        let moved: Vec<Timed> = moved.into_iter().map(|(frame, _)| frame).collect();
        let flow = |(_, bytes): &Timed| bytes[26..38].iter().map(|byte| usize::from(*byte)).sum::<usize>();
        let document = play(&moved, lanes, flow);
        check(&document, "one");
        check(&document, "two");
    }
}

#[test]
fn extended_reports_tell_the_path_where_there_is_no_other_figure() {
    let ports = (20_001, 30_001);
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    // VoIP metrics of the callee: 80 ms there and back, 60 ms in its telephone, MOS-LQ 4.1, R and MOS-CQ not told.
    let metrics = [
        0x0700_0008,
        0xaaaa,
        0x4020_8010,
        0,
        80 << 16 | 60,
        0x7f7f_7f10,
        0x7f7f_297f,
        0xf300_0028,
        0,
    ];
    let mut xr = vec![0xaaab];
    xr.extend(metrics);
    frames.push(rtcp(SECOND, false, ports, &packet(0, 207, &xr)));
    // A receiver's clock and its answer after half a second: 40 ms between here and the caller.
    frames.push(rtcp(
        SECOND,
        false,
        ports,
        &packet(0, 207, &[0xaaab, 0x0400_0002, 5, 0]),
    ));
    let dlrr = [0xaaaa, 0x0500_0003, 0xaaab, 5 << 16, 32_768];
    frames.push(rtcp(SECOND + 540 * MILLISECOND, true, ports, &packet(0, 207, &dlrr)));
    let document = in_order(&frames);
    let up = stream(&document, "0x0000aaaa", "one").rtcp.as_deref().expect("RTCP");
    let metrics = up.voip_metrics.as_ref().expect("VoIP metrics");
    assert_eq!(
        (metrics.mos_lq, metrics.mos_cq, metrics.r_factor),
        (Some(4.1), None, None)
    );
    assert_eq!((metrics.loss_rate, metrics.discard_rate), (0.25, 0.125));
    assert_eq!(metrics.jitter_buffer.as_deref(), Some("adaptive"));
    let trip = up.round_trip.as_ref().expect("a round trip");
    assert_eq!((trip.path_ms, trip.one_way_ms), (Some(80.0), Some(70.0)));
    let down = stream(&document, "0x0000aaab", "one").rtcp.as_deref().expect("RTCP");
    let trip = down.round_trip.as_ref().expect("a round trip");
    assert_eq!(trip.receiver.map(|spread| spread.mean_ms), Some(40.0));
    assert_eq!(document.rtcp.xr_blocks.get("voip_metrics"), Some(&1));
}

#[test]
fn encrypted_reports_are_called_so_and_give_no_figures() {
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    let mut srtcp = report(0xaaaa, 1, 2, 3, 4, 5);
    srtcp[8..].fill(0x9c);
    srtcp.extend([0x80, 0, 0, 1]);
    srtcp.extend([0x77; 10]);
    frames.push(rtcp(SECOND, true, (20_001, 30_001), &srtcp));
    frames.push(rtcp(
        SECOND,
        true,
        (20_001, 30_001),
        &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 1, 0, 0],
    ));
    let document = in_order(&frames);
    assert_eq!(document.rtcp.encrypted, 1);
    assert_eq!(document.rtcp.malformed, [("packet_type".to_owned(), 1)].into());
    let told = stream(&document, "0x0000aaaa", "one").rtcp.as_deref().expect("RTCP");
    let expected = crate::report::Rtcp {
        encrypted: 1,
        ..Default::default()
    };
    assert_eq!(told, &expected);
}

/// A call during which the caller presses 5 and #, once in RTP through a relay that hands it on, once in an INFO that is repeated.
fn with_keys() -> Vec<Timed> {
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    let mut event = rtp(0xaaaa, 30, 101);
    event.truncate(12);
    event.extend([5, 0x8a, 0x01, 0x40]);
    for n in 0..3 {
        frames.push((SECOND + n, udp((CALLER, 20_000), (CALLEE, 30_000), &event)));
    }
    frames.push((SECOND + 9, udp((CALLEE, 30_002), (CALLER, 20_000), &event)));
    let info = message("INFO sip:b@x SIP/2.0", "one", "9 INFO", "Signal=#\r\nDuration=160\r\n");
    let info = String::from_utf8_lossy(&info).replace("application/sdp", "application/dtmf-relay");
    for n in 0..2 {
        frames.push((2 * SECOND + n, udp((CALLER, 5060), (CALLEE, 5060), info.as_bytes())));
    }
    frames.sort_by_key(|(ts, _)| *ts);
    frames
}

fn document_with(privacy: Option<&Privacy>) -> Document {
    let follow = Follow::default();
    let mut shared = Shared::new(&follow);
    if let Some(privacy) = privacy {
        shared = shared.with_privacy(privacy);
    }
    let shared = Arc::new(shared);
    let mut engine = Engine::new(&follow, &crate::config::Capture::default(), Arc::clone(&shared));
    with_keys().iter().for_each(|frame| take(&mut engine, frame));
    engine.finish();
    document(
        &shared,
        &[engine.counters()],
        engine.streams(),
        Timestamp::from_nanos(9 * SECOND),
    )
}

#[test]
fn keys_are_told_once_each_and_only_where_the_configuration_wants_it() {
    let shown = document_with(Some(&Privacy { dtmf: Digits::Shown }));
    let dtmf = shown.calls[0].dtmf.as_ref().expect("keys");
    let keys: Vec<_> = dtmf
        .digits
        .iter()
        .map(|digit| {
            (
                digit.digit.as_str(),
                digit.source,
                digit.duration_ms,
                digit.at.as_nanos(),
            )
        })
        .collect();
    assert_eq!(
        keys,
        [
            ("5", DigitSource::Rtp, Some(40.0), SECOND),
            ("#", DigitSource::Info, Some(160.0), 2 * SECOND)
        ]
    );
    assert!(!dtmf.masked);
    for privacy in [None, Some(Privacy::default())] {
        let masked = document_with(privacy.as_ref());
        let told = serde_json::to_value(&masked).expect("JSON");
        let digits = told["calls"][0]["dtmf"]["digits"].as_array().expect("keys");
        assert_eq!(digits.len(), 2);
        assert!(digits.iter().all(|digit| digit["digit"] == "*"), "{digits:?}");
        let streams = told["streams"].as_array().expect("streams");
        let in_streams: Vec<_> = streams
            .iter()
            .filter_map(|stream| stream["dtmf"]["digits"].as_array())
            .flatten()
            .collect();
        assert!(!in_streams.is_empty() && in_streams.iter().all(|digit| digit["digit"] == "*"));
    }
}

#[test]
fn what_was_said_early_in_a_long_call_is_kept_until_it_is_over() {
    let follow = Follow::default();
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &crate::config::Capture::default(), Arc::clone(&shared));
    let (media, end) = {
        let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 10);
        let end = frames.split_off(frames.len() - 2);
        (frames, end)
    };
    media.iter().for_each(|frame| take(&mut engine, frame));
    take(
        &mut engine,
        &rtcp(SECOND, true, (20_001, 30_001), &packet(1, 203, &[0xaaaa])),
    );
    let sweep = |from: u64| {
        for n in 0..64 {
            let now = Timestamp::from_nanos((from + n) * SECOND);
            shared.rtcp.tick(now, follow.linger, &shared.endpoints);
        }
    };
    sweep(3_600);
    assert_eq!(shared.rtcp.len(), 1, "the call goes on");
    for (_, bytes) in &end {
        take(&mut engine, &(3_700 * SECOND, bytes.clone()));
    }
    sweep(3_800);
    assert_eq!(shared.rtcp.len(), 0);
}

#[test]
fn a_full_table_of_sources_stays_full_and_counts_who_left() {
    let follow = Follow {
        max_rtcp_sources: 10,
        ..Follow::default()
    };
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &crate::config::Capture::default(), Arc::clone(&shared));
    for ssrc in 0..100 {
        let frame = rtcp(
            SECOND + u64::from(ssrc),
            true,
            (20_001, 30_001),
            &packet(1, 203, &[ssrc]),
        );
        take(&mut engine, &frame);
        assert!(shared.rtcp.len() <= 10);
    }
    assert_eq!(engine.counters().losses.get(Loss::RtcpSourceEvicted), 90);
    for n in 0..64 {
        shared.sweep_media(Timestamp::from_nanos((400 + n) * SECOND), &engine.counters().losses);
    }
    assert!(shared.rtcp.is_empty(), "what is old goes");
}
