//! Packets by hand, and any bytes against a reader that is slow and plain.

use proptest::prelude::*;

use super::*;
use crate::media::rtcp::{Block, BlockType};

/// A packet with its header.
fn packet(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    assert_eq!(body.len() % 4, 0);
    let mut bytes = vec![0x80 | count, packet_type];
    bytes.extend((body.len() as u16 / 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn numbers(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn plain(bytes: &[u8]) -> Vec<Result<Packet<'_>, Malformed>> {
    match read(bytes) {
        Ok(Reading::Plain(compound)) => compound.packets().collect(),
        other => panic!("a compound, not {other:?}"),
    }
}

#[test]
fn a_compound_of_reports_and_a_description() {
    let sr = numbers(&[
        1,
        0x1122_3344,
        0x5566_7788,
        160,
        3,
        480, // sender
        2,
        0x40ff_ffff,
        0x0001_0005,
        80,
        0x3344_5566,
        65_536, // a block
    ]);
    let mut bytes = packet(1, 200, &sr);
    bytes.extend(packet(0, 201, &numbers(&[1])));
    bytes.extend(packet(
        2,
        202,
        b"\0\0\0\x01\x01\x03a@b\x06\x01T\0\0\0\0\0\0\0\x02\x01\x00\0\0",
    ));
    let packets = plain(&bytes);
    let [
        Ok(Packet::SenderReport { ssrc: 1, info, blocks }),
        Ok(Packet::ReceiverReport { .. }),
        Ok(Packet::Description(items)),
    ] = packets.as_slice()
    else {
        panic!("{packets:?}")
    };
    assert_eq!(info.middle(), 0x3344_5566);
    assert_eq!((info.rtp, info.packets, info.octets), (160, 3, 480));
    let block = ReportBlock {
        ssrc: 2,
        fraction_lost: 64,
        cumulative_lost: -1,
        highest_seq: 0x0001_0005,
        jitter: 80,
        last_sr: 0x3344_5566,
        delay: 65_536,
    };
    assert_eq!(blocks.iter().collect::<Vec<_>>(), [block]);
    let items: Vec<_> = items.items().map(|item| (item.ssrc, item.kind, item.text)).collect();
    assert_eq!(items, [(1, 1, &b"a@b"[..]), (1, 6, b"T"), (2, 1, b"")]);
}

#[test]
fn goodbyes_feedback_and_applications() {
    let mut bytes = packet(2, 203, b"\0\0\0\x01\0\0\0\x02\x03bye");
    bytes.extend(packet(1, 203, &numbers(&[9])));
    bytes.extend(packet(0, 204, b"\0\0\0\x01PoC1"));
    bytes.extend(packet(1, 205, &numbers(&[1, 2, 0x0007_0001])));
    bytes.extend(packet(15, 205, &numbers(&[1, 2, 0])));
    bytes.extend(packet(1, 206, &numbers(&[1, 2])));
    bytes.extend(packet(4, 206, &numbers(&[1, 0, 5, 0])));
    bytes.extend(packet(15, 206, b"\0\0\0\x01\0\0\0\0REMB\x01\0\0\0\0\0\0\x07"));
    bytes.extend(packet(3, 206, &numbers(&[1, 2])));
    let kinds: Vec<_> = plain(&bytes)
        .into_iter()
        .filter_map(|packet| match packet {
            Ok(Packet::Feedback { kind, about, .. }) => Some((kind, about)),
            _ => None,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (Feedback::Nack, 2),
            (Feedback::TransportCc, 2),
            (Feedback::PictureLoss, 2),
            (Feedback::FullIntra, 5),
            (Feedback::MaximumBitrate, 7),
            (Feedback::Other, 2),
        ]
    );
    let Some(Ok(Packet::Goodbye { sources, reason })) = plain(&bytes).into_iter().next() else {
        panic!("a goodbye")
    };
    assert_eq!((sources.iter().collect::<Vec<_>>(), reason), (vec![1, 2], &b"bye"[..]));
}

#[test]
fn voip_metrics_that_are_not_available_are_absent() {
    let mut block = vec![7, 0, 0, 8];
    block.extend(numbers(&[
        2,
        0x4020_8010,
        0x0078_0fa0,
        0x0000_003c,
        0x7f7f_7f10,
        0x7f7f_297f,
        0xf300_0028,
        0x0064_00c8,
    ]));
    let mut body = numbers(&[1]);
    body.extend(&block);
    // A receiver's clock, a sub-block, a summary without jitter, loss runs and a block nobody knows.
    body.extend(numbers(&[0x0400_0002, 0xaabb_ccdd, 0xeeff_0011]));
    body.extend(numbers(&[0x0500_0003, 2, 0xccdd_eeff, 65_536]));
    body.extend(numbers(&[0x06c0_0009, 2, 0x0001_0065, 3, 1, 0, 0, 0, 0, 0]));
    body.extend(numbers(&[0x0100_0003, 2, 0x0001_0065, 0]));
    body.extend(numbers(&[0xfe00_0000]));
    let bytes = packet(0, 207, &body);
    let packets = plain(&bytes);
    let [Ok(Packet::Extended { ssrc: 1, blocks })] = packets.as_slice() else {
        panic!("{packets:?}")
    };
    let blocks: Vec<_> = blocks.iter().collect();
    let types: Vec<_> = blocks.iter().map(Block::block_type).collect();
    assert_eq!(
        types,
        [
            BlockType::Voip,
            BlockType::ReferenceTime,
            BlockType::Dlrr,
            BlockType::Summary,
            BlockType::LossRuns,
            BlockType::Other
        ]
    );
    let Block::Voip(metrics) = blocks[0] else {
        panic!("{blocks:?}")
    };
    assert_eq!((metrics.loss_rate, metrics.discard_rate), (0x40, 0x20));
    assert_eq!((metrics.burst_duration, metrics.gap_duration), (120, 4_000));
    assert_eq!((metrics.round_trip, metrics.end_system_delay), (None, Some(60)));
    assert_eq!(
        (metrics.signal_level, metrics.noise_level, metrics.echo_return_loss),
        (None, None, None)
    );
    assert_eq!(
        (metrics.r_factor, metrics.mos_lq, metrics.mos_cq),
        (None, Some(41), None)
    );
    assert_eq!(
        (metrics.buffer_nominal, metrics.buffer_maximum, metrics.buffer_absolute),
        (40, 100, 200)
    );
    assert_eq!(blocks[1], Block::ReferenceTime(0xaabb_ccdd_eeff_0011));
    let Block::Dlrr(times) = blocks[2] else {
        panic!("{blocks:?}")
    };
    assert_eq!(times.iter().collect::<Vec<_>>(), [[2, 0xccdd_eeff, 65_536]]);
    let Block::Summary(summary) = blocks[3] else {
        panic!("{blocks:?}")
    };
    assert_eq!(
        (summary.lost, summary.duplicates, summary.jitter),
        (Some(3), Some(1), None)
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    let rr = packet(0, 201, &numbers(&[1]));
    let with = |more: &[u8]| [&rr[..], more].concat();
    assert_eq!(read(&with(&[0x40, 201, 0, 0])), Err(Malformed::Version));
    assert_eq!(read(&with(&[0x80, 0, 0, 0])), Err(Malformed::PacketType));
    assert_eq!(read(&with(&[0x80, 201, 0, 1])), Err(Malformed::Length));
    assert_eq!(read(&[]), Err(Malformed::Length));
    assert_eq!(read(&[0x80, 201, 0]), Err(Malformed::Length));
    let mut padded = packet(0, 201, &numbers(&[1, 4]));
    padded[0] |= 0x20;
    assert_eq!(plain(&padded).len(), 1);
    assert_eq!(
        read(&[&padded[..], &rr].concat()),
        Err(Malformed::Padding),
        "not the last"
    );
    for wrong in [0, 3, 12] {
        padded[11] = wrong;
        assert_eq!(read(&padded), Err(Malformed::Padding), "{wrong}");
    }
    for (bytes, why) in [
        (packet(1, 200, &numbers(&[1; 6])), Malformed::Report),
        (packet(1, 201, &numbers(&[1; 6])), Malformed::Report),
        (packet(0, 201, &[]), Malformed::Report),
        (packet(1, 202, b"\0\0\0\x01\x01\x08ab"), Malformed::Description),
        (packet(2, 202, b"\0\0\0\x01\0\0\0\0"), Malformed::Description),
        (packet(1, 203, &[]), Malformed::Goodbye),
        (packet(0, 203, b"\x04bye"), Malformed::Goodbye),
        (packet(0, 204, &numbers(&[1])), Malformed::Application),
        (packet(1, 205, &numbers(&[1])), Malformed::Feedback),
        (packet(0, 207, &numbers(&[1, 0x0700_0008])), Malformed::Extended),
        (packet(0, 207, &numbers(&[1, 0x0700_0000])), Malformed::Extended),
    ] {
        assert_eq!(plain(&bytes), [Err(why)], "{bytes:?}");
        let after: Vec<_> = plain(&[&bytes[..], &rr].concat())
            .into_iter()
            .map(|read| read.is_ok())
            .collect();
        assert_eq!(after, [false, true], "what follows is read");
    }
}

#[test]
fn odd_octets_behind_the_last_packet_and_a_chunk_without_end_are_borne_with() {
    let mut bytes = packet(1, 202, b"\0\0\0\x01\x01\x02ab");
    bytes.extend([0, 0]);
    let packets = plain(&bytes);
    let [Ok(Packet::Description(description))] = packets.as_slice() else {
        panic!("{packets:?}")
    };
    assert_eq!(description.items().count(), 1);
}

#[test]
fn srtcp_is_known_by_its_index_and_nothing_in_it_is_read() {
    // A sender report and a description of 28 and 16 octets, both but for the first eight octets encrypted.
    let mut bytes = packet(0, 200, &[0xa7; 24]);
    bytes[4..8].copy_from_slice(&7u32.to_be_bytes());
    bytes.extend([0x5c; 16]);
    let encrypted = Ok(Reading::Encrypted {
        packet_type: PacketType::SenderReport,
        ssrc: 7,
    });
    let trailers: [Vec<u8>; 4] = [
        [&[0x80, 0, 0, 5][..], &[0x11; 10]].concat(),
        [&[0x11; 16][..], &[0x80, 0, 0, 5]].concat(),
        [&[0x80, 0, 0, 5][..], &[0x11; 4]].concat(),
        [&[0x80, 0, 0, 5][..], &[1], &[0x11; 10]].concat(),
    ];
    for trailer in &trailers {
        assert_eq!(read(&[&bytes[..], trailer].concat()), encrypted, "{trailer:?}");
        // Of one packet alone.
        assert_eq!(read(&[&bytes[..28], trailer].concat()), encrypted, "{trailer:?}");
    }
    assert_eq!(read(&bytes), Err(Malformed::Version), "no trailer");
    let clear = [&bytes[..28], &[0, 0, 0, 5], &[0x11; 10]].concat();
    assert_eq!(read(&clear), Err(Malformed::Version), "the E flag is not set");
}

/// What a datagram says, read with an index for every field.
mod slow {
    pub fn word(bytes: &[u8], at: usize) -> u32 {
        (0..4).fold(0, |word, octet| word << 8 | u32::from(bytes[at + octet]))
    }

    /// Begin and end of each packet's body, with its five-bit count and its type; `None` where they do not fill the datagram.
    pub fn frames(bytes: &[u8]) -> Option<Vec<(usize, usize, u8, u8)>> {
        let mut frames = Vec::new();
        let mut at = 0;
        while bytes.len() - at >= 4 {
            let len = 4 * usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            let (begin, mut end) = (at + 4, at + 4 + len);
            if bytes[at] / 64 != 2 || !(192..224).contains(&bytes[at + 1]) || end > bytes.len() {
                return None;
            }
            at = end;
            if bytes[begin - 4] & 32 != 0 {
                let padding = if len == 0 { 0 } else { usize::from(bytes[end - 1]) };
                if padding == 0 || padding % 4 != 0 || padding > len || at != bytes.len() {
                    return None;
                }
                end -= padding;
            }
            frames.push((begin, end, bytes[begin - 4] % 32, bytes[begin - 3]));
        }
        (!frames.is_empty()).then_some(frames)
    }

    /// The report blocks from `at` on, or `None` where they do not fit.
    fn blocks(bytes: &[u8], at: usize, end: usize, count: u8) -> Option<Vec<String>> {
        (0..usize::from(count))
            .map(|block| {
                let at = at + 24 * block;
                (at + 24 <= end).then(|| {
                    let mut lost = i64::from(word(bytes, at + 4) & 0xff_ffff);
                    if lost >= 1 << 23 {
                        lost -= 1 << 24;
                    }
                    format!(
                        "{} {} {lost} {} {} {} {}",
                        word(bytes, at),
                        bytes[at + 4],
                        word(bytes, at + 8),
                        word(bytes, at + 12),
                        word(bytes, at + 16),
                        word(bytes, at + 20)
                    )
                })
            })
            .collect()
    }

    /// The items of a description.
    fn items(bytes: &[u8], mut at: usize, end: usize, count: u8) -> Option<Vec<String>> {
        let begin = at;
        let mut items = Vec::new();
        for chunk in 1..=count {
            if at + 4 > end {
                return None;
            }
            let ssrc = word(bytes, at);
            at += 4;
            loop {
                if at == end {
                    if chunk == count {
                        return Some(items);
                    }
                    return None;
                }
                if bytes[at] == 0 {
                    at += 1;
                    while !(at - begin).is_multiple_of(4) {
                        at += 1;
                    }
                    break;
                }
                if at + 2 > end || at + 2 + usize::from(bytes[at + 1]) > end {
                    return None;
                }
                let text = &bytes[at + 2..at + 2 + usize::from(bytes[at + 1])];
                items.push(format!("{ssrc} {} {text:?}", bytes[at]));
                at += 2 + text.len();
            }
        }
        Some(items)
    }

    /// Types and contents of the blocks of an extended report, as far as they are read.
    fn extended(bytes: &[u8], mut at: usize, end: usize) -> Option<Vec<String>> {
        let mut blocks = Vec::new();
        while at < end {
            if at + 4 > end {
                return None;
            }
            let (kind, words) = (
                bytes[at],
                usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])),
            );
            let least = [0, 0, 0, 0, 2, 0, 9, 8].get(usize::from(kind)).copied().unwrap_or(0);
            if at + 4 + 4 * words > end || words < least {
                return None;
            }
            let w = |index: usize| word(bytes, at + 4 + 4 * index);
            blocks.push(match kind {
                4 => format!("4 {} {}", w(0), w(1)),
                5 => format!("5 {:?}", (0..words / 3 * 3).map(w).collect::<Vec<_>>()),
                6 => format!(
                    "6 {0} {1} {2} {3}",
                    bytes[at + 1] / 128,
                    w(0),
                    w(1),
                    w(2) * u32::from(bytes[at + 1] / 128)
                ),
                7 => format!("7 {} {} {} {}", w(0), bytes[at + 8], bytes[at + 9], w(2)),
                1..=3 => kind.to_string(),
                _ => "other".to_owned(),
            });
            at += 4 + 4 * words;
        }
        Some(blocks)
    }

    /// What each packet says; `None` in place of one that cannot be read.
    pub fn packets(bytes: &[u8]) -> Option<Vec<Option<String>>> {
        let read = |(begin, end, count, packet_type): (usize, usize, u8, u8)| {
            let len = end - begin;
            let w = |index: usize| word(bytes, begin + 4 * index);
            match packet_type {
                200 if len >= 24 => blocks(bytes, begin + 24, end, count)
                    .map(|blocks| format!("sr {:?} {blocks:?}", (0..6).map(w).collect::<Vec<_>>())),
                201 if len >= 4 => blocks(bytes, begin + 4, end, count).map(|blocks| format!("rr {} {blocks:?}", w(0))),
                202 => items(bytes, begin, end, count).map(|items| format!("sdes {items:?}")),
                203 => {
                    let after = begin + 4 * usize::from(count);
                    let reason = bytes[..end]
                        .get(after)
                        .map(|len| (after + 1, after + 1 + usize::from(*len)));
                    let fits = after <= end && reason.is_none_or(|(_, behind)| behind <= end);
                    fits.then(|| {
                        let reason = reason.map_or(&[][..], |(from, to)| &bytes[from..to]);
                        format!(
                            "bye {:?} {reason:?}",
                            (0..usize::from(count)).map(w).collect::<Vec<_>>()
                        )
                    })
                }
                204 if len >= 8 => Some(format!("app {} {:?}", w(0), &bytes[begin + 4..begin + 8])),
                205 | 206 if len >= 8 => {
                    let (kind, about) = match (packet_type, count) {
                        (205, 1) => ("nack", w(1)),
                        (205, 15) => ("transport_cc", w(1)),
                        (206, 1) => ("pli", w(1)),
                        (206, 4) => ("fir", if len >= 12 { w(2) } else { w(1) }),
                        (206, 15) if len >= 12 && bytes[begin + 8..begin + 12] == *b"REMB" => {
                            ("remb", if len >= 20 { w(4) } else { w(1) })
                        }
                        _ => ("other", w(1)),
                    };
                    Some(format!("feedback {packet_type} {kind} {} {about}", w(0)))
                }
                207 if len >= 4 => extended(bytes, begin + 4, end).map(|blocks| format!("xr {} {blocks:?}", w(0))),
                200 | 201 | 204..=207 => None,
                _ => Some("other".to_owned()),
            }
        };
        Some(frames(bytes)?.into_iter().map(read).collect())
    }
}

/// The same words as those of `slow`.
fn said(packet: &Packet<'_>) -> String {
    let blocks = |blocks: &Words<'_, 24>| -> Vec<String> {
        blocks
            .iter()
            .map(|b| {
                format!(
                    "{} {} {} {} {} {} {}",
                    b.ssrc, b.fraction_lost, b.cumulative_lost, b.highest_seq, b.jitter, b.last_sr, b.delay
                )
            })
            .collect()
    };
    match packet {
        Packet::SenderReport { ssrc, info, blocks: b } => {
            let SenderInfo {
                ntp,
                rtp,
                packets,
                octets,
            } = *info;
            let words = [*ssrc, (ntp >> 32) as u32, ntp as u32, rtp, packets, octets];
            format!("sr {words:?} {:?}", blocks(b))
        }
        Packet::ReceiverReport { ssrc, blocks: b } => format!("rr {ssrc} {:?}", blocks(b)),
        Packet::Description(description) => {
            let items: Vec<_> = description
                .items()
                .map(|item| format!("{} {} {:?}", item.ssrc, item.kind, item.text))
                .collect();
            format!("sdes {items:?}")
        }
        Packet::Goodbye { sources, reason } => format!("bye {:?} {reason:?}", sources.iter().collect::<Vec<_>>()),
        Packet::Application { ssrc, name } => format!("app {ssrc} {name:?}"),
        Packet::Feedback {
            packet_type,
            kind,
            ssrc,
            about,
        } => {
            let number = if *packet_type == PacketType::TransportFeedback {
                205
            } else {
                206
            };
            format!("feedback {number} {} {ssrc} {about}", kind.label())
        }
        Packet::Extended { ssrc, blocks } => {
            let blocks: Vec<_> = blocks
                .iter()
                .map(|block| match block {
                    Block::ReferenceTime(clock) => format!("4 {} {}", clock >> 32, clock as u32),
                    Block::Dlrr(times) => format!("5 {:?}", times.iter().flatten().collect::<Vec<_>>()),
                    Block::Summary(summary) => {
                        let range = u32::from(summary.begin_seq) << 16 | u32::from(summary.end_seq);
                        let told = u8::from(summary.lost.is_some());
                        format!("6 {told} {} {range} {}", summary.ssrc, summary.lost.unwrap_or(0))
                    }
                    Block::Voip(m) => {
                        let durations = u32::from(m.burst_duration) << 16 | u32::from(m.gap_duration);
                        format!("7 {} {} {} {durations}", m.ssrc, m.loss_rate, m.discard_rate)
                    }
                    Block::Named(BlockType::LossRuns) => "1".to_owned(),
                    Block::Named(BlockType::DuplicateRuns) => "2".to_owned(),
                    Block::Named(BlockType::ReceiptTimes) => "3".to_owned(),
                    Block::Named(_) => "other".to_owned(),
                })
                .collect();
            format!("xr {ssrc} {blocks:?}")
        }
        Packet::Other => "other".to_owned(),
    }
}

prop_compose! {
    /// A packet that may be right: the header's length is that of the body, what is in it is chance.
    fn likely()(
        first in prop_oneof![8 => 0x80..=0x83u8, 1 => 0x84..=0xbfu8],
        packet_type in prop_oneof![9 => 200..=207u8, 1 => 192..=223u8],
        words in prop::collection::vec(prop_oneof![any::<u32>(), 0..9u32, (0..9u32).prop_map(|n| n << 24 | n)], 0..16),
        kind in 0..8u8,
    ) -> Vec<u8> {
        let mut body = numbers(&words);
        if packet_type == 207 && words.len() > 1 {
            // One block that fills the packet.
            body[4..8].copy_from_slice(&[kind, 0x80, 0, words.len() as u8 - 2]);
        }
        packet(first & 0x3f, packet_type, &body)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_packets_read_as_the_slow_reader_reads_them(
        parts in prop::collection::vec(likely(), 1..4),
        change in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        tail in prop::collection::vec(any::<u8>(), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts in prop::bool::weighted(0.1),
    ) {
        let mut bytes = [parts.concat(), tail].concat();
        if let Some((at, byte)) = change {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        let expected = slow::packets(&bytes);
        match (read(&bytes), expected) {
            (Ok(Reading::Plain(compound)), Some(expected)) => {
                let read: Vec<_> = compound.packets().map(|packet| packet.ok().as_ref().map(said)).collect();
                prop_assert_eq!(read, expected);
            }
            (Ok(Reading::Encrypted { ssrc, .. }), None) => prop_assert_eq!(ssrc, slow::word(&bytes, 4)),
            (Err(_), None) => {}
            (read, expected) => prop_assert!(false, "{read:?}, and not {expected:?}"),
        }
    }
}
