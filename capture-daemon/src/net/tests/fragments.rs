//! How the headers of fragments are read; what becomes of the pieces is tested beside the table.

use super::*;

fn piece(link: LinkType, bytes: &[u8]) -> Result<Fragment<'_>, Outcome> {
    match decode(link, bytes)? {
        Decoded::Fragment(fragment) => Ok(fragment),
        Decoded::Packet(packet) => panic!("whole: {packet:?}"),
    }
}

fn v4(field: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(17, &[1, 1, 1, 0], payload);
    packet[4..6].copy_from_slice(&[0x12, 0x34]);
    packet[6..8].copy_from_slice(&field.to_be_bytes());
    packet
}

fn v6(field: u16, payload: &[u8]) -> Vec<u8> {
    let field = field.to_be_bytes();
    ipv6(
        0,
        &[
            &[44, 0, 1, 4, 0, 0, 0, 0, 17, 0, field[0], field[1], 1, 2, 3, 4][..],
            payload,
        ]
        .concat(),
    )
}

#[test]
fn the_header_says_which_part_it_is() {
    let packet = v4(0x2003, &[7; 16]);
    let fragment = piece(LinkType::Raw, &packet).unwrap();
    assert_eq!((fragment.datagram.id, fragment.datagram.protocol), (0x1234, Some(17)));
    assert_eq!(fragment.datagram.src.to_string(), "192.0.2.1:0");
    assert_eq!((fragment.offset, fragment.last, fragment.cut), (24, false, false));
    assert_eq!(fragment.bytes, [7; 16]);
    let packet = v6(0x0018, &[7; 5]);
    let fragment = piece(LinkType::Raw, &packet).unwrap();
    assert_eq!((fragment.datagram.id, fragment.datagram.protocol), (0x0102_0304, None));
    assert_eq!((fragment.offset, fragment.last, fragment.protocol), (24, true, 17));
    assert_eq!(fragment.bytes, [7; 5]);
}

#[test]
fn what_the_capture_cut_is_said_to_be() {
    for packet in [v4(0x0003, &[7; 16]), v6(0x0018, &[7; 16])] {
        let cut = &packet[..packet.len() - 3];
        let fragment = piece(LinkType::Raw, cut).unwrap();
        assert!(fragment.cut);
        assert_eq!(fragment.bytes, [7; 13]);
    }
}

#[test]
fn what_no_datagram_can_hold_is_malformed() {
    for packet in [
        v4(0x2000, &[]),
        v4(0x2000, &[7; 7]), // less than eight bytes and more to come
        v4(0x1fff, &[7; 8]), // 65,528 + 8
        v6(0x0001, &[]),
        v6(0x0001, &[7; 9]),
        v6(0xfff8, &[7; 8]),
    ] {
        assert_eq!(decode(LinkType::Raw, &packet), Err(Outcome::IpMalformed));
    }
    // IPv4 takes the whole eights.
    assert_eq!(piece(LinkType::Raw, &v4(0x2000, &[7; 9])).unwrap().bytes.len(), 8);
}

/// The sum that a checksum makes 0xffff (RFC 768), an octet at a time.
fn sum(src: &[u8], dst: &[u8], datagram: &[u8]) -> u16 {
    let len = u16::from_be_bytes([datagram[4], datagram[5]]);
    let pseudo = [src, dst, &u32::from(len).to_be_bytes(), &[0, 0, 0, 17]].concat();
    let octets = pseudo.iter().chain(&datagram[..usize::from(len)]);
    let mut sum = 0u32;
    for (n, octet) in octets.enumerate() {
        sum += u32::from(*octet) << if n % 2 == 0 { 8 } else { 0 };
        while sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

proptest! {
    /// A datagram of any length over either version, with a checksum that is right, wrong or not there.
    #[test]
    fn the_checksum_of_a_whole_datagram_is_verified(
        src in any::<[u8; 4]>(),
        dst in any::<[u8; 16]>(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        padding in 0usize..9,
        checksum in prop_oneof![Just(None), any::<u16>().prop_map(Some)],
        is_v6 in any::<bool>(),
    ) {
        let (src, dst) = if is_v6 {
            (Endpoint::v6([src; 4].concat().try_into().unwrap(), 0), Endpoint::v6(dst, 0))
        } else {
            (Endpoint::v4(src, 0), Endpoint::v4(*dst.first_chunk().unwrap(), 0))
        };
        let octets = |end: Endpoint| end.octets()[if is_v6 { 0 } else { 12 }..].to_vec();
        let mut bytes = udp(&payload);
        let (from, to) = (octets(src), octets(dst));
        // A sum of 0 is sent as 0xffff, for 0 says that there is none.
        let right = match !sum(&from, &to, &bytes) {
            0 => 0xffff,
            right => right,
        };
        bytes[6..8].copy_from_slice(&checksum.unwrap_or(right).to_be_bytes());
        let expected = bytes[6..8] == [0, 0] || sum(&from, &to, &bytes) == 0xffff;
        prop_assert!(expected || checksum.is_some());
        bytes.resize(bytes.len() + padding, 0xee);
        let key = Datagram { src, dst, id: 1, protocol: (!is_v6).then_some(17), domain: Domain::default() };
        let found = whole(&key, 17, &bytes);
        prop_assert_eq!(found.is_ok(), expected);
        if !expected {
            prop_assert_eq!(found, Err(Outcome::UdpChecksum));
        }
    }
}
