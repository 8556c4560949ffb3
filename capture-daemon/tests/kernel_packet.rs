//! Packet mode on real frames: both directions byte for byte, tags and super-frames as on the wire, every frame counted once,
//! by one lane or by several, and what no ring has room for counted too.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod kernel_lab;

use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use capture_common::{Fate, Level, Verdict};
use capture_daemon::config::{Capture, Mode};
use capture_daemon::intake::{Intake, PacketLane};
use capture_daemon::program::packet::{self, Tap};
use capture_daemon::xsk::Clock;
use capture_daemon::xsk::packet::{PacketRing, PacketSocket, Step};
use kernel_lab::beside::{Seen, assert_packet, send_super_frame, sorted};
use kernel_lab::frames::{datagram, datagram6, ethernet, ipv4, tcp, udp};
use kernel_lab::{CAPTURE, PATIENCE, SENDER, Sender, Wire, wall};

/// Longer than the kernel keeps a frame to itself.
const SETTLED: Duration = Duration::from_millis(100);

fn config() -> Capture {
    Capture {
        mode: Mode::Packet,
        ring_size: 1 << 20,
        ..kernel_lab::config()
    }
}

/// So many lanes at work.
fn open(capture: &Capture, lanes: usize) -> (Tap, Vec<PacketLane>) {
    let (tap, lanes) = packet::prepare(capture, lanes).unwrap();
    tap.arm().unwrap();
    (tap, lanes)
}

/// Takes what the lanes bring until they have decided on `frames`, and then what may come behind; by lane.
fn take(tap: &Tap, lanes: &mut [PacketLane], frames: u64) -> Vec<Vec<Seen>> {
    let clock = Clock::new();
    let deadline = Instant::now() + PATIENCE;
    let mut seen = vec![Vec::new(); lanes.len()];
    let mut until = None;
    while until.is_none_or(|until| Instant::now() < until) {
        for (lane, seen) in lanes.iter_mut().zip(&mut seen) {
            lane.take(64, &clock, |frame| {
                seen.push(Seen {
                    wire_len: frame.wire_len,
                    bytes: frame.bytes.to_vec(),
                });
            });
            lane.refill();
            lane.read_statistics().unwrap();
        }
        if tap.verdicts().seen() >= frames && until.is_none() {
            until = Some(Instant::now() + SETTLED);
        }
        assert!(Instant::now() < deadline, "{:?}", tap.verdicts());
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(tap.verdicts().seen(), frames, "{:?}", tap.verdicts());
    assert_eq!(tap.waiting(), 0, "the kernel's count is ours");
    seen
}

fn bytes(seen: Vec<Vec<Seen>>) -> Vec<Vec<u8>> {
    seen.into_iter().flatten().map(|frame| frame.bytes).collect()
}

#[test]
fn both_directions_are_taken_byte_for_byte() {
    Wire::new(2, 9000).run("both_directions_are_taken_byte_for_byte", || {
        for count in [1, 2] {
            let (tap, mut lanes) = open(&config(), count);
            assert_eq!(lanes.len(), count);
            // Tags: the kernel takes the outer one off what comes in and holds it beside the frame.
            let tagged = |tags: &[u16]| ethernet(tags, 0x0800, &ipv4(17, 0, 0, &[], &udp(20_000, 20_000, &[6; 1_300])));
            let wanted = [
                datagram(5060, 5060, b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
                datagram(20_000, 20_000, &[7; 172]),
                datagram6(20_000, 20_002, &[8; 172]),
                ethernet(&[], 0x0800, &ipv4(6, 0, 0, &[], &tcp(40_000, 5060, &[9; 1_000]))),
                tagged(&[0x8100]),
                tagged(&[0x88a8, 0x8100]),
                datagram(5060, 5060, &[5; 8_000]),
            ];
            let unwanted = datagram(53, 53, b"a question");
            for end in [SENDER, CAPTURE] {
                let sender = Sender::at(end);
                for frame in wanted.iter().chain([&unwanted]) {
                    sender.send(frame);
                }
            }
            let seen = take(&tap, &mut lanes, 16);
            let verdicts = tap.verdicts();
            assert_eq!(verdicts.frames(Fate::Captured), 14, "{verdicts:?}");
            assert_eq!(verdicts.get(Verdict::OtherPorts).frames, 2);
            assert_eq!(verdicts.get(Verdict::OtherPorts).bytes, 2 * unwanted.len() as u64);
            assert!(
                seen.iter()
                    .flatten()
                    .all(|frame| frame.wire_len as usize == frame.bytes.len())
            );
            assert_eq!(
                sorted(bytes(seen)),
                sorted([&wanted[..], &wanted[..]].concat()),
                "{count} lanes"
            );
            let outgoing: u64 = lanes.iter().map(|lane| lane.counters().outgoing.get()).sum();
            assert_eq!(outgoing, 7);
            tap.disarm().unwrap();
            Sender::at(SENDER).send(&wanted[0]);
            take(&tap, &mut lanes, 16);
        }
    });
}

/// What the test above takes for granted: without its tag put back, a frame that came in would not be what was sent.
#[test]
fn the_kernel_holds_the_outer_tag_beside_the_frame() {
    Wire::new(1, 1500).run("the_kernel_holds_the_outer_tag_beside_the_frame", || {
        let index = std::fs::read_to_string(format!("/sys/class/net/{CAPTURE}/ifindex")).unwrap();
        let socket = PacketSocket::new(index.trim().parse().unwrap(), 1 << 18, false).unwrap();
        let mut ring = PacketRing::new(&socket, socket.shape()).unwrap();
        socket.arm().unwrap();
        let sender = Sender::open();
        let inner = ipv4(17, 0, 0, &[], &udp(5060, 5060, &[7; 100]));
        let frame = ethernet(&[0x88a8, 0x8100], 0x0800, &inner);
        sender.send(&frame);
        assert!(socket.wait(PATIENCE).unwrap());
        let Some(Step::Packet(packet)) = ring.step() else {
            panic!("no frame");
        };
        assert_eq!(packet.tag, Some([0x88, 0xa8, 0, 100]));
        assert_eq!(packet.bytes, [&frame[..12], &frame[16..]].concat());
        assert_eq!(packet.wire_len as usize, frame.len() - 4);
        assert!(!packet.outgoing);
    });
}

#[test]
fn frames_have_the_time_at_which_they_came() {
    Wire::new(1, 1500).run("frames_have_the_time_at_which_they_came", || {
        let (_tap, mut lanes) = open(&config(), 1);
        let (clock, sender) = (Clock::new(), Sender::open());
        for _ in 0..3 {
            let before = wall();
            sender.send(&datagram(5060, 5060, &[7; 100]));
            let after = wall();
            // However late it is looked at.
            thread::sleep(SETTLED);
            let mut stamps = Vec::new();
            lanes[0].take(64, &clock, |frame| stamps.push(u128::from(frame.ts.as_nanos())));
            lanes[0].refill();
            assert!(
                matches!(stamps[..], [stamp] if (before..=after).contains(&stamp)),
                "{before} {stamps:?} {after}"
            );
        }
    });
}

/// A worker that is told to end waits so long: the kernel hands over no block before its time.
#[test]
fn what_came_before_the_end_has_come_when_a_lane_lags_no_longer() {
    Wire::new(1, 1500).run("what_came_before_the_end_has_come_when_a_lane_lags_no_longer", || {
        let (clock, sender) = (Clock::new(), Sender::open());
        for lap in 0..20 {
            let (tap, mut lanes) = open(&config(), 1);
            let lane = &mut lanes[0];
            thread::sleep(Duration::from_millis(lap));
            sender.send(&datagram(5060, 5060, &[7; 100]));
            tap.disarm().unwrap();
            // Mostly it has not been handed over.
            let at_once = lane.take(64, &clock, |_| ());
            thread::sleep(lane.lag());
            assert_eq!(at_once + lane.take(64, &clock, |_| ()), 1);
        }
    });
}

#[test]
fn a_flow_stays_on_a_lane_and_its_fragments_too() {
    Wire::new(1, 1500).run("a_flow_stays_on_a_lane_and_its_fragments_too", || {
        let (tap, mut lanes) = open(&config(), 2);
        let sender = Sender::open();
        let flow = |port: u16, turn: u8| datagram(20_000 + port, 30_000 + port, &[turn; 172]);
        for turn in 0..4 {
            for port in 0..32 {
                sender.send(&flow(port, turn));
            }
        }
        let seen = take(&tap, &mut lanes, 128);
        for port in 0..32 {
            let of_flow = |lane: &Vec<Seen>| {
                lane.iter()
                    .filter(|seen| seen.bytes[34..36] == (20_000_u16 + port).to_be_bytes())
                    .count()
            };
            let counts: Vec<_> = seen.iter().map(of_flow).collect();
            assert!(matches!(counts[..], [4, 0] | [0, 4]), "{port}: {counts:?}");
        }
        assert!(seen.iter().all(|lane| !lane.is_empty()), "two lanes share 32 flows");

        for (number, port) in [(1, 5060), (2, 53)] {
            let packet = udp(port, port, &[7; 1_600]);
            sender.send(&ethernet(&[], 0x0800, &ipv4(17, number, 0x2000, &[], &packet[..800])));
            sender.send(&ethernet(&[], 0x0800, &ipv4(17, number, 100, &[], &packet[800..])));
        }
        take(&tap, &mut lanes, 132);
        for verdict in [
            Verdict::FragmentFirst,
            Verdict::FragmentLater,
            Verdict::OtherPorts,
            Verdict::FragmentUnwanted,
        ] {
            assert_eq!(tap.verdicts().get(verdict).frames, 1, "{verdict:?}");
        }
    });
}

/// Of RTP, the headers are handed on, and the length it had.
#[test]
fn rtp_is_cut_to_its_headers() {
    Wire::new(1, 1500).run("rtp_is_cut_to_its_headers", || {
        let capture = Capture {
            level: Level::Headers,
            ..config()
        };
        let (tap, mut lanes) = open(&capture, 1);
        let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..], &[9; 160]].concat();
        let frame = datagram(20_000, 20_000, &rtp);
        let tagged = [&frame[..12], &[0x81, 0, 0, 100], &frame[12..]].concat();
        for frame in [&frame, &tagged] {
            Sender::open().send(frame);
        }
        let expected = [&frame, &tagged].map(|frame| Seen {
            wire_len: frame.len() as u32,
            bytes: frame[..frame.len() - 160].to_vec(),
        });
        assert_eq!(take(&tap, &mut lanes, 2), [expected]);
        assert_eq!(tap.verdicts().get(Verdict::MediaHeaders).frames, 2);
    });
}

#[test]
fn super_frames_are_split_into_their_packets() {
    let wire = Wire {
        address: Some("10.0.0.2/24"),
        ..Wire::new(1, 1500)
    };
    wire.run("super_frames_are_split_into_their_packets", || {
        let command = |line: &str| {
            let mut words = line.split_whitespace();
            let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
            assert!(status.success(), "{line}");
        };
        command(&format!("ethtool -K {CAPTURE} tx on gso on"));
        command(&format!(
            "ip neighbour replace 10.0.0.1 lladdr 02:00:00:00:00:01 dev {CAPTURE} nud permanent"
        ));
        for level in [Level::Full, Level::Headers] {
            // Out of the host's interface; and on the loopback interface, where it also comes in and is seen once, also
            // where lanes share it.
            for (interface, to, count) in [(CAPTURE, "10.0.0.1", 1), ("lo", "127.0.0.1", 1), ("lo", "127.0.0.1", 2)] {
                let capture = Capture {
                    interface: interface.to_owned(),
                    level,
                    ..config()
                };
                let (tap, mut lanes) = open(&capture, count);
                // Nobody need listen; on lo somebody does, or ICMP would come back.
                let _listener = UdpSocket::bind(("127.0.0.1", 20_000)).unwrap();
                send_super_frame(to, 20_000, 10);
                let seen: Vec<Seen> = take(&tap, &mut lanes, 1).into_iter().flatten().collect();
                assert_eq!(seen.len(), 10, "{interface}");
                for (number, frame) in (0..).zip(&seen) {
                    if level == Level::Full {
                        assert_packet(frame, number);
                    } else {
                        assert_eq!((frame.bytes.len(), frame.wire_len), (54, 214));
                        assert_eq!(frame.bytes[45], number);
                    }
                }
                let sum = |of: fn(&PacketLane) -> u64| lanes.iter().map(of).sum::<u64>();
                assert_eq!(sum(|lane| lane.counters().super_frames.get()), 1);
                assert_eq!(sum(|lane| lane.counters().packets.get()), 10);
                let outgoing = sum(|lane| lane.counters().outgoing.get());
                assert_eq!(outgoing, u64::from(interface == CAPTURE));
            }
        }
    });
}

#[test]
fn what_finds_the_ring_full_is_counted() {
    Wire::new(1, 1500).run("what_finds_the_ring_full_is_counted", || {
        let capture = Capture {
            ring_size: 1 << 18,
            ..config()
        };
        let (tap, mut lanes) = open(&capture, 1);
        let sender = Sender::at(CAPTURE);
        let frame = datagram(5060, 5060, &[7; 1_000]);
        for lap in 1..=3 {
            for _ in 0..500 {
                sender.send(&frame);
            }
            thread::sleep(SETTLED);
            lanes[0].read_statistics().unwrap();
            assert!((1..=500).contains(&tap.waiting()));
            assert_eq!(lanes[0].counters().ring_used.get(), 1 << 18);
            let taken = take(&tap, &mut lanes, lap * 500).concat();
            assert!(taken.iter().all(|seen| seen.bytes == frame));
            let verdicts = tap.verdicts();
            let full = verdicts.get(Verdict::RingFull).frames;
            assert!(full > 0 && !taken.is_empty(), "{verdicts:?}");
            assert_eq!(verdicts.frames(Fate::Captured) + full, lap * 500);
            assert_eq!(tap.ring_full(), [full]);
            assert!(lanes[0].counters().rx_fill_ring_empty_descs.get() > 0);
        }
        // With room again, all is as before.
        sender.send(&frame);
        assert_eq!(take(&tap, &mut lanes, 1_501).concat()[0].bytes, frame);
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let capture = Capture {
        interface: "no-such-if".to_owned(),
        ..config()
    };
    let error = packet::prepare(&capture, 1).unwrap_err().to_string();
    assert!(error.contains("no-such-if"), "{error}");
}

#[test]
fn an_interface_that_goes_down_is_said_and_comes_back() {
    Wire::new(1, 1500).run("an_interface_that_goes_down_is_said_and_comes_back", || {
        let (tap, mut lanes) = open(&config(), 2);
        let set = |state: &str| {
            let status = Command::new("ip").args(["link", "set", CAPTURE, state]).status();
            assert!(status.unwrap().success());
        };
        set("down");
        for lane in &mut lanes {
            let error = lane.poll(SETTLED).unwrap_err().to_string();
            assert!(error.contains(CAPTURE) && error.contains("Network is down"), "{error}");
        }
        set("up");
        let frame = datagram(5060, 5060, &[7; 100]);
        // The wire needs a moment.
        let deadline = Instant::now() + PATIENCE;
        let sender = Sender::at(CAPTURE);
        let carrier = format!("/sys/class/net/{CAPTURE}/carrier");
        while std::fs::read_to_string(&carrier).unwrap().trim() != "1" {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
        let before = tap.verdicts().seen();
        sender.send(&frame);
        let clock = Clock::new();
        let mut found = 0;
        while found == 0 {
            assert!(Instant::now() < deadline, "{before} {:?}", tap.verdicts());
            for lane in &mut lanes {
                let _ = lane.poll(Duration::from_millis(5));
                lane.take(64, &clock, |seen| found += usize::from(seen.bytes == frame));
                lane.refill();
            }
        }
        assert_eq!(found, 1);
    });
}
