//! RTP that is measured in the kernel: its figures are those of the engine, of the same frames at the same times; what does not
//! belong there crosses; what finds no room is counted.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod kernel_lab;

use std::sync::Arc;
use std::time::{Duration, Instant};

use capture_common::rtp::{StreamKey, StreamState};
use capture_common::{Fate, Level, Media, Tunnel, Verdict};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::media::{Learn, MeasuredStreams};
use capture_daemon::net::Endpoint;
use capture_daemon::outcome::Losses;
use capture_daemon::program::{self, Chunk, MeasuredMap, Program};
use capture_daemon::report::{MeasuredIn, Stream};
use capture_daemon::time::Timestamp;
use capture_daemon::xsk::Lane;
use kernel_lab::frames::{datagram, datagram6, ethernet, ipv4, udp};
use kernel_lab::{PATIENCE, Sender, Wire, config, receive, wait_until_seen};

const IPV4: u16 = 0x0800;
const UDP: u8 = 17;
const MORE: u16 = 0x2000;

/// The program at one end of the wire, its streams, and the other end.
struct Bench {
    program: Program,
    lanes: Vec<Lane>,
    map: MeasuredMap,
    sender: Sender,
    sent: u64,
}

impl Bench {
    fn open(capture: &Capture, follow: &Follow) -> Self {
        let (mut program, lanes) = program::prepare(capture, follow).unwrap();
        program.arm().unwrap();
        let map = program.take_measured().unwrap();
        Self {
            program,
            lanes,
            map,
            sender: Sender::open(),
            sent: 0,
        }
    }

    /// Sends a frame, and waits until the program has seen it.
    fn send(&mut self, frame: &[u8]) {
        self.sender.send(frame);
        self.sent += 1;
        wait_until_seen(&self.program, self.sent);
    }

    /// Sends a frame and expects this verdict.
    fn expect(&mut self, what: &str, frame: &[u8], verdict: Verdict) {
        let before = self.program.verdicts().unwrap().get(verdict).frames;
        self.send(frame);
        let after = self.program.verdicts().unwrap();
        assert_eq!(after.get(verdict).frames, before + 1, "{what}: {after:?}");
    }

    /// The streams in the map.
    fn streams(&self) -> Vec<(StreamKey, StreamState)> {
        let (mut streams, mut cursor, mut chunk) = (Vec::new(), None, Chunk::with_room(64));
        loop {
            self.map.read(&mut cursor, &mut chunk).unwrap();
            streams.extend(chunk.iter().map(|(key, state)| (*key, *state)));
            if cursor.is_none() {
                return streams;
            }
        }
    }

    fn verdicts_add_up(&mut self) {
        receive(&self.program, &mut self.lanes, self.sent, &mut Vec::new());
        let verdicts = self.program.verdicts().unwrap();
        let fates = [Fate::Captured, Fate::Filtered, Fate::Dropped].map(|fate| verdicts.frames(fate));
        assert_eq!(fates.iter().sum::<u64>(), self.sent);
    }
}

fn measured() -> Capture {
    Capture {
        media: Media::Measured,
        tunnels: vec![Tunnel::Vxlan],
        ..config()
    }
}

/// A packet of a generated stream.
#[derive(Clone, Copy)]
struct Packet {
    seq: u16,
    timestamp: u32,
    payload_type: u8,
    marker: bool,
    len: usize,
}

impl Packet {
    fn rtp(self, ssrc: u32) -> Vec<u8> {
        // Contributors, an extension and padding in some of them.
        let first = 0x80
            | if self.seq.is_multiple_of(5) { 2 } else { 0 }
            | if self.seq.is_multiple_of(7) { 0x10 } else { 0 }
            | if self.seq.is_multiple_of(11) { 0x20 } else { 0 };
        let mut rtp = vec![first, u8::from(self.marker) << 7 | self.payload_type];
        rtp.extend(self.seq.to_be_bytes());
        rtp.extend(self.timestamp.to_be_bytes());
        rtp.extend(ssrc.to_be_bytes());
        if first & 0x0f != 0 {
            rtp.extend([9; 8]);
        }
        if first & 0x10 != 0 {
            rtp.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        }
        rtp.resize(rtp.len() + self.len, 0xd5);
        if first & 0x20 != 0 {
            rtp.extend([0, 0, 3]);
        }
        rtp
    }
}

/// Every thing that happens to streams: loss, reordering, copies, the wrap, markers, comfort noise, key presses, changes of the
/// codec, strays, and a sender that starts over.
fn packets(salt: u32) -> Vec<Packet> {
    let mut random = 0x5150 + salt;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    let (mut seq, mut timestamp) = (65_400u16, 0xffff_f000u32);
    let mut packets = Vec::new();
    for number in 0..700 {
        let payload_type = match number {
            0..300 => 0,
            300..400 => 8,
            _ => 96,
        };
        seq = seq.wrapping_add(match (number, next(20)) {
            (450, _) => 20_000,
            (_, 0) => 2,
            (_, 1) if number % 50 == 0 => 270,
            _ => 1,
        });
        timestamp = timestamp.wrapping_add(160);
        let packet = match next(30) {
            0 => Packet {
                seq,
                timestamp,
                payload_type: 13,
                marker: false,
                len: 1,
            },
            1 => Packet {
                seq,
                timestamp,
                payload_type: 101,
                marker: true,
                len: 4,
            },
            kind => Packet {
                seq,
                timestamp,
                payload_type,
                marker: kind == 2,
                len: 160,
            },
        };
        packets.push(packet);
        match next(25) {
            0 => packets.push(packet),
            1 => packets.push(Packet {
                seq: seq.wrapping_add(10_000),
                ..packet
            }),
            _ => {}
        }
    }
    for _ in 0..40 {
        let at = next(packets.len() as u32 - 10) as usize;
        let by = next(9) as usize + 1;
        packets.swap(at, at + by);
    }
    packets
}

/// A call whose two sides announce where they receive.
fn signaling(call: &str, six: bool, ports: [u16; 2]) -> [Vec<u8>; 2] {
    let message = |start: &str, to_tag: &str, side: usize| {
        let address = match (six, side) {
            (true, 0) => "IP6 fd00::1",
            (true, _) => "IP6 fd00::2",
            (false, 0) => "IP4 10.0.0.1",
            (false, _) => "IP4 10.0.0.2",
        };
        let sdp = format!(
            "v=0\r\no=- 1 1 IN {address}\r\ns=-\r\nc=IN {address}\r\nt=0 0\r\nm=audio {} RTP/AVP 0 8 96 101 13\r\n\
             a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n",
            ports[side]
        );
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{call}\r\nFrom: <sip:a@10.0.0.1>;tag=a\r\n\
             To: <sip:b@10.0.0.2>{to_tag}\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        datagram(5060, 5060, text.as_bytes())
    };
    [
        message("INVITE sip:b@10.0.0.2 SIP/2.0", "", 0),
        message("SIP/2.0 200 OK", ";tag=b", 1),
    ]
}

fn frame(bytes: &[u8], nanos: u64) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_nanos(nanos),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// How a datagram is sent.
type Sent = fn([u16; 2], &[u8]) -> Vec<u8>;

/// The same datagram in different clothes.
const WAYS: [(&str, bool, Sent); 4] = [
    ("IPv4", false, |[from, to], rtp| datagram(from, to, rtp)),
    ("IPv6", true, |[from, to], rtp| datagram6(from, to, rtp)),
    ("VLAN", false, |[from, to], rtp| {
        ethernet(&[0x88a8, 0x8100], IPV4, &ipv4(UDP, 0, 0, &[1; 8], &udp(from, to, rtp)))
    }),
    ("VXLAN", false, |[from, to], rtp| {
        let inner = datagram(from, to, rtp);
        datagram(40_000, 4789, &[&[8, 0, 0, 0, 0, 0, 9, 0], inner.as_slice()].concat())
    }),
];

#[test]
fn figures_are_the_engines() {
    Wire::new(1, 1500).run("figures_are_the_engines", || {
        let (capture, follow) = (measured(), Follow::default());
        let mut bench = Bench::open(&capture, &follow);
        let shared = Arc::new(Shared::new(&follow).told_to(bench.program.learned()));
        let mut engine = Engine::new(&follow, &capture, Arc::clone(&shared));
        let mut kernel = MeasuredStreams::new(&follow);
        for (number, (what, six, sent)) in (0u16..).zip(WAYS) {
            let ports = [10_000 + 4 * number, 20_000 + 4 * number];
            for message in signaling(what, six, ports) {
                engine.frame(&frame(&message, 1_000_000_000));
            }
            for packet in packets(number.into()) {
                let bytes = sent(ports, &packet.rtp(u32::from(number)));
                bench.expect(what, &bytes, Verdict::Measured);
                // When it came is what the kernel says of the stream's latest packet.
                let streams = bench.streams();
                let (_, state) = streams.iter().find(|(key, _)| key.ssrc == u32::from(number)).unwrap();
                engine.frame(&frame(&bytes, state.end()));
            }
        }
        bench.verdicts_add_up();
        let losses = Losses::default();
        let mut of_kernel: Vec<Stream> = bench
            .streams()
            .iter()
            .filter_map(|(key, state)| kernel.report(key, state, Timestamp::from_nanos, &shared.endpoints, &losses))
            .collect();
        let mut of_engine = engine.streams();
        of_kernel.sort_by(|a, b| a.ssrc.cmp(&b.ssrc));
        of_engine.sort_by(|a, b| a.ssrc.cmp(&b.ssrc));
        assert_eq!(of_engine.len(), WAYS.len());
        for stream in &mut of_kernel {
            assert_eq!(stream.measured_in.take(), Some(MeasuredIn::Kernel));
            assert!(stream.octets.take().unwrap() > 160 * stream.packets / 2);
        }
        for stream in &mut of_engine {
            // Nothing that was generated is absent.
            assert!(
                stream.lost > 0 && stream.reordered > 0 && stream.duplicates > 0,
                "{stream:?}"
            );
            assert!(stream.restarts > 0 && stream.codec_changes > 1 && stream.comfort_noise > 0);
            assert!(stream.payload_types.len() == 5 && stream.jitter_max_ms > Some(0.0));
            assert_eq!(stream.clock_rate, Some(8_000));
            // What the kernel has no basis for.
            assert!(stream.clock.take().is_some() && stream.burst.take().is_some());
            assert!(stream.playout.take().is_some());
            (stream.quality, stream.dtmf) = (None, None);
        }
        assert_eq!(of_kernel, of_engine);
    });
}

fn endpoint(port: u16) -> Endpoint {
    let last = if port < 20_000 { 1 } else { 2 };
    Endpoint::v4([10, 0, 0, last], port)
}

fn voice(ssrc: u32, seq: u16) -> Vec<u8> {
    let packet = Packet {
        seq,
        timestamp: u32::from(seq) * 160,
        payload_type: 0,
        marker: false,
        len: 160,
    };
    datagram(10_000, 20_000, &packet.rtp(ssrc))
}

#[test]
fn what_is_no_rtp_crosses_and_so_does_a_call_whose_level_asks_for_it() {
    Wire::new(1, 1500).run(
        "what_is_no_rtp_crosses_and_so_does_a_call_whose_level_asks_for_it",
        || {
            let mut bench = Bench::open(&measured(), &Follow::default());
            let send = |payload: &[u8]| datagram(10_000, 20_000, payload);
            bench.expect(
                "RTCP",
                &send(&[&[0x80, 200, 0, 6][..], &[3; 24]].concat()),
                Verdict::MediaControl,
            );
            bench.expect(
                "DTLS",
                &send(&[&[22, 0xfe, 0xfd][..], &[1; 60]].concat()),
                Verdict::Media,
            );
            bench.expect("an extension beyond the packet", &send(&[0x90; 20]), Verdict::Media);
            bench.expect(
                "SIP",
                &datagram(5060, 5060, b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
                Verdict::Sip,
            );
            assert!(bench.streams().is_empty());

            // Pieces of what was measured are not kept.
            let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 5][..], &[5; 160]].concat();
            let first = ethernet(&[], IPV4, &ipv4(UDP, 7, MORE, &[], &udp(9, 10_000, &rtp)));
            bench.expect("a first fragment", &first, Verdict::Measured);
            let later = ethernet(&[], IPV4, &ipv4(UDP, 7, 24, &[], &[5; 40]));
            bench.expect("a later fragment", &later, Verdict::FragmentUnwanted);

            let learned = bench.program.learned();
            for (level, verdict) in [(Level::Full, Verdict::Media), (Level::Headers, Verdict::MediaHeaders)] {
                learned.learn(endpoint(20_000), &[], Some(level), None);
                bench.expect("a call of a level", &voice(1, 1), verdict);
                learned.forget(endpoint(20_000));
            }
            // A level below is no reason to know less.
            learned.learn(endpoint(20_000), &[], Some(Level::Signaling), None);
            bench.expect("signalling", &voice(1, 1), Verdict::Measured);
            // A level that comes later is minded a few packets later, and a level that goes at once.
            learned.learn(endpoint(20_000), &[], Some(Level::Full), None);
            let crossed = (2..200).position(|seq| {
                let before = bench.program.verdicts().unwrap().get(Verdict::Measured).frames;
                bench.send(&voice(1, seq));
                bench.program.verdicts().unwrap().get(Verdict::Measured).frames == before
            });
            assert!(crossed.is_some_and(|packets| packets <= 64), "{crossed:?}");
            bench.expect("and from then on", &voice(1, 300), Verdict::Media);
            learned.forget(endpoint(20_000));
            bench.expect("again without a level", &voice(1, 301), Verdict::Measured);
            bench.verdicts_add_up();
        },
    );
}

#[test]
fn a_full_map_drops_and_counts_and_has_room_again_when_streams_are_over() {
    Wire::new(1, 1500).run(
        "a_full_map_drops_and_counts_and_has_room_again_when_streams_are_over",
        || {
            let follow = Follow {
                max_streams: 16,
                linger: Duration::from_secs(1),
                ..Follow::default()
            };
            let mut bench = Bench::open(&measured(), &follow);
            assert_eq!(bench.map.capacity(), 16);
            for ssrc in 0..20 {
                bench.send(&voice(ssrc, 1));
                bench.send(&voice(ssrc, 2));
            }
            let verdicts = bench.program.verdicts().unwrap();
            assert_eq!(verdicts.get(Verdict::Measured).frames, 32);
            assert_eq!(verdicts.get(Verdict::MeasuredFull).frames, 8);
            bench.verdicts_add_up();
            let streams = bench.streams();
            assert!(streams.len() == 16 && streams.iter().all(|(_, state)| state.packets() == 2));

            let (key, state) = streams[0];
            let taken = bench.map.take(&key).unwrap().unwrap();
            assert_eq!((taken.packets(), taken.end()), (2, state.end()));
            assert!(bench.map.take(&key).unwrap().is_none());
            assert_eq!(bench.streams().len(), 15);
            bench.expect("there is room again", &voice(100, 1), Verdict::Measured);
            bench.expect("for one", &voice(101, 1), Verdict::MeasuredFull);
            // Its account is where another's was, and its own.
            let packets = |bench: &Bench| {
                let of_it = bench.streams().into_iter().find(|(key, _)| key.ssrc == 100);
                of_it.map(|(key, state)| (key, state.packets()))
            };
            let (key, count) = packets(&bench).unwrap();
            assert_eq!(count, 1);
            bench.expect("the next", &voice(100, 2), Verdict::Measured);
            assert_eq!(packets(&bench), Some((key, 2)));
            // One that goes on when it was taken out begins anew.
            assert_eq!(bench.map.take(&key).unwrap().unwrap().packets(), 2);
            bench.expect("one that goes on", &voice(100, 3), Verdict::Measured);
            assert_eq!(packets(&bench), Some((key, 1)));
        },
    );
}

/// What reading costs is told, not judged: it is for the bench.
#[test]
fn as_many_streams_as_a_full_link_has_fit() {
    Wire::new(1, 1500).run("as_many_streams_as_a_full_link_has_fit", || {
        const STREAMS: u32 = 105_000;
        let mut bench = Bench::open(&measured(), &Follow::default());
        for ssrc in 0..STREAMS {
            bench.sender.send(&voice(ssrc, 1));
            bench.sent += 1;
            if ssrc % 100 == 99 {
                wait_until_seen(&bench.program, bench.sent);
            }
        }
        wait_until_seen(&bench.program, bench.sent);
        let began = Instant::now();
        let (mut count, mut cursor, mut chunk) = (0, None, Chunk::with_room(4096));
        loop {
            bench.map.read(&mut cursor, &mut chunk).unwrap();
            count += chunk.iter().count();
            assert!(began.elapsed() < PATIENCE);
            if cursor.is_none() {
                break;
            }
        }
        println!("{count} streams read in {:?}", began.elapsed());
        assert_eq!(count, STREAMS as usize);
        assert_eq!(
            bench.program.verdicts().unwrap().get(Verdict::Measured).frames,
            u64::from(STREAMS)
        );
    });
}
