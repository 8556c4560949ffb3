//! The programs of host mode on real frames: both directions are copied byte for byte, tags and super-frames as on the wire,
//! every frame is counted once, and what no ring has room for is counted and not held up.

mod kernel_lab;

use std::time::{Duration, Instant};

use capture_common::{Fate, Verdict};
use capture_daemon::config::{Attach, Capture, Mode};
use capture_daemon::intake::{Intake, RingLane};
use capture_daemon::program::Program;
use capture_daemon::program::host;
use capture_daemon::xsk::Clock;
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

/// A frame as a worker sees it, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    wire_len: u32,
    bytes: Vec<u8>,
}

/// Takes all that lies in the rings.
fn take(lanes: &mut [RingLane]) -> Vec<Seen> {
    let clock = Clock::new();
    let mut seen = Vec::new();
    for lane in lanes {
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

/// Waits until the programs have seen `frames`.
fn wait(program: &Program, frames: u64) {
    let deadline = Instant::now() + PATIENCE;
    while program.verdicts().unwrap().seen() < frames {
        assert!(Instant::now() < deadline, "{:?}", program.verdicts());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(program.verdicts().unwrap().seen(), frames, "{:?}", program.verdicts());
}

fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort();
    frames
}

#[test]
fn both_directions_are_copied_byte_for_byte() {
    Wire::new(2, 9000).run("both_directions_are_copied_byte_for_byte", || {
        for attach in BOTH {
            let (mut program, mut lanes) = host::open(&config(attach), 2, 1_024).unwrap();
            assert_eq!(lanes.len(), 2);
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
