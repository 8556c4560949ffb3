//! The program and the rings on a real interface: what is sent is what is received, and every frame is counted once.

mod kernel_lab;

use capture_common::{Fate, Verdict};
use capture_daemon::program::{self, AttachMode};
use kernel_lab::frames::datagram;
use kernel_lab::{Sender, Wire, config, receive};

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
