//! Any segments: no panic, what is offered is never empty and never more than the buffer and one segment.
#![no_main]

use capture_daemon::net::{Endpoint, Flags, Segment, Taken, TcpStreams};
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const BUFFER: usize = 64;

fuzz_target!(|data: &[u8]| {
    let mut streams = TcpStreams::new(4, BUFFER);
    let losses = Losses::default();
    let mut rest = data;
    // A segment is a port, flags, two bytes of its sequence number, its length, and its data.
    while let Some((&[port, flags, hi, lo, len], next)) = rest.split_first_chunk::<5>() {
        let (payload, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        let segment = Segment {
            seq: u32::from_be_bytes([if hi > 250 { 0xff } else { 0 }, 0, hi, lo]),
            flags: Flags::from_bits(flags),
            payload,
        };
        let src = Endpoint::v4([192, 0, 2, 1], u16::from(port % 8));
        let dst = Endpoint::v4([192, 0, 2, 2], 5060);
        streams.push(Timestamp::ZERO, src, dst, &segment, &losses, |bytes, _| {
            assert!(bytes.len() <= BUFFER.max(usize::from(u8::MAX)));
            match bytes.first() {
                Some(first @ 0..64) => Taken::Unit(usize::from(*first)),
                Some(first @ 64..128) => Taken::Skipped(usize::from(first - 64)),
                Some(_) => Taken::More,
                None => panic!("nothing was offered"),
            }
        });
        assert!(streams.len() <= 4);
    }
});
