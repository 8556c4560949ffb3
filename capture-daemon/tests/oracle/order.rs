//! The order of frames and the number of lanes do not matter: any capture with its frames moved by up to 50 ms, or dealt
//! out to eight engines by a hash of their flow, gives the same calls and the same loss as in order on one engine.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use capture_daemon::config::{Config, Follow};
use capture_daemon::engine::{Engine, Shared, document};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::report::{Burst, Call, Dtmf, Registration, Rtcp, RtcpCounts, Signaling, SipCounts, Turn};
use capture_daemon::source::CaptureFile;
use capture_daemon::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::captures;

/// How far a frame may move.
const WITHIN: Duration = Duration::from_millis(50);

/// Lanes of a NIC with eight queues.
const LANES: usize = 8;

/// Orders that are tried for each capture.
const CASES: u32 = 16;

/// What is done to the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Each comes up to 50 ms later than it was stamped.
    Moved,
    /// Each goes to the lane of its flow.
    Dealt,
    /// Both.
    MovedAndDealt,
}

use How::{Dealt, Moved, MovedAndDealt};

/// What must not depend on the order.
#[derive(Debug, PartialEq)]
struct Told {
    sip: SipCounts,
    calls: Vec<Call>,
    registrations: Vec<Registration>,
    turn: Turn,
    signaling: Signaling,
    streams: Vec<Loss>,
    rtcp: RtcpCounts,
    /// What RTCP and telephone events say of each stream, in the order of `streams`.
    said: Vec<(Loss, Option<Box<Rtcp>>, Option<Dtmf>)>,
}

/// SSRC, source and destination, call, how it was joined and which way it goes; packets, expected, lost, rows of losses, the
/// longest, bursts; packets by payload type.
type Loss = (String, String, String, Option<String>, String, [u64; 6], Vec<(u8, u64)>);

/// What `frames`, dealt out by `lane`, come to.
fn play<'a>(frames: impl Iterator<Item = &'a Frame<'a>>, lane: impl Fn(&Frame<'_>) -> usize) -> Told {
    let Config { follow, capture, .. } = Config::default();
    let follow = Follow {
        linger: Duration::MAX,
        // Also what no SDP of the capture announces.
        rtp_without_sip: true,
        ..follow
    };
    let shared = Arc::new(Shared::new(&follow));
    let mut engines: Vec<Engine> = (0..LANES)
        .map(|_| Engine::new(&follow, &capture, Arc::clone(&shared)))
        .collect();
    for frame in frames {
        let engine = &mut engines[lane(frame)];
        engine.frame(frame);
        engine.tick(frame.ts);
    }
    for engine in &mut engines {
        engine.finish();
    }
    let counters: Vec<_> = engines.iter().map(Engine::counters).collect();
    let now = counters
        .iter()
        .filter_map(|lane| lane.span())
        .map(|(_, last)| last)
        .max();
    let streams = engines.iter_mut().flat_map(Engine::streams).collect();
    let document = document(&shared, &counters, streams, now.unwrap_or_default());
    let mut said: Vec<_> = document
        .streams
        .into_iter()
        .map(|stream| {
            let Burst {
                rows, longest, bursts, ..
            } = stream.burst.unwrap_or_default();
            let figures = [stream.packets, stream.expected, stream.lost, rows, longest, bursts];
            let joined = format!("{:?} {:?} {:?}", stream.linked_by, stream.direction, stream.encrypted);
            let types = stream.payload_types.iter();
            let mut types: Vec<(u8, u64)> = types.map(|of| (of.payload_type, of.packets)).collect();
            types.sort_unstable();
            let loss = (
                stream.ssrc,
                stream.src,
                stream.dst,
                stream.call_id,
                joined,
                figures,
                types,
            );
            (loss, stream.rtcp, stream.dtmf)
        })
        .collect();
    said.sort_by(|a, b| a.0.cmp(&b.0));
    Told {
        sip: document.sip,
        calls: document.calls,
        registrations: document.registrations,
        turn: document.turn,
        signaling: document.signaling,
        streams: said.iter().map(|(loss, ..)| loss.clone()).collect(),
        rtcp: document.rtcp,
        said,
    }
}

/// A number of its own for each `index`: splitmix64 of Steele, Lea and Flood.
fn random(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The lane a NIC's hash gives a frame: by addresses, and by ports where every frame of the flow has them.
fn lane_of(frame: &Frame<'_>, seed: u64) -> usize {
    let hash = flow(frame)
        .iter()
        .fold(seed, |hash, byte| random(hash, u64::from(*byte)));
    (hash % LANES as u64) as usize
}

/// The octets that tell flows apart; none for what a NIC has no hash for.
fn flow<'a>(frame: &Frame<'a>) -> Vec<u8> {
    let mut bytes = frame.bytes;
    if frame.link == LinkType::Ethernet {
        bytes = bytes.get(12..).unwrap_or_default();
        while let [0x81 | 0x88, 0x00 | 0xa8, _, _, rest @ ..] = bytes {
            bytes = rest;
        }
        bytes = bytes.get(2..).unwrap_or_default();
    }
    let (protocol, addresses, ports) = match bytes.first().map(|byte| byte >> 4) {
        Some(4) if bytes.len() >= 20 => {
            let fragment = u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff != 0;
            let header = usize::from(bytes[0] & 15) * 4;
            (if fragment { 0 } else { bytes[9] }, &bytes[12..20], header)
        }
        Some(6) if bytes.len() >= 40 => (bytes[6], &bytes[8..40], 40),
        _ => return Vec::new(),
    };
    match (protocol, bytes.get(ports..ports + 4)) {
        (6 | 17, Some(ports)) => [addresses, ports].concat(),
        _ => addresses.to_vec(),
    }
}

/// The same frames in another order on other lanes.
fn disturbed(frames: &[Frame<'_>], how: How, seed: u64) -> Told {
    let mut order: Vec<usize> = (0..frames.len()).collect();
    if how != Dealt {
        let nanos = WITHIN.as_nanos() as u64;
        order.sort_by_key(|&at| frames[at].ts.as_nanos() + random(seed, at as u64) % nanos);
    }
    play(order.iter().map(|&at| &frames[at]), |frame| {
        if how == Moved { 0 } else { lane_of(frame, seed) }
    })
}

/// The first difference, as few words as possible.
fn difference(is: &Told, should_be: &Told) -> Option<String> {
    fn of<T: Debug + PartialEq>(what: &str, is: &[T], should_be: &[T]) -> Option<String> {
        let more: Vec<_> = is.iter().filter(|one| !should_be.contains(one)).collect();
        let less: Vec<_> = should_be.iter().filter(|one| !is.contains(one)).collect();
        (is != should_be).then(|| format!("{what}\n  is        {more:?}\n  should be {less:?}"))
    }
    of(
        "SIP",
        std::slice::from_ref(&is.sip),
        std::slice::from_ref(&should_be.sip),
    )
    .or_else(|| of("calls", &is.calls, &should_be.calls))
    .or_else(|| {
        of(
            "signaling",
            std::slice::from_ref(&is.signaling),
            std::slice::from_ref(&should_be.signaling),
        )
    })
    .or_else(|| of("registrations", &is.registrations, &should_be.registrations))
    .or_else(|| {
        of(
            "TURN",
            std::slice::from_ref(&is.turn),
            std::slice::from_ref(&should_be.turn),
        )
    })
    .or_else(|| of("streams", &is.streams, &should_be.streams))
    .or_else(|| {
        of(
            "RTCP",
            std::slice::from_ref(&is.rtcp),
            std::slice::from_ref(&should_be.rtcp),
        )
    })
    .or_else(|| of("what is said of streams", &is.said, &should_be.said))
}

/// What went wrong with the orders that were tried, if anything did.
fn fails(frames: &[Frame<'_>], how: How) -> Option<String> {
    let expected = play(frames.iter(), |_| 0);
    let mut config = ProptestConfig::with_cases(CASES);
    config.failure_persistence = None;
    config.max_shrink_iters = 0;
    let rng = TestRunner::deterministic().rng().clone();
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&any::<u64>(), |seed| {
        match difference(&disturbed(frames, how, seed), &expected) {
            Some(difference) => Err(TestCaseError::fail(difference)),
            None => Ok(()),
        }
    });
    match result {
        Ok(()) => None,
        Err(TestError::Fail(why, seed)) => Some(format!("seed {seed}: {}", why.message())),
        Err(TestError::Abort(why)) => panic!("{}", why.message()),
    }
}

/// A frame with bytes of its own.
struct Owned {
    ts: Timestamp,
    link: LinkType,
    wire_len: u32,
    bytes: Vec<u8>,
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        Frame {
            ts: self.ts,
            link: self.link,
            wire_len: self.wire_len,
            bytes: &self.bytes,
        }
    }
}

/// Where the TCP header of a frame begins that is no fragment and in no tunnel.
fn tcp_header(frame: &Frame<'_>) -> Option<usize> {
    let mut at = if frame.link == LinkType::Ethernet { 14 } else { 0 };
    while at >= 14 && matches!(frame.bytes.get(at - 2..at)?, [0x81, 0x00] | [0x88, 0xa8]) {
        at += 4;
    }
    let ip = frame.bytes.get(at..)?;
    match ip.first()? >> 4 {
        4 if ip.get(9) == Some(&6) && ip.get(6)? & 0x3f == 0 && ip.get(7) == Some(&0) => {
            Some(at + usize::from(ip[0] & 15) * 4)
        }
        6 if ip.get(6) == Some(&6) => Some(at + 40),
        _ => None,
    }
}

/// Another octet that may stand in a Call-ID, a different one for each.
fn other(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0' + b'a',
        byte => byte ^ 0x20,
    }
}

/// The frames, and a second later the same with other Call-IDs: every port and every SSRC is used again by another call.
fn twice(frames: &[Frame<'_>]) -> Vec<Owned> {
    let calls = play(frames.iter(), |_| 0).calls;
    let stamps = || frames.iter().map(|frame| frame.ts);
    let span = stamps()
        .max()
        .unwrap_or_default()
        .since(stamps().min().unwrap_or_default());
    let owned = |frame: &Frame<'_>, ts: Timestamp, bytes: Vec<u8>| Owned {
        ts,
        link: frame.link,
        wire_len: frame.wire_len,
        bytes,
    };
    let first = frames.iter().map(|frame| owned(frame, frame.ts, frame.bytes.to_vec()));
    let again = frames.iter().map(|frame| {
        let mut bytes = frame.bytes.to_vec();
        for call in &calls {
            let id = call.call_id.as_bytes();
            let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(id)).collect();
            for at in places {
                bytes[at] = other(bytes[at]);
            }
        }
        // A new connection counts from elsewhere (RFC 9293 section 3.4.1): its data is no copy of the old one's.
        if let Some(sequence) = tcp_header(frame).and_then(|at| bytes.get_mut(at + 4)) {
            *sequence ^= 0x40;
        }
        owned(frame, frame.ts.plus(span + Duration::from_secs(1)), bytes)
    });
    first.chain(again).collect()
}

#[test]
fn ports_used_again_belong_to_the_later_call() {
    let file = CaptureFile::open(captures::own("", "calls-udp.pcap").unwrap()).unwrap();
    let frames: Vec<Frame<'_>> = file.frames().map(Result::unwrap).collect();
    let twice = twice(&frames);
    let twice: Vec<Frame<'_>> = twice.iter().map(Owned::frame).collect();
    let Told { calls, streams, .. } = play(twice.iter(), |_| 0);
    assert_eq!((calls.len(), streams.len()), (4, 8));
    assert!(calls.iter().all(|call| call.streams.len() == 2), "{calls:?}");
    assert!(
        streams.iter().all(|(.., figures, _)| *figures == [50, 50, 0, 0, 0, 0]),
        "{streams:?}"
    );
}

/// Tries every capture of a folder, as it is and played again.
fn check(folder: &Path) {
    let mut report = String::new();
    for name in captures::names(folder) {
        let file = CaptureFile::open(folder.join(&name)).unwrap();
        let frames: Vec<Frame<'_>> = file.frames().map(Result::unwrap).collect();
        let twice = twice(&frames);
        let twice: Vec<Frame<'_>> = twice.iter().map(Owned::frame).collect();
        for how in [Moved, Dealt, MovedAndDealt] {
            let Some(wrong) = fails(&frames, how).or_else(|| fails(&twice, how)) else {
                continue;
            };
            report += &format!("{name}, {how:?}: {wrong}\n");
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn own_captures_in_any_order() {
    check(&captures::own("", "").unwrap());
}

#[test]
fn foreign_captures_in_any_order() {
    if let Some(folder) = captures::foreign("order::foreign_captures_in_any_order", "") {
        check(&folder);
    }
}
