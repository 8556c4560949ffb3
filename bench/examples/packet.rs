//! Instructions an RTP packet costs the engine, where a clock is too coarse: 500 calls of G.711 with two streams each, first
//! what sets them up and 300 packets of each stream, then the 200 that are measured.
//!
//! ```text
//! cargo build --release --example packet -p bench
//! valgrind --tool=callgrind --toggle-collect='packet::measured*' target/release/examples/packet
//! callgrind_annotate callgrind.out.*
//! ```
//!
//! The first figure of "Collected", divided by the packets printed, is what to compare.

use std::sync::Arc;

use anyhow::{Result, ensure};
use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;
use capture_daemon::worker;
use tikv_jemallocator::Jemalloc;

/// As in siphon.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const CALLS: u32 = 500;
const STREAMS: u32 = 2 * CALLS;
/// Packets of each stream before that: the first ones are kept until the clock is certain, and the window over the recent
/// numbers has to fill.
const BEFORE: u32 = 300;
const MEASURED: u32 = 200;
/// Packets a worker takes from its ring at once.
const BATCH: usize = worker::BATCH as usize;
/// Media of G.711, and of everything around it: Ethernet 14, IPv4 20, UDP 8, RTP 12.
const PAYLOAD: usize = 160;

fn main() -> Result<()> {
    let (follow, capture) = (Follow::default(), Capture::default());
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &capture, shared);
    for call in 0..CALLS {
        take(&mut engine, nanos(0), &invite(call));
        take(&mut engine, nanos(0), &answer(call));
    }
    for number in 0..BEFORE {
        for packet in round(number) {
            take(&mut engine, nanos(number), &packet);
        }
        engine.tick(Timestamp::from_nanos(nanos(number)));
    }
    for number in BEFORE..BEFORE + MEASURED {
        let packets = round(number);
        measured(&mut engine, nanos(number), &packets);
        engine.tick(Timestamp::from_nanos(nanos(number)));
    }
    let counters = engine.counters();
    let rtp = counters.outcomes.get(Outcome::Rtp);
    ensure!(
        rtp == u64::from(STREAMS * (BEFORE + MEASURED)),
        "{rtp} packets of RTP were understood"
    );
    println!("{} packets", STREAMS * MEASURED);
    Ok(())
}

/// What is measured, under a name that callgrind can be told: frames in batches, as a worker has them.
#[inline(never)]
fn measured(engine: &mut Engine, nanos: u64, packets: &[Vec<u8>]) {
    for (number, batch) in packets.chunks(BATCH).enumerate() {
        // Two microseconds from one to the next, and a path that is not quite even.
        let begin = nanos + (number * BATCH) as u64 * 2000 + nanos / 7 % 300_000;
        let nothing = frame(0, &[]);
        let mut frames = [nothing; BATCH];
        for ((frame_at, packet), at) in frames.iter_mut().zip(batch).zip(0..) {
            *frame_at = frame(begin + at * 2000, packet);
        }
        engine.frames(&frames[..batch.len()], |_, _| {});
    }
}

#[inline]
fn take(engine: &mut Engine, nanos: u64, bytes: &[u8]) {
    engine.frame(&frame(nanos, bytes));
}

#[inline]
fn frame(nanos: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        ts: Timestamp::from_nanos(nanos),
        link: LinkType::Ethernet,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// Time of a round of packets, 20 ms after the one before.
fn nanos(number: u32) -> u64 {
    1_795_251_600_000_000_000 + u64::from(number) * 20_000_000
}

/// One packet of each stream.
fn round(number: u32) -> Vec<Vec<u8>> {
    (0..STREAMS).map(|stream| packet(stream, number)).collect()
}

fn packet(stream: u32, number: u32) -> Vec<u8> {
    let mut rtp = vec![0x80, 0];
    rtp.extend((number as u16).to_be_bytes());
    rtp.extend((number * PAYLOAD as u32).to_be_bytes());
    rtp.extend((0x5150_0000 + stream).to_be_bytes());
    rtp.resize(12 + PAYLOAD, 0xd5);
    let (caller, callee) = ends(stream / 2);
    let (src, dst) = if stream.is_multiple_of(2) {
        (caller, callee)
    } else {
        (callee, caller)
    };
    udp(src, dst, &rtp)
}

/// Ports of a call's two sides.
fn ends(call: u32) -> (u16, u16) {
    let first = 10_000 + call as u16 * 4;
    (first, first + 2)
}

fn invite(call: u32) -> Vec<u8> {
    signaling("INVITE sip:b@192.0.2.2 SIP/2.0", call, "", ends(call).0)
}

fn answer(call: u32) -> Vec<u8> {
    signaling("SIP/2.0 200 OK", call, ";tag=b", ends(call).1)
}

fn signaling(start: &str, call: u32, to_tag: &str, port: u16) -> Vec<u8> {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    );
    let message = format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}\r\nFrom: <sip:a@192.0.2.1>;tag=a\r\n\
         To: <sip:b@192.0.2.2>{to_tag}\r\nCall-ID: {call}@bench\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    udp(5060, 5060, message.as_bytes())
}

/// A frame between two ports of one host of TEST-NET-1 (RFC 5737).
fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, 0x08, 0x00];
    let total = (28 + payload.len()) as u16;
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1]);
    frame.extend(src.to_be_bytes());
    frame.extend(dst.to_be_bytes());
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}
