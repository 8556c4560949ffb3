//! How often `follow.rtp_without_sip` takes for RTP what is none: traffic of other protocols, made by their specifications,
//! through the engine. The figures stand in docs/media.md.

use std::sync::Arc;

use capture_daemon::config::{Capture, Follow};
use capture_daemon::engine::{Engine, Shared};
use capture_daemon::frame::{Frame, LinkType};
use capture_daemon::outcome::Outcome;
use capture_daemon::time::Timestamp;

/// Flows of each protocol, and datagrams of each flow.
const FLOWS: u64 = 250;
const DATAGRAMS: u64 = 200;

/// splitmix64 of Steele, Lea and Flood.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A datagram's place in its flow, and what the flow has for itself.
struct At {
    n: u64,
    flow: u64,
}

type Make = fn(&At, &mut Random) -> Vec<u8>;

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Protocols by name, with a datagram of theirs.
const PROTOCOLS: &[(&str, Make)] = &[
    ("random octets", |_, r| r.bytes(120)),
    ("random octets behind version 2", |_, r| {
        let mut bytes = r.bytes(120);
        bytes[0] = 0x80 | bytes[0] & 0x3f;
        bytes
    }),
    ("random octets behind 0x80", |_, r| {
        let mut bytes = r.bytes(120);
        bytes[0] = 0x80;
        bytes
    }),
    ("a counter of 32 bits in front, from 0x80000000 up", |at, r| {
        let counter = 0x8000_0000 | (at.flow as u32) << 16 | at.n as u32;
        join(&[&counter.to_be_bytes(), &r.bytes(80)])
    }),
    ("the same behind a session of 32 bits", |at, r| {
        let counter = at.n as u32;
        join(&[
            &(0x8000_0000 | at.flow as u32).to_be_bytes(),
            &counter.to_be_bytes(),
            &at.flow.to_be_bytes(),
            &r.bytes(80),
        ])
    }),
    ("DNS (RFC 1035)", |_, r| {
        let id = r.next() as u16;
        join(&[
            &id.to_be_bytes(),
            &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            b"\x03www\x07example\x03com\0\0\x01\0\x01",
        ])
    }),
    ("NTP with a leap second announced (RFC 5905)", |at, r| {
        join(&[&[0xa3, 2, 6, 0xec], &(at.n as u32).to_be_bytes(), &[0; 4], &r.bytes(36)])
    }),
    ("QUIC, fixed bit greased (RFC 9287)", |at, r| {
        let id = at.flow.to_be_bytes();
        join(&[&[r.next() as u8 & 0x3f | 0x80], &id, &r.bytes(100)])
    }),
    ("WireGuard", |at, r| {
        join(&[
            &[4, 0, 0, 0],
            &(at.flow as u32).to_le_bytes(),
            &at.n.to_le_bytes(),
            &r.bytes(96),
        ])
    }),
    ("ESP in UDP (RFC 3948)", |at, r| {
        let spi = 0x8000_0000 | (at.flow as u32).wrapping_mul(0x9e37_79b1) >> 2;
        join(&[&spi.to_be_bytes(), &(at.n as u32 + 1).to_be_bytes(), &r.bytes(96)])
    }),
    ("IAX2 full frames (RFC 5456)", |at, r| {
        let call = 0x8000 | at.flow as u16;
        let timestamp = at.n as u32 * 20;
        join(&[
            &call.to_be_bytes(),
            &(at.flow as u16 + 1).to_be_bytes(),
            &timestamp.to_be_bytes(),
            &[at.n as u8, 3, 2, 4],
            &r.bytes(160),
        ])
    }),
    ("SCTP in UDP (RFC 6951)", |at, r| {
        let port = 0x8000 + at.flow as u16;
        join(&[
            &port.to_be_bytes(),
            &5000u16.to_be_bytes(),
            &(at.flow as u32).to_be_bytes(),
            &r.bytes(60),
        ])
    }),
    ("SRTCP (RFC 3711)", |at, r| {
        let kind = [200, 201, 205, 206][at.n as usize % 4];
        join(&[&[0x81, kind, 0, 12], &(at.flow as u32).to_be_bytes(), &r.bytes(62)])
    }),
    ("DTLS (RFC 6347)", |at, r| {
        join(&[
            &[23, 0xfe, 0xfd],
            &at.n.to_be_bytes(),
            &80u16.to_be_bytes(),
            &r.bytes(80),
        ])
    }),
    ("STUN (RFC 8489)", |_, r| {
        join(&[&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &r.bytes(12)])
    }),
    ("UDPTL (T.38) from number 32768 up", |at, _| {
        let seq = 0x8000 + at.n as u16;
        join(&[
            &seq.to_be_bytes(),
            &[6, 0xc0, 1, 0x80, 0, 0, 0xff, 0, 1, 6, 0xc0, 1, 0x80, 0, 0, 0xaa],
        ])
    }),
    ("TFTP data (RFC 1350)", |at, r| {
        join(&[&[0, 3], &(at.n as u16).to_be_bytes(), &r.bytes(512)])
    }),
    ("GTP-U (TS 29.281)", |at, r| {
        join(&[&[0x30, 0xff, 0, 100], &(at.flow as u32).to_be_bytes(), &r.bytes(100)])
    }),
    ("syslog (RFC 5424)", |at, _| {
        format!("<34>1 2026-11-21T09:00:00Z host app {} - - said", at.n).into_bytes()
    }),
];

/// What cannot be told from RTP: a header of RTP's very shape, with a number that counts and a source that stays.
const SHAPED: Make = |at, r| {
    let (seq, ts) = (at.n as u16, at.n as u32 * 160);
    join(&[
        &[0x80, 96],
        &seq.to_be_bytes(),
        &ts.to_be_bytes(),
        &(at.flow as u32).to_be_bytes(),
        &r.bytes(60),
    ])
};

fn ethernet(flow: u64, payload: &[u8]) -> Vec<u8> {
    let ports = [20_000 + 2 * flow as u16, 30_000 + 2 * flow as u16];
    let udp = 8 + payload.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
    frame.extend((20 + udp).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    frame.extend(udp.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// Streams told of, and datagrams counted as RTP.
fn taken(make: Make, without_sip: bool) -> (usize, u64) {
    let follow = Follow {
        rtp_without_sip: without_sip,
        ..Follow::default()
    };
    let mut engine = Engine::new(&follow, &Capture::default(), Arc::new(Shared::new(&follow)));
    let mut random = Random(7);
    for n in 0..DATAGRAMS {
        for flow in 0..FLOWS {
            let bytes = ethernet(flow, &make(&At { n, flow }, &mut random));
            let ts = Timestamp::from_nanos(1_795_251_600_000_000_000 + n * 20_000_000 + flow);
            engine.frame(&Frame {
                ts,
                link: LinkType::Ethernet,
                wire_len: bytes.len() as u32,
                bytes: &bytes,
            });
            engine.tick(ts);
        }
    }
    engine.finish();
    let rtp = engine.counters().outcomes.get(Outcome::Rtp);
    (engine.streams().len(), rtp)
}

#[test]
fn what_is_not_rtp_is_not_taken_for_it() {
    let found: Vec<_> = PROTOCOLS
        .iter()
        .map(|(name, make)| (*name, taken(*make, true)))
        .collect();
    for (name, (streams, datagrams)) in &found {
        println!(
            "{name}: {streams} streams, {datagrams} of {} datagrams",
            FLOWS * DATAGRAMS
        );
    }
    let wrong: Vec<_> = found.iter().filter(|(_, taken)| *taken != (0, 0)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_has_the_shape_of_rtp_is_taken_for_it_where_it_is_asked_for() {
    // Four datagrams of each flow go by before the fifth makes it certain.
    assert_eq!(taken(SHAPED, true), (FLOWS as usize, FLOWS * (DATAGRAMS - 4)));
    assert_eq!(taken(SHAPED, false), (0, 0));
}
