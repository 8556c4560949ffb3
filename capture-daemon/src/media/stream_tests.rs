//! What a stream says, whenever it learns of its clock.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::media::announcement::Lease;
use crate::media::join::Link;
use crate::report::LinkedBy;

const MS: u64 = 1_000_000;
const START: u64 = 1_795_251_600_000_000_000;

fn formats() -> Arc<[Format]> {
    let format = |payload_type, encoding: &str, clock_rate| Format {
        payload_type,
        encoding: encoding.into(),
        clock_rate,
    };
    [
        format(0, "PCMU", 8000),
        format(96, "opus", 48_000),
        format(97, "L16", 11_025),
        format(101, "telephone-event", 8000),
    ]
    .into()
}

fn join() -> Join {
    Join {
        lease: Arc::new(Lease::new(&"call@example".into())),
        link: Link {
            by: LinkedBy::Destination,
            rank: 11,
        },
        formats: formats(),
        firm: true,
        sender: None,
        srtp: Some(false),
    }
}

fn key(port: u16) -> Key {
    Key {
        src: Endpoint::v4([192, 0, 2, 1], 4000),
        dst: Endpoint::v4([192, 0, 2, 2], port),
        ssrc: 0xcafe,
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at_ms: u64,
    pub(super) payload_type: u8,
    pub(super) seq: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) len: usize,
}

const ZEROES: [u8; 160] = [0; 160];

/// Runs packets through a stream that learns of its call before packet `joined_at`.
pub(super) fn run(packets: &[Sent], joined_at: Option<usize>) -> Stream {
    let mut stream: Option<Stream> = None;
    for (n, sent) in packets.iter().enumerate() {
        let ts = Timestamp::from_nanos(START + sent.at_ms * MS);
        let packet = rtp::Packet {
            marker: sent.marker,
            payload_type: sent.payload_type,
            seq: sent.seq,
            timestamp: sent.timestamp,
            ssrc: 0xcafe,
            payload: &ZEROES[..sent.len],
            len: sent.len,
        };
        match &mut stream {
            None => stream = Some(Stream::begin(ts, key(5000), &packet)),
            Some(stream) => {
                if joined_at == Some(n) {
                    stream.join(join());
                }
                stream.take(ts, &packet);
            }
        }
    }
    let mut stream = stream.unwrap();
    if joined_at == Some(packets.len()) {
        stream.join(join());
    }
    stream
}

pub(super) fn voice(payload_type: u8, samples_per_ms: u32, n: u16, delay_ms: u64) -> Sent {
    Sent {
        at_ms: u64::from(n) * 20 + delay_ms,
        payload_type,
        seq: n,
        timestamp: u32::from(n) * 20 * samples_per_ms,
        marker: n == 0,
        len: 160,
    }
}

/// The three packets of a key press at the time of voice packet `n`, as RFC 4733 section 2.5 has them: one timestamp.
pub(super) fn press(n: u16, payload_type: u8) -> impl Iterator<Item = Sent> {
    (0..3).map(move |i| Sent {
        at_ms: u64::from(n + i) * 20,
        payload_type,
        seq: n + i,
        timestamp: u32::from(n) * 160,
        marker: i == 0,
        len: 4,
    })
}

#[test]
fn a_static_type_needs_nobody_to_name_it() {
    let report = run(&(0..10).map(|n| voice(8, 8, n, 0)).collect::<Vec<_>>(), None).report();
    assert_eq!(report.codec.as_deref(), Some("PCMA"));
    assert_eq!((report.clock_rate, report.jitter_max_ms), (Some(8000), Some(0.0)));
    assert_eq!((report.packets, report.expected, report.lost), (10, 10, 0));
    assert_eq!(
        (report.ssrc.as_str(), report.dst.as_str()),
        ("0x0000cafe", "192.0.2.2:5000")
    );
    assert_eq!(report.call_id, None);
}

#[test]
fn a_dynamic_type_that_nobody_names_has_no_jitter() {
    let report = run(&(0..10).map(|n| voice(96, 48, n, 0)).collect::<Vec<_>>(), None).report();
    assert_eq!((report.codec, report.clock_rate), (None, None));
    assert_eq!((report.jitter_mean_ms, report.jitter_max_ms), (None, None));
}

#[test]
fn a_key_press_is_no_jitter_and_no_codec_with_and_without_sdp() {
    let mut packets: Vec<Sent> = press(0, 101).collect();
    packets.extend((3..10).map(|n| voice(0, 8, n, 0)));
    packets.extend(press(10, 101));
    packets.extend((13..20).map(|n| voice(0, 8, n, 0)));
    for joined_at in [None, Some(1), Some(12), Some(packets.len())] {
        let report = run(&packets, joined_at).report();
        assert_eq!((report.payload_type, report.lost), (0, 0));
        assert_eq!(report.jitter_max_ms, Some(0.0), "joined at {joined_at:?}");
    }
}

#[test]
fn comfort_noise_is_no_codec_and_enters_no_mean() {
    let mut packets = vec![voice(13, 8, 0, 0)];
    packets[0].len = 1;
    packets.extend((1..10).map(|n| voice(0, 8, n, 0)));
    // Noise that is 16 ms late, and the packet after it.
    packets.push(Sent {
        len: 1,
        ..voice(13, 8, 10, 16)
    });
    packets.push(voice(0, 8, 11, 0));
    let report = run(&packets, None).report();
    assert_eq!((report.payload_type, report.codec.as_deref()), (0, Some("PCMU")));
    assert_eq!(report.jitter_max_ms, Some(0.0));
}

/// RFC 3550 section 6.4.1 measures in order of arrival: 45 ms when the packet comes, and 45 ms again for its successor.
#[test]
fn a_late_packet_is_measured_when_it_comes() {
    let mut packets: Vec<Sent> = (0..10).map(|n| voice(0, 8, n, 0)).collect();
    packets[5] = voice(0, 8, 5, 45);
    packets.sort_by_key(|packet| packet.at_ms);
    let report = run(&packets, None).report();
    assert_eq!((report.reordered, report.lost), (1, 0));
    let first = 45.0 / 16.0;
    let second = first + (45.0 - first) / 16.0;
    // As exact as a sixteenth of 64 ns.
    let highest = report.jitter_max_ms.unwrap();
    assert!((highest - second).abs() < 1e-5, "{highest}");
}

#[test]
fn a_restart_of_the_sender_is_no_jitter() {
    let mut packets: Vec<Sent> = (0..10).map(|n| voice(0, 8, n, 0)).collect();
    packets.extend((10..20).map(|n| Sent {
        seq: n + 30_000,
        timestamp: 0x8000_0000 + u32::from(n) * 160,
        ..voice(0, 8, n, 0)
    }));
    let report = run(&packets, None).report();
    assert_eq!((report.packets, report.expected, report.lost), (20, 20, 0));
    assert_eq!(report.jitter_max_ms, Some(0.0));
}

#[test]
fn a_minute_without_a_path_is_a_minute_lost() {
    let packets = [
        voice(0, 8, 0, 0),
        voice(0, 8, 1, 0),
        voice(0, 8, 4001, 0),
        voice(0, 8, 4002, 0),
    ];
    let report = run(&packets, None).report();
    assert_eq!((report.expected, report.lost), (4003, 3999));
    assert_eq!(report.jitter_max_ms, Some(0.0));
}

#[test]
fn without_sdp_it_takes_numbers_that_belong_together_to_an_even_port() {
    let certain = |packets: &[Sent]| run(packets, None).is_certain();
    let row: Vec<Sent> = (0..5).map(|n| voice(0, 8, n, 0)).collect();
    assert!(certain(&row));
    let mut back: Vec<Sent> = row.clone();
    back.reverse();
    assert!(certain(&back));
    assert!(!certain(&row[..4]));
    let holes: Vec<Sent> = (0..20).map(|n| voice(0, 8, n * 2, 0)).collect();
    assert!(!certain(&holes));
    let reserved: Vec<Sent> = (0..20).map(|n| voice(70, 8, n, 0)).collect();
    assert!(!certain(&reserved));
    let mut odd = Stream::begin(
        Timestamp::ZERO,
        key(5001),
        &rtp::Packet {
            marker: false,
            payload_type: 0,
            seq: 0,
            timestamp: 0,
            ssrc: 0xcafe,
            payload: &ZEROES,
            len: ZEROES.len(),
        },
    );
    for seq in 1..20 {
        odd.take(
            Timestamp::ZERO,
            &rtp::Packet {
                marker: false,
                payload_type: 0,
                seq,
                timestamp: 0,
                ssrc: 0xcafe,
                payload: &ZEROES,
                len: ZEROES.len(),
            },
        );
    }
    assert!(!odd.is_certain());
    odd.join(join());
    assert!(odd.is_certain(), "announced");
}

proptest! {
    /// The answer is the same whether the SDP came before the second packet or after the last.
    #[test]
    fn the_time_of_the_sdp_does_not_matter(
        delays in proptest::collection::vec(0u64..60, 2..200),
        joined_at in 1usize..200,
        press_at in 1u16..100,
    ) {
        let mut packets: Vec<Sent> = (0u16..).zip(&delays).map(|(n, &delay)| voice(96, 48, n, delay)).collect();
        if let Some(packet) = packets.get_mut(usize::from(press_at)) {
            *packet = Sent { payload_type: 101, len: 4, timestamp: 77, ..packet.clone() };
        }
        let early = run(&packets, Some(1)).report();
        let late = run(&packets, Some(joined_at.min(packets.len()))).report();
        prop_assert_eq!(early.clock_rate, Some(48_000));
        prop_assert_eq!(early, late);
    }
}

/// Four bytes are an event of RFC 4733 where nothing else is said, and an empty packet with its tag where it is SRTP.
#[test]
fn four_bytes_of_srtp_are_no_telephone_event() {
    for (srtp, expected) in [(Some(false), 0), (Some(true), 119)] {
        let packet = rtp::Packet {
            marker: false,
            payload_type: 119,
            seq: 1,
            timestamp: 0,
            ssrc: 0xcafe,
            payload: &[0; 4],
            len: 4,
        };
        let mut stream = Stream::begin(Timestamp::from_nanos(START), key(5000), &packet);
        stream.join(Join { srtp, ..join() });
        let next = rtp::Packet {
            seq: 2,
            payload_type: 0,
            payload: &[0; 160],
            len: 160,
            ..packet
        };
        stream.take(
            Timestamp::from_nanos(START + 20 * MS),
            &rtp::Packet { seq: 2, ..packet },
        );
        stream.take(Timestamp::from_nanos(START + 40 * MS), &rtp::Packet { seq: 3, ..next });
        let report = stream.report();
        assert_eq!(report.payload_type, expected, "{srtp:?}");
        assert_eq!(report.encrypted.is_some(), srtp == Some(true));
    }
}
