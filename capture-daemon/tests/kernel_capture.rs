//! The program and the rings on a real interface: what is sent is what is received, and every frame is counted once.

mod kernel_lab;

use capture_common::{Fate, Verdict};
use capture_daemon::config::{Attach, Bind, Capture};
use capture_daemon::program::{self, AttachMode};
use capture_daemon::xsk::Clock;
use capture_daemon::xsk::socket::BindMode;
use kernel_lab::frames::datagram;
use kernel_lab::{Sender, Wire, config, drain, lost, receive, wait_until_seen, wall};

#[test]
fn two_queues_are_byte_exact_and_every_frame_is_counted() {
    Wire::new(2, 1500).run("two_queues_are_byte_exact_and_every_frame_is_counted", || {
        let (mut program, mut lanes) = program::open(&config()).unwrap();
        assert_eq!(lanes.len(), 2);
        assert_eq!(program.obtained().attach, AttachMode::Native);
        let sender = Sender::open();
        let (mut wanted, mut unwanted) = (Vec::new(), 0);
        let mut received = Vec::new();
        // In rounds, so that the rings of a thousand entries hold what is sent between two drains.
        for round in 0..20_u32 {
            for number in 0..200_u16 {
                let payload = [round.to_be_bytes().as_slice(), &[number as u8; 160]].concat();
                // Source ports spread the frames over the queues.
                if number % 4 == 3 {
                    sender.send(&datagram(2000 + number, 53, &payload));
                    unwanted += 1;
                } else {
                    let frame = datagram(20_000 + number, 5060, &payload);
                    sender.send(&frame);
                    wanted.push(frame);
                }
            }
            receive(&program, &mut lanes, wanted.len() as u64 + unwanted, &mut received);
        }
        program.detach().unwrap();
        let verdicts = program.verdicts().unwrap();
        assert_eq!(verdicts.seen(), wanted.len() as u64 + unwanted);
        assert_eq!(verdicts.get(Verdict::OtherPorts).frames, unwanted);
        assert_eq!(verdicts.get(Verdict::Sip).frames, wanted.len() as u64);
        let bytes: usize = wanted.iter().map(Vec::len).sum();
        assert_eq!(verdicts.get(Verdict::Sip).bytes, bytes as u64);
        assert_eq!(verdicts.frames(Fate::Dropped), 0);
        for lane in &lanes {
            let counters = lane.counters();
            assert!(counters.frames.get() > 0, "queue {} got nothing", lane.queue());
            assert_eq!(counters.no_timestamp.get(), 0);
        }
        let mut bytes: Vec<_> = received.into_iter().map(|packet| packet.bytes).collect();
        bytes.sort_unstable();
        wanted.sort_unstable();
        assert!(bytes == wanted, "not byte for byte what was sent");
    });
}

#[test]
fn attaches_and_detaches_twenty_times() {
    Wire::new(2, 1500).run("attaches_and_detaches_twenty_times", || {
        let sender = Sender::open();
        for round in 0..20_u8 {
            let (mut program, mut lanes) = program::open(&config()).unwrap();
            let frame = datagram(5060, 5060, &[round; 40]);
            sender.send(&frame);
            let mut received = Vec::new();
            receive(&program, &mut lanes, 1, &mut received);
            assert_eq!(received[0].bytes, frame, "round {round}");
            program.detach().unwrap();
            program.detach().unwrap();
            // Nothing of it is left on the interface.
            sender.send(&frame);
            assert_eq!(program.verdicts().unwrap().seen(), 1);
        }
    });
}

#[test]
fn what_is_in_the_rings_outlives_the_detach() {
    Wire::new(1, 1500).run("what_is_in_the_rings_outlives_the_detach", || {
        let (mut program, mut lanes) = program::open(&config()).unwrap();
        let sender = Sender::open();
        for number in 0..100 {
            sender.send(&datagram(5060, 5060, &[number; 40]));
        }
        wait_until_seen(&program, 100);
        program.detach().unwrap();
        let mut received = Vec::new();
        drain(&mut lanes[0], &Clock::new(), &mut received);
        assert_eq!(received.len(), 100);
    });
}

#[test]
fn the_stamp_lies_between_sending_and_receiving() {
    Wire::new(1, 1500).run("the_stamp_lies_between_sending_and_receiving", || {
        let (program, mut lanes) = program::open(&config()).unwrap();
        let sender = Sender::open();
        let mut received = Vec::new();
        for number in 0..50_u8 {
            let before = wall();
            sender.send(&datagram(10_000, 20_000, &[number; 160]));
            receive(&program, &mut lanes, u64::from(number) + 1, &mut received);
            let after = wall();
            let ts = u128::from(received[usize::from(number)].ts.as_nanos());
            // Between them lie two system calls and a softirq; the offset of the clocks is known far better than that.
            assert!((before..=after).contains(&ts), "{before} {ts} {after}");
        }
        assert_eq!(lanes[0].counters().no_timestamp.get(), 0);
        assert!(received.is_sorted_by_key(|packet| packet.ts));
    });
}

#[test]
fn jumbo_frames_come_whole() {
    Wire::new(1, 9000).run("jumbo_frames_come_whole", || {
        for frame_size in [2048, 4096] {
            let capture = Capture { frame_size, ..config() };
            let (program, mut lanes) = program::open(&capture).unwrap();
            assert_eq!(program.obtained().attach, AttachMode::Native);
            assert!(program.obtained().queues[0].bound.multi_buffer);
            let sender = Sender::open();
            let mut sent = Vec::new();
            for length in (100..8900_u16).step_by(100) {
                let payload: Vec<u8> = (0..length).map(|at| (at ^ (at >> 8)) as u8).collect();
                let frame = datagram(5060, 20_000, &payload);
                sender.send(&frame);
                sent.push(frame);
            }
            let mut received = Vec::new();
            receive(&program, &mut lanes, sent.len() as u64, &mut received);
            assert_eq!(received.len(), sent.len());
            for (packet, frame) in received.iter().zip(&sent) {
                assert!(packet.bytes == *frame, "{} bytes sent", frame.len());
                assert_eq!(packet.verdict, Some(Verdict::Sip));
            }
            let counters = lanes[0].counters();
            let room = frame_size as usize - 256;
            let long = sent.iter().filter(|frame| frame.len() > room).count() as u64;
            assert_eq!(counters.multi_buffer.get(), long);
            assert_eq!(counters.oversize.get() + counters.bad_descriptors.get(), 0);
            let bytes: usize = sent.iter().map(Vec::len).sum();
            assert_eq!(program.verdicts().unwrap().get(Verdict::Sip).bytes, bytes as u64);
        }
    });
}

#[test]
fn generic_mode_gives_the_same_frames_and_says_why_it_is_not_native() {
    Wire::new(1, 1500).run(
        "generic_mode_gives_the_same_frames_and_says_why_it_is_not_native",
        || {
            let capture = Capture {
                attach: Attach::Generic,
                ..config()
            };
            let (program, mut lanes) = program::open(&capture).unwrap();
            let obtained = program.obtained();
            assert_eq!(obtained.attach, AttachMode::Generic);
            assert_eq!(obtained.why_not_native.as_deref(), Some("not asked for"));
            assert_eq!(obtained.queues[0].bound.mode, BindMode::Copy);
            let sender = Sender::open();
            let frame = datagram(5060, 5060, &[7; 300]);
            sender.send(&frame);
            sender.send(&datagram(53, 53, &[8; 300]));
            let mut received = Vec::new();
            receive(&program, &mut lanes, 2, &mut received);
            assert_eq!(received.len(), 1);
            assert_eq!(received[0].bytes, frame);
            assert_eq!(lanes[0].counters().no_timestamp.get(), 0);
        },
    );
}

/// Loopback has no native XDP (net/core/dev.c, dev_xdp_attach answers EOPNOTSUPP), and an address, which the host is cut
/// off from here on purpose.
#[test]
fn a_driver_without_xdp_is_captured_generically() {
    Wire::new(1, 1500).run("a_driver_without_xdp_is_captured_generically", || {
        let capture = Capture {
            interface: "lo".to_owned(),
            steal_traffic: true,
            ..config()
        };
        let (program, mut lanes) = program::open(&capture).unwrap();
        assert_eq!(program.obtained().attach, AttachMode::Generic);
        let why = program.obtained().why_not_native.clone().unwrap();
        assert!(why.contains("native") && why.contains("os error 95"), "{why}");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[1; 100], "127.0.0.1:5060").unwrap();
        let mut received = Vec::new();
        receive(&program, &mut lanes, 1, &mut received);
        assert!(received[0].bytes.ends_with(&[1; 100]));
    });
}

#[test]
fn zero_copy_is_refused_by_veth_and_the_reason_kept() {
    Wire::new(1, 1500).run("zero_copy_is_refused_by_veth_and_the_reason_kept", || {
        let (program, _lanes) = program::open(&config()).unwrap();
        let bound = program.obtained().queues[0].bound.clone();
        assert_eq!((bound.mode, bound.multi_buffer), (BindMode::Copy, true));
        let why = bound.why_not_better.unwrap();
        assert!(why.contains("zero-copy") && why.contains("os error 95"), "{why}");
        drop((program, _lanes));
        let capture = Capture {
            bind: Bind::ZeroCopy,
            ..config()
        };
        let error = program::open(&capture).unwrap_err().to_string();
        assert!(error.contains("in queue 0: bind"), "{error}");
    });
}

/// A reader that does not come: what the rings cannot hold is counted by the kernel, exactly.
#[test]
fn frames_without_room_are_counted_not_forgotten() {
    Wire::new(1, 1500).run("frames_without_room_are_counted_not_forgotten", || {
        let capture = Capture {
            ring_entries: 64,
            umem_frames: 128,
            ..config()
        };
        let (program, mut lanes) = program::open(&capture).unwrap();
        let sender = Sender::open();
        for number in 0..200 {
            sender.send(&datagram(5060, 5060, &[number; 40]));
        }
        wait_until_seen(&program, 200);
        let mut received = Vec::new();
        receive(&program, &mut lanes, 200, &mut received);
        assert_eq!(received.len(), 64);
        assert_eq!(lost(&lanes[0]), 136);
        assert_eq!(program.verdicts().unwrap().frames(Fate::Captured), 200);
        // And it goes on.
        sender.send(&datagram(5060, 5060, &[1; 40]));
        receive(&program, &mut lanes, 201, &mut received);
        assert_eq!(received.len(), 65);
    });
}
