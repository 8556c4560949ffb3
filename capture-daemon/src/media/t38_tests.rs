//! UDPTL as it stands on the wire, and against a slow reader.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has said what is wrong"
)]

use proptest::prelude::*;

use super::*;

/// A datagram with these IFP packets, as a sender that repeats writes it.
pub fn datagram(seq: u16, primary: &[u8], secondary: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seq.to_be_bytes().to_vec();
    let open = |bytes: &mut Vec<u8>, content: &[u8]| {
        match content.len() {
            len @ 0..0x80 => bytes.push(len as u8),
            len => bytes.extend((0x8000 | len as u16).to_be_bytes()),
        }
        bytes.extend(content);
    };
    open(&mut bytes, primary);
    bytes.extend([0, secondary.len() as u8]);
    for content in secondary {
        open(&mut bytes, content);
    }
    bytes
}

/// CNG, and V.21 data with one HDLC octet (T.38 appendix IV shows both).
const CNG: &[u8] = &[0x02];
const V21: &[u8] = &[0xc0, 0x01, 0x80, 0x00, 0x00, 0xff];

#[test]
fn indicators_and_data_are_told_apart() {
    for (ifp, expected) in [
        (CNG, Some(Ifp::Indicator)),
        (&[0x06], Some(Ifp::Indicator)),
        (V21, Some(Ifp::Data(0))),
        (&[0xd0, 0x01], Some(Ifp::Data(8))),
        // Extensions: V.8 data, and the indicator of V.8 ANSam.
        (&[0xe0, 0x00], Some(Ifp::Data(9))),
        (&[0x20, 0x00], Some(Ifp::Indicator)),
        (&[0xe0], None),
        (&[], None),
    ] {
        let read = read(&datagram(7, ifp, &[]));
        assert_eq!(read.map(|packet| packet.primary), expected, "{ifp:02x?}");
        assert!(read.is_none_or(|packet| packet.seq == 7));
    }
    assert_eq!(MODULATIONS.get(8), Some(&"v17_14400"));
}

#[test]
fn what_makes_up_for_losses_is_read() {
    let packet = read(&datagram(2, V21, &[CNG, CNG])).expect("UDPTL");
    assert_eq!(packet.recovery, Recovery::Redundancy(2));
    let mut parity = vec![0, 9, 1, 0x02, 0x80, 1, 3, 2];
    parity.extend([1, 0xaa, 2, 0xbb, 0xcc]);
    let packet = read(&parity).expect("UDPTL");
    assert_eq!(packet.recovery, Recovery::Parity { span: 3, parts: 2 });
    assert_eq!(read(&parity[..parity.len() - 1]), None);
    parity.push(0);
    assert_eq!(read(&parity), None, "more than a packet");
}

#[test]
fn rtp_stun_and_dtls_are_hardly_udptl() {
    let mut rtp = vec![0x80, 0, 0x12, 0x34, 0, 0, 0, 160, 1, 2, 3, 4];
    rtp.extend([0xd5; 160]);
    let mut stun = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    stun.extend([0x80, 0x22, 0, 4, b'a', b'b', b'c', b'd']);
    let dtls = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
    for other in [rtp.as_slice(), &stun, &dtls] {
        assert_eq!(read(other), None, "{other:02x?}");
    }
}

/// Reads bit by bit out of a string of ones and zeros, as the standard draws it.
fn reference(datagram: &[u8]) -> Option<Packet> {
    let bits: String = datagram.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut at = 0;
    let mut number = |bits: &str, count: usize| {
        let text = bits.get(at..at + count)?;
        at += count;
        usize::from_str_radix(text, 2).ok()
    };
    let length = |number: &mut dyn FnMut(&str, usize) -> Option<usize>| match number(&bits, 1)? {
        0 => number(&bits, 7),
        _ => match number(&bits, 1)? {
            0 => number(&bits, 14),
            _ => None,
        },
    };
    let content = |number: &mut dyn FnMut(&str, usize) -> Option<usize>| {
        let len = length(number)?;
        (0..len)
            .map(|_| number(&bits, 8).map(|octet| format!("{octet:08b}")))
            .collect::<Option<String>>()
    };
    let seq = number(&bits, 16)?;
    let primary = content(&mut number)?;
    let fec = number(&bits, 8)? >= 128;
    let recovery = if fec {
        (number(&bits, 8)? == 1).then_some(())?;
        let span = number(&bits, 8)?;
        let parts = length(&mut number)?;
        for _ in 0..parts {
            content(&mut number)?;
        }
        Recovery::Parity {
            span: span as u8,
            parts: parts as u16,
        }
    } else {
        let count = length(&mut number)?;
        for _ in 0..count {
            content(&mut number)?;
        }
        Recovery::Redundancy(count as u16)
    };
    (number(&bits, 1).is_none()).then_some(())?;
    let field = |from: usize, count: usize| usize::from_str_radix(primary.get(from..from + count)?, 2).ok();
    let (is_data, extended) = (field(1, 1)? == 1, field(2, 1)? == 1);
    let number = match (extended, is_data) {
        (false, _) => field(3, 4)?,
        (true, true) => 9 + field(4, 6)?,
        (true, false) => 16 + field(4, 6)?,
    };
    Some(Packet {
        seq: seq as u16,
        primary: if is_data {
            Ifp::Data(number as u8)
        } else {
            Ifp::Indicator
        },
        recovery,
    })
}

/// Bytes that are nearly UDPTL.
fn near_udptl() -> impl Strategy<Value = Vec<u8>> {
    let content = || prop::collection::vec(any::<u8>(), 0..6);
    let whole = (any::<u16>(), content(), prop::collection::vec(content(), 0..4)).prop_map(|(seq, primary, more)| {
        let more: Vec<&[u8]> = more.iter().map(Vec::as_slice).collect();
        datagram(seq, &primary, &more)
    });
    let long = (1usize..400).prop_map(|len| datagram(3, &vec![0xc0; len], &[]));
    let parity = (content(), any::<u8>(), prop::collection::vec(content(), 0..4)).prop_map(|(primary, span, parts)| {
        let mut bytes = datagram(9, &primary, &[]);
        bytes.truncate(bytes.len() - 2);
        bytes.extend([0x80, 1, span, parts.len() as u8]);
        for part in parts {
            bytes.push(part.len() as u8);
            bytes.extend(part);
        }
        bytes
    });
    let changed = (whole.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, with)| {
        let at = at.index(bytes.len());
        bytes[at] = with;
        bytes
    });
    prop_oneof![whole, long, parity, changed, prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn the_parser_reads_what_the_slow_reader_reads(bytes in near_udptl()) {
        prop_assert_eq!(read(&bytes), reference(&bytes), "{:02x?}", bytes);
    }
}
