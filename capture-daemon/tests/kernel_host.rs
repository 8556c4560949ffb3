//! The programs of host mode on real frames: both directions are copied byte for byte, tags and super-frames as on the wire,
//! every frame is counted once, and what no ring has room for is counted and not held up.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod kernel_lab;

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use capture_common::{Fate, Level, Verdict};
use capture_daemon::config::{Attach, Capture, Follow, Mode};
use capture_daemon::intake::{Intake, RingLane};
use capture_daemon::program::Program;
use capture_daemon::program::host;
use capture_daemon::xsk::Clock;
use kernel_lab::beside::{Seen, assert_packet, send_super_frame, sorted};
use kernel_lab::frames::{datagram, datagram6, ethernet, ipv4, tcp, udp};
use kernel_lab::{CAPTURE, PATIENCE, SENDER, Sender, Wire};

const BOTH: [Attach; 2] = [Attach::Tcx, Attach::Native];

fn config(attach: Attach) -> Capture {
    Capture {
        mode: Mode::Host,
        attach,
        ring_size: 1 << 20,
        ..kernel_lab::config()
    }
}

/// What the verifier followed of the larger of the two programs when this was written, with kernel 6.18: tcx, XDP.
const VERIFIED: [u32; 2] = [183_763, 186_176];

/// The verifier's limit is a million for each program; they have room to grow, and when they do, this says so.
#[test]
fn the_verifier_follows_no_more_than_it_did() {
    Wire::new(1, 1500).run("the_verifier_follows_no_more_than_it_did", || {
        for (attach, verified) in BOTH.into_iter().zip(VERIFIED) {
            let (program, _lanes) = open(&config(attach));
            let followed = program.obtained().verified_instructions.unwrap();
            assert!(
                followed <= verified + verified / 10,
                "{attach:?}: {followed} instructions, {verified} before"
            );
        }
    });
}

/// Takes all that lies in the rings.
fn take(lanes: &mut [RingLane]) -> Vec<Seen> {
    let clock = Clock::new();
    let mut seen = Vec::new();
    for lane in lanes {
        std::thread::sleep(lane.lag());
        while lane.take(64, &clock, |frame| {
            seen.push(Seen {
                wire_len: frame.wire_len,
                bytes: frame.bytes.to_vec(),
            });
        }) > 0
        {
            lane.refill();
        }
    }
    seen
}

/// The programs at work, and their lane.
fn open(capture: &Capture) -> (Program, Vec<RingLane>) {
    let (program, lane) = host::prepare(capture, &Follow::default()).unwrap();
    program.arm().unwrap();
    (program, vec![lane])
}

/// Waits until the programs have seen `frames`.
fn wait(program: &Program, frames: u64) {
    let deadline = Instant::now() + PATIENCE;
    while program.verdicts().unwrap().seen() < frames {
        assert!(Instant::now() < deadline, "{:?}", program.verdicts());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(program.verdicts().unwrap().seen(), frames, "{:?}", program.verdicts());
}

#[test]
fn both_directions_are_copied_byte_for_byte() {
    Wire::new(2, 9000).run("both_directions_are_copied_byte_for_byte", || {
        for attach in BOTH {
            let (mut program, mut lanes) = open(&config(attach));
            let wanted = [
                datagram(5060, 5060, b"OPTIONS sip:a SIP/2.0\r\n\r\n"),
                datagram(20_000, 20_000, &[7; 172]),
                datagram6(20_000, 20_002, &[8; 172]),
                ethernet(&[], 0x0800, &ipv4(6, 0, 0, &[], &tcp(40_000, 5060, &[9; 1_000]))),
                ethernet(
                    &[0x8100],
                    0x0800,
                    &ipv4(17, 0, 0, &[], &udp(20_000, 20_000, &[6; 1_300])),
                ),
                datagram(5060, 5060, &[5; 8_000]),
            ];
            let unwanted = datagram(53, 53, b"a question");
            for end in [SENDER, CAPTURE] {
                let sender = Sender::at(end);
                for frame in wanted.iter().chain([&unwanted]) {
                    sender.send(frame);
                }
            }
            wait(&program, 14);
            let verdicts = program.verdicts().unwrap();
            assert_eq!(verdicts.frames(Fate::Captured), 12, "{attach:?}: {verdicts:?}");
            assert_eq!(verdicts.get(Verdict::OtherPorts).frames, 2);
            let seen = take(&mut lanes);
            assert!(seen.iter().all(|frame| frame.wire_len as usize == frame.bytes.len()));
            let expected = [&wanted[..], &wanted[..]].concat();
            let found = seen.into_iter().map(|frame| frame.bytes).collect();
            assert_eq!(sorted(found), sorted(expected), "{attach:?}");
            let outgoing: u64 = lanes.iter().map(|lane| lane.counters().outgoing.get()).sum();
            assert_eq!(outgoing, 6);
            program.detach().unwrap();
            Sender::at(SENDER).send(&wanted[0]);
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(program.verdicts().unwrap().seen(), 14, "detached");
        }
    });
}

/// Of RTP, the headers are copied, and the length it had is kept.
#[test]
fn rtp_is_cut_to_its_headers_before_the_copy() {
    Wire::new(1, 1500).run("rtp_is_cut_to_its_headers_before_the_copy", || {
        for attach in BOTH {
            let capture = Capture {
                level: Level::Headers,
                ..config(attach)
            };
            let (program, mut lanes) = open(&capture);
            let rtp = [&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..], &[9; 160]].concat();
            let frame = datagram(20_000, 20_000, &rtp);
            for end in [SENDER, CAPTURE] {
                Sender::at(end).send(&frame);
            }
            wait(&program, 2);
            let seen = take(&mut lanes);
            let expected = Seen {
                wire_len: frame.len() as u32,
                bytes: frame[..14 + 20 + 8 + 12].to_vec(),
            };
            assert_eq!(seen, [expected.clone(), expected], "{attach:?}");
            assert_eq!(program.verdicts().unwrap().get(Verdict::MediaHeaders).frames, 2);
        }
    });
}

#[test]
fn super_frames_are_split_into_the_packets_of_the_wire() {
    let wire = Wire {
        address: Some("10.0.0.2/24"),
        ..Wire::new(1, 1500)
    };
    wire.run("super_frames_are_split_into_the_packets_of_the_wire", || {
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
            // Out of the host's interface; and on the loopback interface, where it also comes in and is seen once.
            for (interface, to) in [(CAPTURE, "10.0.0.1"), ("lo", "127.0.0.1")] {
                let capture = Capture {
                    interface: interface.to_owned(),
                    level,
                    ..config(Attach::Auto)
                };
                let (program, mut lanes) = open(&capture);
                // Nobody need listen; on lo somebody does, or ICMP would come back.
                let _listener = UdpSocket::bind(("127.0.0.1", 20_000)).unwrap();
                send_super_frame(to, 20_000, 10);
                wait(&program, 1);
                let seen = take(&mut lanes);
                assert_eq!(seen.len(), 10, "{interface}");
                for (number, frame) in (0..).zip(&seen) {
                    if level == Level::Full {
                        assert_packet(frame, number);
                    } else {
                        assert_eq!((frame.bytes.len(), frame.wire_len), (54, 214));
                        assert_eq!(frame.bytes[45], number);
                    }
                }
                let counters = lanes[0].counters();
                assert_eq!((counters.super_frames.get(), counters.packets.get()), (1, 10));
                assert_eq!(counters.outgoing.get(), u64::from(interface == CAPTURE));
            }
        }
    });
}

#[test]
fn a_full_ring_is_counted_and_holds_nobody_up() {
    Wire::new(1, 1500).run("a_full_ring_is_counted_and_holds_nobody_up", || {
        let capture = Capture {
            ring_size: 1 << 18,
            ..config(Attach::Tcx)
        };
        let (program, mut lanes) = open(&capture);
        let sender = Sender::at(CAPTURE);
        let frame = datagram(5060, 5060, &[7; 1_000]);
        for _ in 0..500 {
            sender.send(&frame);
        }
        wait(&program, 500);
        let verdicts = program.verdicts().unwrap();
        let full = verdicts.get(Verdict::RingFull).frames;
        let captured = verdicts.frames(Fate::Captured);
        assert!(full > 0 && captured > 0, "{verdicts:?}");
        assert_eq!(captured + full, 500);
        assert_eq!(take(&mut lanes).len() as u64, captured);
        // With room again, all is as before.
        sender.send(&frame);
        wait(&program, 501);
        assert_eq!(take(&mut lanes)[0].bytes, frame);
    });
}

/// Has this thread run on one CPU, where veth delivers what it sends.
fn run_on(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).unwrap();
}

#[test]
fn each_cpu_has_a_ring_and_they_are_read_in_the_order_of_time() {
    Wire::new(1, 1500).run("each_cpu_has_a_ring_and_they_are_read_in_the_order_of_time", || {
        let capture = Capture {
            ring_size: 1 << 18,
            ..config(Attach::Tcx)
        };
        let (program, mut lanes) = open(&capture);
        let sender = Sender::at(CAPTURE);
        let frame = |number: u8| datagram(5060, 5060, &[number; 1_000]);
        for number in 0..100 {
            run_on(usize::from(number / 3 % 2));
            sender.send(&frame(number));
            wait(&program, u64::from(number) + 1);
        }
        let seen = take(&mut lanes);
        assert!(
            seen.iter()
                .map(|seen| &seen.bytes)
                .eq(&(0..100).map(frame).collect::<Vec<_>>())
        );

        // One that is full leaves the other its room.
        run_on(0);
        for _ in 0..500 {
            sender.send(&frame(0));
        }
        wait(&program, 600);
        let full = program.verdicts().unwrap().get(Verdict::RingFull).frames;
        assert!(full > 0);
        run_on(1);
        sender.send(&frame(1));
        wait(&program, 601);
        assert_eq!(program.verdicts().unwrap().get(Verdict::RingFull).frames, full);
        let seen = take(&mut lanes);
        assert_eq!(
            (seen.len() as u64, &seen.last().unwrap().bytes),
            (501 - full, &frame(1))
        );
    });
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    Wire::new(1, 1500).run("what_cannot_be_had_is_refused_by_name", || {
        let capture = Capture {
            interface: "lo".to_owned(),
            ..config(Attach::Native)
        };
        let error = host::prepare(&capture, &Follow::default()).unwrap_err().to_string();
        assert!(error.contains("natively (XDP) to what comes in on lo"), "{error}");
    });
}
