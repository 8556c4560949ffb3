//! Whole calls through the engine, from Ethernet frames to the report.

mod batch;
mod cases;
mod fragments;
mod levels;
mod media;
mod rtcp;
mod tcp;
mod turn;
mod websocket;

use proptest::prelude::*;

use super::*;
use crate::frame::LinkType;
use crate::outcome::Loss;
use crate::report::{CallState, Document};
use crate::sip::{Malformed, Method};

const CALLER: [u8; 4] = [192, 0, 2, 1];
const CALLEE: [u8; 4] = [192, 0, 2, 2];
const MILLISECOND: u64 = 1_000_000;

/// A frame with its time in nanoseconds.
type Timed = (u64, Vec<u8>);

/// Ethernet and IPv4 around a transport header and its payload.
fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((20 + transport.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(transport);
    frame
}

fn udp(src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = [src.1.to_be_bytes(), dst.1.to_be_bytes()].concat();
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    ipv4(src.0, dst.0, 17, &datagram)
}

fn tcp(src: ([u8; 4], u16), dst: ([u8; 4], u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = [src.1.to_be_bytes(), dst.1.to_be_bytes()].concat();
    segment.extend(seq.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    ipv4(src.0, dst.0, 6, &segment)
}

fn rtp(ssrc: u32, seq: u16, payload_type: u8) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

fn sdp(host: [u8; 4], port: u16) -> String {
    let [a, b, c, d] = host;
    format!(
        "v=0\r\no=- 1 1 IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 96\r\na=rtpmap:96 PCMX/8000\r\n"
    )
}

fn message(start: &str, call_id: &str, cseq: &str, body: &str) -> Vec<u8> {
    let body_type = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq}\r\n{body_type}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A call of `packets` RTP packets each way, of which the caller's third is missing, from time `at` on. `ssrc` is the
/// caller's, the next is the callee's.
fn call(at: u64, call_id: &str, ports: (u16, u16), ssrc: u32, packets: u16) -> Vec<Timed> {
    let up = |payload: &[u8]| udp((CALLER, 5060), (CALLEE, 5060), payload);
    let down = |payload: &[u8]| udp((CALLEE, 5060), (CALLER, 5060), payload);
    let ms = |n: u64| at + n * MILLISECOND;
    let invite = "INVITE sip:b@x SIP/2.0";
    let mut frames = vec![
        (ms(0), up(&message(invite, call_id, "1 INVITE", &sdp(CALLER, ports.0)))),
        (ms(1), down(&message("SIP/2.0 100 Trying", call_id, "1 INVITE", ""))),
        (ms(50), down(&message("SIP/2.0 180 Ringing", call_id, "1 INVITE", ""))),
        (
            ms(500),
            down(&message("SIP/2.0 200 OK", call_id, "1 INVITE", &sdp(CALLEE, ports.1))),
        ),
        (ms(510), up(&message("ACK sip:b@x SIP/2.0", call_id, "1 ACK", ""))),
    ];
    for seq in 0..packets {
        let sent = ms(520 + 20 * u64::from(seq));
        if seq != 2 {
            frames.push((sent, udp((CALLER, ports.0), (CALLEE, ports.1), &rtp(ssrc, seq, 96))));
        }
        frames.push((
            sent + 1,
            udp((CALLEE, ports.1), (CALLER, ports.0), &rtp(ssrc + 1, seq, 96)),
        ));
    }
    let end = 520 + 20 * u64::from(packets);
    frames.push((ms(end), up(&message("BYE sip:b@x SIP/2.0", call_id, "2 BYE", ""))));
    frames.push((ms(end + 1), down(&message("SIP/2.0 200 OK", call_id, "2 BYE", ""))));
    frames
}

fn take(engine: &mut Engine, (ts, bytes): &Timed) {
    engine.frame(&Frame {
        ts: Timestamp::from_nanos(*ts),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    });
}

/// What `frames` come to, dealt out to `lanes` engines by `lane`.
fn play(frames: &[Timed], lanes: usize, lane: impl Fn(&Timed) -> usize) -> Document {
    let follow = Follow {
        rtp_without_sip: true,
        ..Follow::default()
    };
    let shared = Arc::new(Shared::new(&follow));
    let mut engines: Vec<Engine> = (0..lanes)
        .map(|_| Engine::new(&follow, &Capture::default(), Arc::clone(&shared)))
        .collect();
    for frame in frames {
        let engine = &mut engines[lane(frame) % lanes];
        take(engine, frame);
        engine.tick(Timestamp::from_nanos(frame.0));
    }
    let now = frames
        .iter()
        .map(|(ts, _)| *ts)
        .max()
        .map_or(Timestamp::ZERO, Timestamp::from_nanos);
    for engine in &mut engines {
        engine.finish();
    }
    let mut streams = Vec::new();
    let mut counters = Vec::new();
    for engine in &mut engines {
        streams.extend(engine.streams());
        counters.push(engine.counters());
    }
    for lane in &counters {
        let outcomes: u64 = Outcome::ALL.iter().map(|outcome| lane.outcomes.get(*outcome)).sum();
        assert_eq!(outcomes, lane.frames.get(), "every frame has one outcome");
    }
    document(&shared, &counters, streams, now)
}

fn in_order(frames: &[Timed]) -> Document {
    play(frames, 1, |_| 0)
}

#[test]
fn a_call_with_its_media_from_the_wire_to_the_report() {
    let frames = call(0, "one", (20_000, 30_000), 0xaaaa, 100);
    let document = in_order(&frames);
    assert_eq!(document.frames, frames.len() as u64);
    assert_eq!(
        document.bytes,
        frames.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
    );
    assert_eq!((document.sip.messages, document.sip.malformed), (7, 0));
    assert_eq!(document.sip.requests.get("INVITE"), Some(&1));
    assert_eq!(document.sip.responses.get(&200), Some(&2));
    assert_eq!(document.drops, [].into());
    let [call] = document.calls.as_slice() else {
        panic!("one call, not {:?}", document.calls)
    };
    assert_eq!(
        (call.state, call.setup_ms, call.duration_ms),
        (CallState::Ended, Some(500.0), Some(2_020.0))
    );
    assert_eq!(call.streams, ["0x0000aaaa", "0x0000aaab"]);
    let [up, down] = document.streams.as_slice() else {
        panic!("two streams, not {:?}", document.streams)
    };
    assert_eq!((up.packets, up.expected, up.lost), (99, 100, 1));
    assert_eq!((down.packets, down.expected, down.lost), (100, 100, 0));
    for stream in [up, down] {
        assert_eq!(
            (stream.codec.as_deref(), stream.clock_rate),
            (Some("PCMX"), Some(8_000))
        );
        assert_eq!(stream.call_id.as_deref(), Some("one"));
    }
}

#[test]
fn ports_used_again_belong_to_the_later_call() {
    let mut frames = call(0, "one", (20_000, 30_000), 0xaaaa, 50);
    frames.extend(call(5_000 * MILLISECOND, "two", (20_000, 30_000), 0xaaaa, 50));
    let document = in_order(&frames);
    let calls: Vec<_> = document
        .calls
        .iter()
        .map(|call| (call.call_id.as_str(), call.streams.len()))
        .collect();
    assert_eq!(calls, [("one", 2), ("two", 2)]);
    assert!(document.streams.iter().all(|stream| stream.packets <= 50));
}

#[test]
fn a_clock_that_was_set_back_stops_no_tick() {
    let follow = Follow::default();
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    let second = |n: u64| n * 1_000 * MILLISECOND;
    engine.tick(Timestamp::from_nanos(second(10_000)));
    for frame in call(second(5_000), "one", (20_000, 30_000), 0xaaaa, 50) {
        take(&mut engine, &frame);
    }
    engine.tick(Timestamp::from_nanos(second(5_010)));
    assert_eq!(engine.counters().streams.get(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two calls one after the other on the same ports, frames moved by up to 50 ms: the report is that of the frames
    /// in order, on one lane and on four that each take whole directions, as RSS deals them.
    #[test]
    fn order_and_lanes_do_not_matter(
        delays in prop::collection::vec(0u64..50, 240),
        lanes in 1usize..5,
    ) {
        let mut frames = call(1_000 * MILLISECOND, "one", (20_000, 30_000), 0xaaaa, 50);
        frames.extend(call(4_000 * MILLISECOND, "two", (20_000, 30_000), 0xcccc, 50));
        frames.sort_by_key(|(ts, _)| *ts);
        let expected = in_order(&frames);
        let mut moved: Vec<_> = frames.into_iter().zip(delays).collect();
        moved.sort_by_key(|((ts, _), delay)| ts + delay * MILLISECOND);
        let moved: Vec<Timed> = moved.into_iter().map(|(frame, _)| frame).collect();
        // Addresses and ports of IPv4 and UDP.
        let flow = |(_, bytes): &Timed| bytes[26..38].iter().map(|byte| usize::from(*byte)).sum::<usize>();
        let document = play(&moved, lanes, flow);
        prop_assert_eq!(&document.calls, &expected.calls);
        prop_assert_eq!(&document.sip, &expected.sip);
        prop_assert_eq!(&document.drops, &expected.drops);
        let loss = |document: &Document| {
            let of = |stream: &crate::report::Stream| {
                (stream.ssrc.clone(), stream.call_id.clone(), stream.packets, stream.expected, stream.lost)
            };
            let mut all: Vec<_> = document.streams.iter().map(of).collect();
            all.sort();
            all
        };
        prop_assert_eq!(loss(&document), loss(&expected));
    }
}
