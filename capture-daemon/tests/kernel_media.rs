//! Every media mode and level on real frames: what crosses, what does not and why, and what is cut to the byte.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod kernel_lab;

use std::net::Ipv4Addr;
use std::sync::Arc;

use capture_common::{Fate, Level, Media, Tunnel, Verdict};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::media::Learn;
use capture_daemon::net::Endpoint;
use capture_daemon::program::{self, LearnedEndpoints, Program};
use capture_daemon::xsk::Lane;
use kernel_lab::frames::{datagram, datagram6, ethernet, ipv4, udp};
use kernel_lab::{Received, Sender, Wire, config, receive};

const IPV4: u16 = 0x0800;
const UDP: u8 = 17;
const MORE: u16 = 0x2000;

/// An RTP packet whose header has these contributors and words of extension, with a payload of `payload` bytes.
fn rtp(contributors: u8, words: Option<u8>, payload: usize) -> Vec<u8> {
    let extension = words.map_or(Vec::new(), |words| {
        [&[0xbe, 0xde, 0, words][..], &vec![7; usize::from(words) * 4]].concat()
    });
    let first = 0x80 | contributors | if words.is_some() { 0x10 } else { 0 };
    let fixed = [first, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9];
    [
        &fixed[..],
        &vec![5; usize::from(contributors) * 4],
        &extension,
        &vec![0xd5; payload],
    ]
    .concat()
}

fn rtcp() -> Vec<u8> {
    [&[0x80, 200, 0, 6][..], &[3; 24]].concat()
}

fn stun() -> Vec<u8> {
    [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[4; 12]].concat()
}

/// ChannelData of TURN with RTP in it.
fn channel() -> Vec<u8> {
    let inner = rtp(0, None, 160);
    [&[0x40, 1, 0, inner.len() as u8][..], &inner].concat()
}

fn dtls() -> Vec<u8> {
    [&[22, 0xfe, 0xfd][..], &[1; 60]].concat()
}

const SIP: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: x\r\n\r\n";

struct Bench {
    program: Program,
    lanes: Vec<Lane>,
    sender: Sender,
    received: Vec<Received>,
    sent: u64,
}

impl Bench {
    fn open(capture: &Capture) -> Self {
        let (program, lanes) = program::open(capture).unwrap();
        Self {
            program,
            lanes,
            sender: Sender::open(),
            received: Vec::new(),
            sent: 0,
        }
    }

    fn learned(&self) -> Arc<LearnedEndpoints> {
        self.program.learned()
    }

    /// Sends a frame and expects this verdict and, where it is captured, its first `kept` bytes.
    fn expect(&mut self, what: &str, frame: &[u8], verdict: Verdict, kept: usize) {
        let before = self.program.verdicts().unwrap();
        let arrived = self.received.len();
        self.sender.send(frame);
        self.sent += 1;
        receive(&self.program, &mut self.lanes, self.sent, &mut self.received);
        let after = self.program.verdicts().unwrap();
        let got: Vec<_> = after
            .iter()
            .filter(|(verdict, count)| count.frames != before.get(*verdict).frames)
            .map(|(verdict, count)| (verdict, count.bytes - before.get(verdict).bytes))
            .collect();
        assert_eq!(got, [(verdict, frame.len() as u64)], "{what}: {frame:02x?}");
        let new: Vec<_> = self.received[arrived..]
            .iter()
            .map(|packet| (packet.verdict, packet.wire_len as usize, packet.bytes.as_slice()))
            .collect();
        if verdict.fate() == Fate::Captured {
            assert_eq!(new, [(Some(verdict), frame.len(), &frame[..kept])], "{what}");
        } else {
            assert_eq!(new, [], "{what}");
        }
    }

    fn whole(&mut self, what: &str, frame: &[u8], verdict: Verdict) {
        self.expect(what, frame, verdict, frame.len());
    }
}

fn with(media: Media, level: Level, early_packets: u32) -> Capture {
    Capture {
        media,
        level,
        early_packets,
        tunnels: vec![Tunnel::Vxlan],
        ..config()
    }
}

/// Where the UDP payload begins in a frame of [`datagram`] and of [`datagram6`].
const PAYLOAD: usize = 42;
const PAYLOAD6: usize = 62;

#[test]
fn headers_are_cut_to_the_byte() {
    Wire::new(1, 1500).run("headers_are_cut_to_the_byte", || {
        let mut bench = Bench::open(&with(Media::Range, Level::Headers, 0));
        let send = |payload: &[u8]| datagram(10_000, 20_000, payload);
        for (contributors, words) in [
            (0, None),
            (2, None),
            (15, None),
            (0, Some(0)),
            (0, Some(3)),
            (15, Some(40)),
        ] {
            let header = 12 + 4 * usize::from(contributors) + words.map_or(0, |words: u8| 4 + 4 * usize::from(words));
            let frame = send(&rtp(contributors, words, 160));
            let what = format!("{contributors} contributors, {words:?} words");
            bench.expect(&what, &frame, Verdict::MediaHeaders, PAYLOAD + header);
        }
        let six = datagram6(10_000, 20_000, &rtp(0, None, 160));
        bench.expect("IPv6", &six, Verdict::MediaHeaders, PAYLOAD6 + 12);
        let tagged = ethernet(
            &[0x88a8, 0x8100],
            IPV4,
            &ipv4(UDP, 0, 0, &[1; 8], &udp(9, 10_000, &rtp(0, None, 20))),
        );
        bench.expect("tags and options", &tagged, Verdict::MediaHeaders, PAYLOAD + 8 + 8 + 12);
        let inner = send(&rtp(1, None, 160));
        let tunnelled = datagram(4_000, 4789, &[&[8, 0, 0, 0, 0, 0, 9, 0], inner.as_slice()].concat());
        bench.expect("a tunnel", &tunnelled, Verdict::MediaHeaders, 50 + PAYLOAD + 16);
        // A telephone event is read out of its payload.
        bench.whole("a telephone event", &send(&rtp(0, None, 4)), Verdict::Media);
        bench.expect(
            "five bytes",
            &send(&rtp(0, None, 5)),
            Verdict::MediaHeaders,
            PAYLOAD + 12,
        );
        for (what, payload) in [
            ("ChannelData", channel()),
            ("DTLS", dtls()),
            ("an extension beyond the packet", rtp(0, Some(40), 0)[..40].to_vec()),
            ("nothing", Vec::new()),
        ] {
            bench.whole(what, &send(&payload), Verdict::Media);
        }
        for (what, payload) in [("RTCP", rtcp()), ("STUN", stun()), ("SIP", SIP.to_vec())] {
            bench.whole(what, &send(&payload), Verdict::MediaControl);
        }
        let first = ethernet(&[], IPV4, &ipv4(UDP, 7, MORE, &[], &udp(9, 10_000, &rtp(0, None, 172))));
        bench.whole("a first fragment", &first, Verdict::FragmentFirst);
        let later = ethernet(&[], IPV4, &ipv4(UDP, 7, 24, &[], &[5; 40]));
        bench.whole("a later fragment", &later, Verdict::FragmentLater);
        bench.whole("TURN's own port", &datagram(3478, 20_000, &channel()), Verdict::Turn);
    });
}

/// Frames in several buffers are cut as well.
#[test]
fn long_frames_are_cut_too() {
    Wire::new(1, 9000).run("long_frames_are_cut_too", || {
        let mut bench = Bench::open(&with(Media::Range, Level::Headers, 0));
        let frame = datagram(10_000, 20_000, &rtp(2, None, 7_000));
        bench.expect("a long frame", &frame, Verdict::MediaHeaders, PAYLOAD + 20);
    });
}

#[test]
fn signaling_lets_rtcp_stun_and_sip_cross_and_nothing_else() {
    Wire::new(1, 1500).run("signaling_lets_rtcp_stun_and_sip_cross_and_nothing_else", || {
        for (media, level, verdict) in [
            (Media::Range, Level::Signaling, Verdict::MediaByLevel),
            (Media::Off, Level::Full, Verdict::MediaOff),
        ] {
            let mut bench = Bench::open(&with(media, level, 10));
            let send = |payload: &[u8]| datagram(10_000, 20_000, payload);
            for payload in [rtp(0, None, 160), rtp(0, None, 4), channel(), dtls(), Vec::new()] {
                bench.whole("media", &send(&payload), verdict);
            }
            for payload in [rtcp(), stun(), SIP.to_vec()] {
                bench.whole("what tells of it", &send(&payload), Verdict::MediaControl);
            }
            bench.whole("SIP", &datagram(5060, 20_000, SIP), Verdict::Sip);
            // Pieces of what is not wanted share its fate.
            let first = ethernet(&[], IPV4, &ipv4(UDP, 7, MORE, &[], &udp(9, 10_000, &rtp(0, None, 172))));
            bench.whole("a first fragment", &first, verdict);
            let later = ethernet(&[], IPV4, &ipv4(UDP, 7, 24, &[], &[5; 40]));
            bench.whole("a later fragment", &later, Verdict::FragmentUnwanted);
        }
    });
}

/// The ends of [`datagram`]'s frames.
fn ends() -> [Endpoint; 2] {
    [10_000, 20_000].map(|port| Endpoint::new(Ipv4Addr::new(10, 0, 0, if port == 10_000 { 1 } else { 2 }).into(), port))
}

#[test]
fn only_learned_endpoints_media_crosses() {
    Wire::new(1, 1500).run("only_learned_endpoints_media_crosses", || {
        let mut bench = Bench::open(&with(Media::Learned, Level::Full, 3));
        let learned = bench.learned();
        let [source, destination] = ends();
        let there = datagram(10_000, 20_000, &rtp(0, None, 160));
        let hello = datagram(10_000, 20_000, &dtls());
        bench.whole("no call's", &hello, Verdict::MediaUnlearned);
        for _ in 0..3 {
            bench.whole("before its SDP", &there, Verdict::MediaEarly);
        }
        bench.whole("beyond the bound", &there, Verdict::MediaUnlearned);
        bench.whole("RTCP", &datagram(10_000, 20_000, &rtcp()), Verdict::MediaControl);
        for endpoint in [destination, source] {
            learned.learn(endpoint, &[], None, None);
            bench.whole("a call's", &there, Verdict::MediaLearned);
            bench.whole("a call's handshake", &hello, Verdict::MediaLearned);
            learned.forget(endpoint);
            bench.whole("forgotten", &there, Verdict::MediaUnlearned);
        }
        let six = datagram6(10_000, 20_000, &rtp(0, None, 160));
        bench.whole("another endpoint has packets of its own", &six, Verdict::MediaEarly);
        let figures = learned.figures();
        assert_eq!((figures.endpoints, figures.updates, figures.removals), (0, 2, 2));
        assert_eq!((figures.refused, figures.failed, figures.latency), (0, 0, None));
    });
}

#[test]
fn a_call_of_another_level_is_kept_at_that() {
    Wire::new(1, 1500).run("a_call_of_another_level_is_kept_at_that", || {
        let there = datagram(10_000, 20_000, &rtp(0, None, 160));
        for media in [Media::Range, Media::Learned] {
            for default in Level::ALL {
                let mut bench = Bench::open(&with(media, *default, 0));
                let learned = bench.learned();
                let [source, destination] = ends();
                for level in Level::ALL {
                    for endpoint in [source, destination] {
                        learned.learn(endpoint, &[], Some(*level), None);
                        let (verdict, kept) = match level {
                            Level::Signaling => (Verdict::MediaByLevel, 0),
                            Level::Headers => (Verdict::MediaHeaders, PAYLOAD + 12),
                            Level::Full if media == Media::Learned => (Verdict::MediaLearned, there.len()),
                            Level::Full => (Verdict::Media, there.len()),
                        };
                        bench.expect(level.label(), &there, verdict, kept);
                        learned.forget(endpoint);
                    }
                }
            }
        }
    });
}

#[test]
fn a_full_map_counts_what_it_turns_away() {
    Wire::new(1, 1500).run("a_full_map_counts_what_it_turns_away", || {
        let capture = with(Media::Learned, Level::Full, 0);
        let follow = Follow {
            max_endpoints: 2,
            ..Follow::default()
        };
        let (program, _lanes) = program::prepare(&capture, &follow).unwrap();
        program.arm().unwrap();
        let learned = program.learned();
        for port in 10_000..10_005 {
            learned.learn(ends()[0].with_port(port), &[], None, None);
        }
        let figures = learned.figures();
        assert_eq!(
            (figures.endpoints, figures.updates, figures.refused),
            (2, 2, 3),
            "{figures:?}"
        );
        // What is known is written anew, and what was removed makes room.
        learned.learn(ends()[0], &[], Some(Level::Headers), None);
        learned.forget(ends()[0]);
        learned.learn(ends()[1], &[], None, None);
        let figures = learned.figures();
        assert_eq!(
            (figures.endpoints, figures.updates, figures.refused),
            (2, 4, 3),
            "{figures:?}"
        );
    });
}
