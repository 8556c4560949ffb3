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
