//! The kernel's account of a stream against the engine's, of any packets.

use proptest::prelude::*;

use super::super::announcement::{Author, Basis, Lease, Purpose, Srtp, Terms};
use super::super::codec::Format;
use super::super::join::Link;
use super::super::measurement::Measurement;
use super::super::probation::{Header, Traits};
use super::super::rtp;
use super::*;
use crate::report::{LinkedBy, MeasuredIn};

fn format(payload_type: u8, encoding: &str, clock_rate: u32) -> Format {
    Format {
        payload_type,
        encoding: encoding.into(),
        clock_rate,
    }
}

fn formats() -> Arc<[Format]> {
    [
        format(0, "PCMU", 8000),
        format(96, "opus", 48_000),
        format(98, "CN", 16_000),
        format(101, "telephone-event", 8000),
    ]
    .into()
}

fn join() -> Join {
    Join {
        lease: Arc::new(Lease::new(&"a".into())),
        link: Link {
            by: LinkedBy::Destination,
            rank: 1,
        },
        formats: formats(),
        firm: true,
        sender: None,
        srtp: Some(false),
    }
}

/// A packet: when it arrives, in nanoseconds, and its header.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: u64,
    seq: u16,
    timestamp: u32,
    payload_type: u8,
    marker: bool,
    len: u8,
}

/// How one packet differs from the one sent before.
#[derive(Clone, Debug)]
struct Step {
    numbers: u16,
    units: u32,
    nanos: u64,
    payload_type: u8,
    marker: bool,
    len: u8,
    /// Nanoseconds it is delayed by, and those of its copy.
    delay: u64,
    copy: Option<u64>,
}

fn step() -> impl Strategy<Value = Step> {
    (
        prop_oneof![
            60 => Just(1u16),
            4 => 2u16..20,
            2 => 200u16..700,
            1 => 2_990u16..3_010,
            1 => any::<u16>(),
        ],
        prop_oneof![20 => Just(160u32), 2 => Just(960), 1 => any::<u32>()],
        prop_oneof![20 => Just(20_000_000u64), 5 => 0..40_000_000u64, 1 => 190_000_000..400_000_000u64,
            1 => 4_000_000_000..12_000_000_000u64],
        prop_oneof![30 => Just(0u8), 6 => Just(96u8), 2 => Just(8u8), 2 => Just(13u8), 2 => Just(101u8),
            2 => Just(97u8), 1 => Just(98u8), 1 => 0..128u8],
        proptest::bool::weighted(0.1),
        prop_oneof![10 => Just(160u8), 1 => Just(4u8), 1 => Just(0u8)],
        prop_oneof![10 => Just(0u64), 4 => 0..90_000_000u64],
        proptest::option::weighted(0.05, 0..100_000_000u64),
    )
        .prop_map(|(numbers, units, nanos, payload_type, marker, len, delay, copy)| Step {
            numbers,
            units,
            nanos,
            payload_type,
            marker,
            len,
            delay,
            copy,
        })
}

/// Packets in order of their arrival; a few are stamped in another order, as those of two queues are.
fn packets() -> impl Strategy<Value = Vec<Sent>> {
    let steps = proptest::collection::vec(step(), 1..700);
    (
        any::<u16>(),
        any::<u32>(),
        steps,
        proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    )
        .prop_map(|(mut seq, mut timestamp, steps, swapped)| {
            let mut at = 1_000_000_000;
            let mut sent = Vec::new();
            for step in steps {
                seq = seq.wrapping_add(step.numbers);
                timestamp = timestamp.wrapping_add(step.units);
                at += step.nanos;
                let packet = Sent {
                    at: at + step.delay,
                    seq,
                    timestamp,
                    payload_type: step.payload_type,
                    marker: step.marker,
                    len: step.len,
                };
                sent.push(packet);
                sent.extend(step.copy.map(|delay| Sent {
                    at: at + delay,
                    ..packet
                }));
            }
            sent.sort_by_key(|packet| packet.at);
            for index in swapped {
                let first = index.index(sent.len());
                if first + 1 < sent.len() {
                    sent.swap(first, first + 1);
                }
            }
            sent
        })
}

fn key() -> Key {
    Key {
        src: Endpoint::v4([10, 0, 0, 1], 10_000),
        dst: Endpoint::v4([10, 0, 0, 2], 20_000),
        ssrc: 7,
    }
}

/// What the engine measures, knowing the formats from the beginning.
fn engine(packets: &[Sent], join: Option<&Join>) -> report::Stream {
    let payload = [0; 255];
    let header = |packet: &Sent| {
        let rtp = rtp::Packet {
            marker: packet.marker,
            payload_type: packet.payload_type,
            seq: packet.seq,
            timestamp: packet.timestamp,
            ssrc: 7,
            payload: &payload[..usize::from(packet.len)],
            len: usize::from(packet.len),
        };
        Header::of(Timestamp::from_nanos(packet.at), &rtp)
    };
    let formats = join.map_or(&[][..], |join| &join.formats);
    let (mut measurement, _) = Measurement::begin(&header(&packets[0]), formats, None);
    for packet in &packets[1..] {
        measurement.take(&header(packet), || formats);
    }
    report::Stream {
        // What the kernel has no basis for.
        clock: None,
        burst: None,
        playout: None,
        quality: None,
        ..summary::stream(&key(), &measurement, join, Traits::default())
    }
}

fn state(packets: &[Sent], join: Option<&Join>) -> StreamState {
    let formats = join.map_or(&[][..], |join| &join.formats);
    let said = |payload_type| codec::kind(payload_type, formats);
    let header = |packet: &Sent| capture_common::rtp::Header {
        ssrc: 7,
        timestamp: packet.timestamp,
        seq: packet.seq,
        second: u8::from(packet.marker) << 7 | packet.payload_type,
        len: packet.len,
    };
    let mut state: StreamState = bytemuck::Zeroable::zeroed();
    state.begin(packets[0].at, &header(&packets[0]), 100, said);
    for packet in &packets[1..] {
        if state.due() {
            state.hear(said(state.payload_type()));
        }
        state.take(packet.at, &header(packet), 100, said);
    }
    state
}

/// What the kernel program measures of the same.
fn kernel(packets: &[Sent], join: Option<&Join>) -> report::Stream {
    let told = summary::measured(&key(), &state(packets, join), join, Timestamp::from_nanos);
    assert_eq!(told.measured_in, Some(MeasuredIn::Kernel));
    assert_eq!(told.octets, Some(100 * packets.len() as u64));
    report::Stream {
        measured_in: None,
        octets: None,
        ..told
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn the_kernels_account_is_the_engines(packets in packets(), is_joined in any::<bool>()) {
        let join = is_joined.then(join);
        prop_assert_eq!(kernel(&packets, join.as_ref()), engine(&packets, join.as_ref()));
    }
}

/// Packets of G.711, 20 ms apart.
fn voice(count: u16) -> Vec<Sent> {
    (0..count)
        .map(|n| Sent {
            at: 1_000_000_000 + u64::from(n) * 20_000_000,
            seq: n,
            timestamp: u32::from(n) * 160,
            payload_type: 0,
            marker: false,
            len: 160,
        })
        .collect()
}

/// A table with room for `max` streams, the endpoints it looks at, and what it counts.
struct Lab {
    streams: MeasuredStreams,
    endpoints: Endpoints,
    losses: Losses,
}

impl Lab {
    fn new(max: usize) -> Self {
        Self {
            streams: MeasuredStreams::new(&Follow {
                max_streams: max,
                linger: Duration::from_secs(60),
                ..Follow::default()
            }),
            endpoints: Endpoints::new(100),
            losses: Losses::default(),
        }
    }

    fn see(&mut self, key: &StreamKey, state: &StreamState, now_s: u64) -> Seen {
        let now = Timestamp::from_nanos(now_s * 1_000_000_000);
        self.streams
            .see(key, state, Timestamp::from_nanos, now, &self.endpoints, &self.losses)
    }

    fn end(&mut self, key: &StreamKey, state: &StreamState) {
        self.streams.end(key, state, Timestamp::from_nanos, &self.losses);
    }

    fn report(&mut self, key: &StreamKey, state: &StreamState) -> Option<report::Stream> {
        self.streams
            .report(key, state, Timestamp::from_nanos, &self.endpoints, &self.losses)
    }

    fn announce(&self, endpoint: Endpoint) {
        self.announce_of("a", endpoint, 500);
    }

    fn announce_of(&self, call: &str, endpoint: Endpoint, at_ms: u64) {
        let terms = Terms {
            purpose: Purpose::Media,
            basis: Basis::Described,
            author: Author { tag: 1, peer: false },
            formats: formats(),
            srtp: Srtp::default(),
        };
        let at = Timestamp::from_nanos(at_ms * 1_000_000);
        self.endpoints.begun_by(1, &call.into(), at, &self.losses);
        self.endpoints
            .announce(endpoint, &call.into(), at, &terms, &self.losses);
    }

    fn release(&self, call: &str, at_ms: u64) {
        let at = Timestamp::from_nanos(at_ms * 1_000_000);
        self.endpoints.release(&call.into(), at, &self.losses);
    }
}

fn stream_key(ssrc: u32) -> StreamKey {
    StreamKey {
        source: key().src.octets(),
        destination: key().dst.octets(),
        source_port: key().src.port(),
        destination_port: key().dst.port(),
        ssrc,
    }
}

#[test]
fn a_stream_finds_its_call_and_counts_once() {
    let mut lab = Lab::new(100);
    let (key, half, all) = (stream_key(7), state(&voice(50), None), state(&voice(100), None));
    assert_eq!(lab.see(&key, &half, 2), Seen::Stays);
    assert_eq!(lab.report(&key, &half), None, "nobody announced it");
    lab.announce(super::tests::key().dst);
    assert_eq!(lab.see(&key, &half, 2), Seen::Stays);
    assert_eq!(lab.see(&key, &all, 3), Seen::Stays);
    let report = lab.report(&key, &all).unwrap();
    assert_eq!((report.call_id.as_deref(), report.packets), (Some("a"), 100));
    let news = lab.streams.news();
    assert_eq!((news.len(), &*news[1].0, news[1].3), (2, "a", report.end));
    let packets = || lab.streams.totals.sum(super::super::Sum::Packets);
    assert_eq!(packets(), 100);
    // It was quiet for its linger.
    assert_eq!(lab.see(&key, &all, 63), Seen::Over);
    lab.end(&key, &all);
    lab.streams.news();
    let totals = lab.streams.totals();
    assert_eq!((totals.sum(super::super::Sum::Packets), totals.ended.get()), (100, 1));
    assert!(lab.streams.is_empty());
}

#[test]
fn what_no_call_announces_leaves_early_and_is_counted() {
    let mut lab = Lab::new(100);
    let (key, state) = (stream_key(7), state(&voice(50), None));
    assert_eq!(lab.see(&key, &state, 5), Seen::Stays);
    assert_eq!(lab.see(&key, &state, 12), Seen::Over);
    lab.end(&key, &state);
    assert_eq!(lab.losses.get(Loss::StreamUnjoined), 1);
    assert_eq!(lab.streams.totals().ended.get(), 0);
}

#[test]
fn the_longest_quiet_make_room_and_those_that_speak_do_not() {
    let mut lab = Lab::new(160);
    let old = state(&voice(1), None);
    let new = state(&voice(400), None);
    for ssrc in 0..155 {
        lab.see(&stream_key(ssrc), if ssrc % 2 == 0 { &old } else { &new }, 8);
    }
    let now = Timestamp::from_nanos(8_000_000_000);
    let crowded = lab.streams.end_round(now);
    assert_eq!(crowded.len(), 155 - 140);
    assert!(crowded.iter().all(|key| key.ssrc % 2 == 0), "{crowded:?}");
    // What was not seen in a round is not there any more.
    lab.see(&stream_key(3), &new, 8);
    assert_eq!(lab.streams.end_round(now), []);
    assert_eq!(lab.streams.len(), 1);
}

/// The endpoints of a call that is over are another's, whose media goes on with the source and the numbers of the one before.
#[test]
fn a_stream_whose_endpoints_another_call_takes_over_is_another_stream() {
    for asked in [false, true] {
        let mut lab = Lab::new(100);
        let key = stream_key(7);
        let (half, all) = (state(&voice(100), None), state(&voice(400), None));
        lab.announce(super::tests::key().dst);
        lab.announce(super::tests::key().src);
        assert_eq!(lab.see(&key, &half, 3), Seen::Stays);
        assert!(
            lab.streams.table[&key]
                .join
                .as_ref()
                .is_some_and(|join| join.srtp.is_some())
        );
        lab.release("a", 3_000);
        lab.announce_of("b", super::tests::key().dst, 3_500);
        lab.announce_of("b", super::tests::key().src, 3_500);
        if asked {
            lab.report(&key, &all);
        }
        assert_eq!(lab.see(&key, &all, 9), Seen::Over, "asked before: {asked}");
        lab.end(&key, &all);
        // The next one is the other call's.
        let next = state(&voice(500)[401..], None);
        assert_eq!(lab.see(&key, &next, 11), Seen::Stays);
        assert_eq!(lab.report(&key, &next).unwrap().call_id.as_deref(), Some("b"));
    }
}

#[test]
fn packets_after_a_call_are_still_its_own() {
    let mut lab = Lab::new(100);
    let (key, half, all) = (stream_key(7), state(&voice(100), None), state(&voice(110), None));
    lab.announce(super::tests::key().dst);
    assert_eq!(lab.see(&key, &half, 3), Seen::Stays);
    lab.release("a", 3_000);
    for seen in 0..3 {
        assert_eq!(lab.see(&key, &all, 4 + seen), Seen::Stays);
    }
    assert_eq!(lab.report(&key, &all).unwrap().call_id.as_deref(), Some("a"));
}

/// Its RTP crosses while a rule has it kept, and what crossed is not missing where it was not seen.
#[test]
fn an_account_ends_where_packets_cross_and_begins_anew() {
    let mut lab = Lab::new(100);
    let key = stream_key(7);
    let ruling = |level| {
        Some(Arc::new(crate::rules::Ruling {
            name: "one".to_owned(),
            level,
            tally: Arc::default(),
            asks: 1,
        }))
    };
    let first = state(&voice(100), None);
    lab.announce(super::tests::key().dst);
    assert_eq!(lab.see(&key, &first, 3), Seen::Stays);
    for (ticket, level) in [(1, Level::Signaling), (2, Level::Headers), (3, Level::Full)] {
        lab.endpoints.change_rule("a", ticket, ruling(level).as_ref());
        let expected = if level == Level::Signaling {
            Seen::Stays
        } else {
            Seen::Over
        };
        assert_eq!(lab.see(&key, &first, 3), expected, "{level:?}");
    }
    lab.end(&key, &first);
    lab.endpoints.change_rule("a", 4, None);
    let second = state(&voice(400)[300..], None);
    assert_eq!(lab.see(&key, &second, 9), Seen::Stays);
    lab.streams.news();
    let totals = lab.streams.totals();
    let sum = |of| totals.sum(of);
    assert_eq!(
        (sum(super::super::Sum::Packets), sum(super::super::Sum::Lost)),
        (200, 0)
    );
    assert_eq!(totals.ended.get(), 1);
    let told = lab.report(&key, &second).unwrap();
    assert_eq!((told.packets, told.lost), (100, 0));
}
