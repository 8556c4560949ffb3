//! Messages of any content between few ends, over UDP and in TCP segments, through the engine: no panic, every cap holds, and
//! every frame has one outcome.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared, document};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// IPv4 with UDP, or with TCP where there is a sequence number.
fn packet(ports: [u16; 2], seq: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut transport = ports.map(u16::to_be_bytes).concat();
    match seq {
        Some(seq) => {
            transport.extend(seq.to_be_bytes());
            transport.extend([0, 0, 0, 0, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
        }
        None => {
            transport.extend((payload.len() as u16 + 8).to_be_bytes());
            transport.extend([0, 0]);
        }
    }
    transport.extend(payload);
    let mut packet = vec![0x45, 0];
    packet.extend((transport.len() as u16 + 20).to_be_bytes());
    packet.extend([
        0,
        0,
        0,
        0,
        64,
        if seq.is_some() { 6 } else { 17 },
        0,
        0,
        192,
        0,
        2,
        1,
        192,
        0,
        2,
        2,
    ]);
    packet.extend(transport);
    packet
}

fuzz_target!(|data: &[u8]| {
    let follow = Follow {
        max_allocations: 3,
        max_stun_transactions: 4,
        max_streams: 4,
        linger: Duration::from_secs(60),
        ..Follow::default()
    };
    let shared = Arc::new(Shared::new(&follow));
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::clone(&shared));
    let mut now = Timestamp::from_nanos(1 << 60);
    let mut seq = [0_u32; 8];
    let mut rest = data;
    // A step is a kind, a time, and a length; a message is written with its cookie and right length.
    while let Some((&[kind, ms, len], next)) = rest.split_first_chunk::<3>() {
        let (body, next) = next.split_at_checked(usize::from(len)).unwrap_or((next, &[]));
        rest = next;
        now = now.plus(Duration::from_millis(u64::from(ms) * 16));
        let mut payload = body.to_vec();
        if kind & 1 != 0 && payload.len() >= 20 {
            payload[0] &= 0x03;
            let attributes = (payload.len() - 20) as u16 & !3;
            payload[2..4].copy_from_slice(&attributes.to_be_bytes());
            payload[4..8].copy_from_slice(&COOKIE);
        }
        let way = usize::from(kind >> 5);
        let ports = [[40_000, 3478], [3478, 40_000], [40_000, 40_002], [5060, 40_000]][way % 4];
        let tcp = kind & 2 != 0;
        let bytes = packet(ports, tcp.then_some(seq[way]), &payload);
        if tcp {
            seq[way] = seq[way].wrapping_add(payload.len() as u32);
        }
        engine.frame(&Frame {
            ts: now,
            link: LinkType::Raw,
            wire_len: bytes.len() as u32,
            bytes: &bytes,
        });
        engine.tick(now);
        assert!(shared.turn.allocations() <= 3 && shared.turn.transactions() <= 4);
    }
    engine.finish();
    let counters = engine.counters();
    let outcomes: u64 = Outcome::ALL.iter().map(|outcome| counters.outcomes.get(*outcome)).sum();
    assert_eq!(outcomes, counters.frames.get());
    document(&shared, &[counters], engine.streams(), now);
});
