//! Any segments: no panic, what is offered is never empty and never more than the buffer or one segment.
#![no_main]

use capture_daemon::net::{Endpoint, Flags, Limits, Offer, Segment, Taken, TcpStreams};
use capture_daemon::outcome::Losses;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const BUFFER: usize = 300;

/// Counts what was taken, and loses the step now and then.
fn take(offer: &Offer<'_>, taken: &mut u8) -> Taken {
    *taken = taken.wrapping_add(1);
    let len = offer.bytes.len();
    assert!(len <= BUFFER.max(usize::from(u8::MAX)) && offer.searched <= len);
    match offer.bytes.first() {
        Some(first @ 0..64) => Taken::Unit(usize::from(*first)),
        Some(first @ 64..68) => Taken::Lost(usize::from(first - 64)),
        Some(68) => Taken::Unreadable,
        Some(first @ 69..128) => Taken::Skipped(usize::from(first - 64)),
        Some(first) => Taken::More {
            needed: usize::from(*first),
            searched: len,
        },
        None => panic!("nothing was offered"),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut streams = TcpStreams::<u8>::new(Limits {
        directions: 4,
        buffer: BUFFER,
        total: 2 * BUFFER,
    });
    let losses = Losses::default();
    let mut rest = data;
    // A segment is a port, flags, two bytes of its sequence number, a byte of time, its length, and its data.
    while let Some((&[port, flags, hi, lo, at, len], next)) = rest.split_first_chunk::<6>() {
        let (payload, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        let ts = Timestamp::from_nanos(u64::from(at) * 100_000_000);
        let segment = Segment {
            seq: u32::from_be_bytes([if hi > 250 { 0xff } else { 0 }, 0, hi & 3, lo]),
            flags: Flags::from_bits(flags),
            payload,
        };
        let src = Endpoint::v4([192, 0, 2, 1], u16::from(port % 8));
        let dst = Endpoint::v4([192, 0, 2, 2], 5060);
        if port < 16 {
            streams.tick(ts, &losses, take);
        }
        streams.push(ts, src, dst, &segment, &losses, take);
        assert!(streams.len() <= 4);
    }
    streams.finish(&losses, take);
    assert!(streams.is_empty());
});
