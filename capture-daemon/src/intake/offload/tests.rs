//! Packets are built one by one here, and as the super-frame a host would make of them; both ways must give the same.

use capture_common::headers::{TCP, UDP};
use proptest::prelude::*;

use super::*;

/// The ones' complement sum of RFC 1071, as slowly as it is written there.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut bytes: Vec<u8> = parts.concat();
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    v6: bool,
    udp: bool,
    tagged: bool,
}

/// A packet with right checksums. `number` moves the identification and the sequence number.
fn packet(shape: Shape, number: usize, step: usize, flags: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    if shape.tagged {
        frame.extend([0x81, 0, 0, 7]);
    }
    frame.extend(if shape.v6 { [0x86, 0xdd] } else { [8, 0] });
    let header_len = if shape.udp { 8 } else { 20 };
    let len = (header_len + payload.len()) as u16;
    let protocol = if shape.udp { UDP } else { TCP };
    let (source, destination) = if shape.v6 {
        (vec![0x20; 16], vec![0xfd; 16])
    } else {
        (vec![10, 0, 0, 1], vec![10, 0, 0, 2])
    };
    let mut transport = [port.to_be_bytes(), 5060_u16.to_be_bytes()].concat();
    if shape.udp {
        transport.extend(len.to_be_bytes());
        transport.extend([0, 0]);
    } else {
        transport.extend((0xffff_ff00_u32.wrapping_add((number * step) as u32)).to_be_bytes());
        transport.extend([0, 0, 0, 1, 0x50, flags, 1, 1, 0, 0, 0, 0]);
    }
    let pseudo = [&source[..], &destination, &[0, protocol], &len.to_be_bytes()].concat();
    let sum = checksum(&[&pseudo, &transport, payload]);
    let at = if shape.udp { 6 } else { 16 };
    let sum = if shape.udp && sum == 0 { 0xffff } else { sum };
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    if shape.v6 {
        frame.extend([0x60, 0, 0, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend(source);
        frame.extend(destination);
    } else {
        let mut ip = vec![0x45, 0];
        ip.extend((20 + len).to_be_bytes());
        ip.extend((0xffff_u16.wrapping_add(number as u16)).to_be_bytes());
        ip.extend([0x40, 0, 64, protocol, 0, 0]);
        ip.extend(source);
        ip.extend(destination);
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(ip);
    }
    frame.extend(transport);
    frame.extend(payload);
    frame
}

/// The packet with the sum of its pseudo header where its checksum goes, as a socket leaves it to the interface.
fn partial(shape: Shape, mut frame: Vec<u8>) -> Vec<u8> {
    let transport = Transport::find(&frame, frame.len()).unwrap();
    let (from, to) = if shape.v6 { (8, 40) } else { (12, 20) };
    let addresses = frame[transport.ip + from..transport.ip + to].to_vec();
    let len = (frame.len() - transport.header) as u16;
    let sum = !checksum(&[&addresses, &[0, if shape.udp { UDP } else { TCP }], &len.to_be_bytes()]);
    put(&mut frame, transport.checksum_at(), sum).unwrap();
    frame
}

fn packets(captured: Captured<'_>) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    let count = Offloads::default().packets(captured, |wire_len, bytes| found.push((wire_len, bytes.to_vec())));
    assert_eq!(count as usize, found.len());
    found
}

fn one(bytes: &[u8]) -> Captured<'_> {
    Captured {
        wire_len: bytes.len() as u32,
        bytes,
        segment: 0,
        keep: 0,
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    any::<(bool, bool, bool)>().prop_map(|(v6, udp, tagged)| Shape { v6, udp, tagged })
}

proptest! {
    /// A super-frame becomes the packets it was made of: lengths, identifications, sequence numbers, flags and checksums.
    #[test]
    fn super_frames_become_their_packets(
        shape in shape(),
        payload in prop::collection::vec(any::<u8>(), 1..4_000),
        segment in 100..1_400_usize,
        is_partial in any::<bool>(),
    ) {
        // CWR, ACK, PSH and FIN.
        let flags = 0x80 | 0x10 | 0x08 | 0x01;
        let whole = packet(shape, 0, 0, flags, 5060, &payload);
        let whole = if is_partial { partial(shape, whole) } else { whole };
        let parts: Vec<_> = payload.chunks(segment).collect();
        let expected: Vec<_> = parts.iter().enumerate().map(|(number, part)| {
            let mut flags = flags;
            if number + 1 < parts.len() {
                flags &= !0x09;
            }
            if number > 0 {
                flags &= !0x80;
            }
            let packet = packet(shape, number, segment, flags, 5060, part);
            (packet.len() as u32, packet)
        }).collect();
        let found = packets(Captured { segment: segment as u16, ..one(&whole) });
        prop_assert_eq!(&found, &expected);
        // With headers alone kept, the lengths stay.
        let cut = packets(Captured { segment: segment as u16, keep: 60, ..one(&whole) });
        for ((len, packet), (cut_len, cut)) in expected.iter().zip(cut) {
            prop_assert_eq!(*len, cut_len);
            prop_assert_eq!(&packet[..packet.len().min(60)], cut);
        }
    }

    /// A checksum that was left to the interface is made; one that stands there stays, right or wrong.
    #[test]
    fn checksums_are_finished_and_no_other_is_touched(shape in shape(), payload in prop::collection::vec(any::<u8>(), 0..600)) {
        let right = packet(shape, 0, 0, 0x10, 5060, &payload);
        let made = packets(one(&partial(shape, right.clone())));
        prop_assert_eq!(&made, &[(right.len() as u32, right.clone())]);
        let mut wrong = right;
        let transport = Transport::find(&wrong, wrong.len()).unwrap();
        wrong[transport.checksum_at()] ^= 0x55;
        if !transport.is_partial(&wrong) {
            prop_assert_eq!(packets(one(&wrong)), [(wrong.len() as u32, wrong.clone())]);
        }
    }

    /// Whatever a frame holds and says of itself, something comes out, and never more of it than the longest packet.
    #[test]
    fn any_bytes_are_borne(
        shape in shape(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        is_plausible in any::<bool>(),
        more in 0..100_u32,
        segment in any::<u16>(),
        keep in 0..400_u32,
    ) {
        let bytes = if is_plausible { packet(shape, 0, 0, 0, 5060, &bytes) } else { bytes };
        let found = packets(Captured { wire_len: bytes.len() as u32 + more, bytes: &bytes, segment, keep });
        prop_assert!(!found.is_empty());
        prop_assert!(found.iter().all(|(_, packet)| packet.len() <= ROOM && (keep == 0 || packet.len() <= keep as usize || packet.len() <= bytes.len())));
    }
}

#[test]
fn no_checksum_over_ipv4_stays_none() {
    let shape = Shape {
        v6: false,
        udp: true,
        tagged: false,
    };
    let mut whole = packet(shape, 0, 0, 0, 5060, &[7; 320]);
    put(&mut whole, 40, 0).unwrap();
    let found = packets(Captured {
        segment: 160,
        ..one(&whole)
    });
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, packet)| packet[40..42] == [0, 0]));
    assert_eq!(packets(one(&whole)), [(whole.len() as u32, whole.clone())]);
}

#[test]
fn a_tunnels_super_frame_stays_whole() {
    let shape = Shape {
        v6: false,
        udp: true,
        tagged: false,
    };
    let whole = packet(shape, 0, 0, 0, 4789, &[7; 3_000]);
    let found = packets(Captured {
        segment: 1_400,
        ..one(&whole)
    });
    assert_eq!(found, [(whole.len() as u32, whole.clone())]);
}

#[test]
fn what_ethernet_filled_up_is_no_payload() {
    let shape = Shape {
        v6: false,
        udp: true,
        tagged: false,
    };
    let right = packet(shape, 0, 0, 0, 5060, &[1, 2, 3]);
    let mut filled = partial(shape, right.clone());
    filled.resize(60, 0xee);
    let [(len, made)] = &packets(one(&filled))[..] else {
        panic!("more than one packet");
    };
    assert_eq!((*len, &made[..right.len()]), (60, &right[..]));
}
