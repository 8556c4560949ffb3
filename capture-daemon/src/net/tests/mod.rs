//! Frames made by hand from the RFCs' drawings, and any bytes at all.

mod domains;
mod fragments;
mod kernel;
mod tunnels;

use proptest::prelude::*;

use super::*;

const LINKS: [LinkType; 5] = [
    LinkType::Null,
    LinkType::Ethernet,
    LinkType::Raw,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
];

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x13, 0xc4, 0x13, 0xc5];
    bytes.extend((payload.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fn ipv4(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut bytes = vec![0x40 | (header / 4) as u8, 0];
    bytes.extend(((header + payload.len()) as u16).to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

fn ethernet(tags: &[u16], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    for tag in tags {
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0, 42]);
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The packet in a frame; a fragment by the outcome it has alone.
fn opened(link: LinkType, bytes: &[u8]) -> Result<Packet<'_>, Outcome> {
    match decode(link, bytes)? {
        Decoded::Packet(packet) => Ok(packet),
        Decoded::Fragment(_) => Err(Outcome::Fragment),
    }
}

/// Payload and `src > dst` of a UDP frame.
fn read(link: LinkType, bytes: &[u8]) -> Result<(String, Vec<u8>), Outcome> {
    let packet = opened(link, bytes)?;
    let Transport::Udp(payload) = packet.transport else {
        panic!("no UDP: {packet:?}");
    };
    Ok((format!("{} > {}", packet.src, packet.dst), payload.to_vec()))
}

const V4: &str = "192.0.2.1:5060 > 192.0.2.2:5061";
const V6: &str = "[2001:db8::1]:5060 > [2001:db8::2]:5061";

fn expected(ends: &str) -> Result<(String, Vec<u8>), Outcome> {
    Ok((ends.to_owned(), b"hello".to_vec()))
}

#[test]
fn every_link_type_leads_to_the_datagram() {
    let four = ipv4(17, &[], &udp(b"hello"));
    let six = ipv6(17, &udp(b"hello"));
    for (packet, ethertype, family, ends) in [(&four, 0x0800u16, 2u8, V4), (&six, 0x86dd, 30, V6)] {
        let ethertype_bytes = ethertype.to_be_bytes();
        assert_eq!(
            read(LinkType::Ethernet, &ethernet(&[], ethertype, packet)),
            expected(ends)
        );
        assert_eq!(read(LinkType::Raw, packet), expected(ends));
        assert_eq!(
            read(LinkType::Null, &[&[family, 0, 0, 0], &packet[..]].concat()),
            expected(ends)
        );
        assert_eq!(
            read(LinkType::Null, &[&[0, 0, 0, family], &packet[..]].concat()),
            expected(ends)
        );
        let sll = [&[0; 14][..], &ethertype_bytes, packet].concat();
        assert_eq!(read(LinkType::LinuxSll, &sll), expected(ends));
        let sll2 = [&ethertype_bytes[..], &[0; 18], packet].concat();
        assert_eq!(read(LinkType::LinuxSll2, &sll2), expected(ends));
    }
}

#[test]
fn tags_are_passed_but_not_without_end() {
    let packet = ipv4(17, &[], &udp(b"hello"));
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100, 0x8100]] {
        assert_eq!(read(LinkType::Ethernet, &ethernet(tags, 0x0800, &packet)), expected(V4));
    }
    let endless = ethernet(&[0x8100; MAX_LAYERS], 0x0800, &packet);
    assert_eq!(opened(LinkType::Ethernet, &endless), Err(Outcome::NotIp));
    let short = ethernet(&[], 0x8100, &[0, 42, 8]);
    assert_eq!(opened(LinkType::Ethernet, &short), Err(Outcome::LinkShort));
}

#[test]
fn the_end_is_where_ip_says() {
    let mut padded = ipv4(17, &[1, 1, 1, 0], &udp(b"hello"));
    padded.extend([0; 12]);
    assert_eq!(read(LinkType::Raw, &padded), expected(V4), "padding and options");
    // A UDP length below IP's: the rest is a trailer (RFC 768 leaves it to nobody).
    let mut trailer = ipv4(17, &[], &[&udp(b"hello")[..], b"!!"].concat());
    assert_eq!(read(LinkType::Raw, &trailer), expected(V4));
    // Total length zero: the kernel's own.
    trailer[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(read(LinkType::Raw, &trailer), expected(V4));
}

#[test]
fn a_frame_cut_short_gives_what_is_there() {
    for packet in [ipv4(17, &[], &udp(b"hello")), ipv6(17, &udp(b"hello"))] {
        let (_, payload) = read(LinkType::Raw, &packet[..packet.len() - 3]).unwrap();
        assert_eq!(payload, b"he");
        let headless = &packet[..packet.len() - 6];
        assert_eq!(opened(LinkType::Raw, headless), Err(Outcome::UdpMalformed));
    }
}

#[test]
fn a_udp_length_that_is_wrong_is_malformed() {
    for wrong in [0u8, 7, 14] {
        let mut datagram = udp(b"hello");
        datagram[5] = wrong;
        let got = read(LinkType::Raw, &ipv4(17, &[], &datagram));
        if wrong == 0 {
            assert_eq!(got, expected(V4), "a jumbogram's");
        } else {
            assert_eq!(got, Err(Outcome::UdpMalformed));
        }
    }
}

#[test]
fn extension_headers_are_passed() {
    let options = [60, 0, 1, 4, 0, 0, 0, 0]; // hop-by-hop with padding, then destination options
    let destination = [51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // two units
    let authentication = [17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // six words
    let payload = [&options[..], &destination, &authentication, &udp(b"hello")].concat();
    assert_eq!(read(LinkType::Raw, &ipv6(0, &payload)), expected(V6));
    let endless = [60, 0, 1, 4, 0, 0, 0, 0].repeat(64);
    assert_eq!(opened(LinkType::Raw, &ipv6(60, &endless)), Err(Outcome::IpMalformed));
    let beyond = [17, 200, 1, 4, 0, 0, 0, 0];
    assert_eq!(opened(LinkType::Raw, &ipv6(60, &beyond)), Err(Outcome::IpMalformed));
}

#[test]
fn fragments_are_told_from_whole_packets() {
    for (field, outcome) in [
        ([0x20, 0], Outcome::Fragment), // more to follow
        ([0, 1], Outcome::Fragment),    // a later one
        ([0x20, 0xff], Outcome::Fragment),
    ] {
        let mut packet = ipv4(17, &[], &udp(b"hello"));
        packet[6..8].copy_from_slice(&field);
        assert_eq!(opened(LinkType::Raw, &packet), Err(outcome));
    }
    let fragment = |field: [u8; 2]| {
        ipv6(
            44,
            &[&[17, 0, field[0], field[1], 0, 0, 0, 1][..], &udp(b"hello")].concat(),
        )
    };
    let first = ipv6(44, &[&[17, 0, 0, 1, 0, 0, 0, 1][..], &udp(b"eightyte")].concat());
    assert_eq!(opened(LinkType::Raw, &first), Err(Outcome::Fragment));
    assert_eq!(opened(LinkType::Raw, &fragment([0, 8])), Err(Outcome::Fragment));
    // RFC 6946: an atomic fragment; the two reserved bits mean nothing.
    assert_eq!(read(LinkType::Raw, &fragment([0, 0])), expected(V6));
    assert_eq!(read(LinkType::Raw, &fragment([0, 6])), expected(V6));
}

#[test]
fn what_is_not_ip_or_not_udp_or_tcp_is_named() {
    assert_eq!(
        opened(LinkType::Ethernet, &ethernet(&[], 0x0806, &[0; 28])),
        Err(Outcome::NotIp)
    );
    assert_eq!(opened(LinkType::Ethernet, &[0; 13]), Err(Outcome::LinkShort));
    assert_eq!(opened(LinkType::Raw, &[0x50; 40]), Err(Outcome::NotIp));
    assert_eq!(
        opened(LinkType::Raw, &ipv4(1, &[], b"ping")),
        Err(Outcome::OtherTransport)
    );
    assert_eq!(opened(LinkType::Raw, &ipv6(59, &[])), Err(Outcome::OtherTransport));
    let six_as_four = ethernet(&[], 0x0800, &ipv6(17, &udp(b"hello")));
    assert_eq!(opened(LinkType::Ethernet, &six_as_four), Err(Outcome::IpMalformed));
    let mut short_header = ipv4(17, &[], &udp(b"hello"));
    short_header[0] = 0x44;
    assert_eq!(opened(LinkType::Raw, &short_header), Err(Outcome::IpMalformed));
    let mut total_too_small = ipv4(17, &[], &udp(b"hello"));
    total_too_small[3] = 19;
    assert_eq!(opened(LinkType::Raw, &total_too_small), Err(Outcome::IpMalformed));
}

fn tcp_header(offset: u8, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0x13, 0xc4, 0x13, 0xc5, 0, 0, 1, 0, 0, 0, 0, 0, offset << 4, flags];
    bytes.extend([0; 6]);
    bytes
}

#[test]
fn a_tcp_segment_is_data_behind_options() {
    let segment = [&tcp_header(6, 0x18)[..], &[1, 1, 1, 0], b"hello"].concat();
    let frame = ipv4(6, &[], &segment);
    let packet = opened(LinkType::Raw, &frame).unwrap();
    let expected = Segment {
        seq: 256,
        flags: Flags::from_bits(0x18),
        payload: b"hello",
    };
    assert_eq!(packet.transport, Transport::Tcp(expected));
    for bad in [tcp_header(4, 0), tcp_header(6, 0)] {
        assert_eq!(opened(LinkType::Raw, &ipv4(6, &[], &bad)), Err(Outcome::TcpMalformed));
    }
}

proptest! {
    /// No bytes make it panic, and whatever it returns is a part of them.
    #[test]
    fn any_bytes_get_an_answer(link in 0..LINKS.len(), bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = opened(LINKS[link], &bytes);
    }

    /// The same close to what is valid: one byte of a good frame changed, and the end cut off.
    #[test]
    fn nearly_good_frames_get_an_answer(
        which in 0usize..3,
        at in 0usize..120,
        value in any::<u8>(),
        len in 0usize..120,
    ) {
        let mut frame = match which {
            0 => ethernet(&[0x8100], 0x0800, &ipv4(17, &[1, 1, 1, 1], &udp(b"hello"))),
            1 => ethernet(&[], 0x86dd, &ipv6(44, &[&[60, 0, 0, 0, 0, 0, 0, 1, 17, 0, 1, 4, 0, 0, 0, 0][..], &udp(b"hello")].concat())),
            _ => ethernet(&[], 0x0800, &ipv4(6, &[], &tcp_header(5, 2))),
        };
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
        frame.truncate(len);
        // The short way of plain frames is the long one.
        let long = descend(Layer::Link(LinkType::Ethernet, &frame), MAX_LAYERS, Domain::default());
        prop_assert_eq!(decode(LinkType::Ethernet, &frame), long);
        if let Ok(packet) = opened(LinkType::Ethernet, &frame) {
            let (Transport::Udp(payload) | Transport::Tcp(Segment { payload, .. })) = packet.transport;
            prop_assert!(payload.len() <= frame.len());
        }
    }
}
