//! Tunnels: each header by hand as its document draws it, then any nesting of them.

use super::*;

/// What stands on an Ethernet frame around `ipv4`'s and `ipv6`'s datagrams.
fn framed() -> Vec<u8> {
    ethernet(&[0x8100], 0x0800, &ipv4(17, &[], &udp(b"hello")))
}

fn datagram() -> Vec<u8> {
    ipv4(17, &[], &udp(b"hello"))
}

/// UDP from port 40000 between other addresses than those of the inner packet.
pub(super) fn around(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [40_000u16.to_be_bytes(), port.to_be_bytes()].concat();
    bytes.extend((payload.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    outer(17, &bytes)
}

/// IPv4 between other addresses than those of the inner packet, its checksum right.
pub(super) fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(protocol, &[], payload);
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    let sum: u32 = packet[..20]
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

const OUTER: &str = "10.0.0.1:40000 > 10.0.0.2:";

#[test]
fn gre_and_erspan() {
    let four = datagram();
    let six = ipv6(17, &udp(b"hello"));
    let frame = framed();
    let gre = |header: &[u8], inner: &[u8]| outer(47, &[header, inner].concat());
    let cases: [(&[u8], &[u8], &str); 11] = [
        (&[0, 0, 8, 0], &four, V4),
        (&[0, 0, 0x86, 0xdd], &six, V6),
        (&[0x80, 0, 8, 0, 1, 2, 0, 0], &four, V4), // checksum
        (&[0x20, 0, 8, 0, 0, 0, 0, 9], &four, V4), // key
        (&[0x10, 0, 8, 0, 0, 0, 0, 1], &four, V4), // sequence number
        (&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1], &four, V4),
        (&[0, 0, 0x65, 0x58], &frame, V4), // bridged
        (&[0, 0, 0x88, 0xbe], &frame, V4), // ERSPAN I
        (
            &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 42, 0, 7, 0, 0, 0, 0],
            &frame,
            V4,
        ), // II
        (
            &[
                0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 42, 0, 7, 1, 2, 3, 4, 0, 0, 0x80, 0,
            ],
            &frame,
            V4,
        ),
        (
            // III of a bare packet, with the optional subheader.
            &[
                0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 42, 0, 7, 1, 2, 3, 4, 0, 0, 0x08, 1, 0, 0, 0, 0, 9, 9, 9, 9,
            ],
            &four,
            V4,
        ),
    ];
    for (header, inner, ends) in cases {
        assert_eq!(
            read(LinkType::Raw, &gre(header, inner)),
            expected(ends),
            "{header:02x?}"
        );
        let cut = gre(header, &[]);
        assert!(opened(LinkType::Raw, &cut).is_err());
        assert_eq!(
            opened(LinkType::Raw, &outer(47, &header[..header.len() - 1])),
            Err(Outcome::TunnelMalformed),
            "{header:02x?}"
        );
    }
    for header in [[0x40u8, 0, 8, 0], [0, 1, 8, 0]] {
        assert_eq!(
            opened(LinkType::Raw, &gre(&header, &four)),
            Err(Outcome::OtherTransport),
            "source route, PPTP"
        );
    }
    let wrong_version = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x20, 42, 0, 7, 0, 0, 0, 0];
    assert_eq!(
        opened(LinkType::Raw, &gre(&wrong_version, &frame)),
        Err(Outcome::TunnelMalformed)
    );
}

#[test]
fn ip_in_ip() {
    let four = datagram();
    let six = ipv6(17, &udp(b"hello"));
    assert_eq!(read(LinkType::Raw, &ipv4(4, &[], &four)), expected(V4));
    assert_eq!(read(LinkType::Raw, &ipv4(41, &[], &six)), expected(V6));
    assert_eq!(read(LinkType::Raw, &ipv6(4, &four)), expected(V4));
    assert_eq!(read(LinkType::Raw, &ipv6(41, &six)), expected(V6));
    // RFC 2473 section 4.1.1: a tunnel encapsulation limit in destination options.
    let limited = [&[41, 0, 4, 1, 4, 1, 1, 0][..], &six].concat();
    assert_eq!(read(LinkType::Raw, &ipv6(60, &limited)), expected(V6));
    assert_eq!(opened(LinkType::Raw, &ipv4(41, &[], &four)), Err(Outcome::IpMalformed));
}

#[test]
fn label_stacks_and_what_they_carry() {
    let label = |n: u8, bottom: u8| [0, n, bottom, 64];
    let four = outer(4, &datagram());
    let six = ipv6(17, &udp(b"hello"));
    let word = [0, 0, 0, 7];
    let mut mac_like_ip = framed();
    let mut mac_like_word = framed();
    mac_like_word[0] = 0;
    let stacked = |inner: &[&[u8]]| {
        let labels = [label(1, 0), label(2, 0), label(3, 1)].concat();
        ethernet(&[], 0x8847, &[&labels[..], &inner.concat()].concat())
    };
    assert_eq!(read(LinkType::Ethernet, &stacked(&[&four])), expected(V4));
    assert_eq!(read(LinkType::Ethernet, &stacked(&[&six])), expected(V6));
    assert_eq!(read(LinkType::Ethernet, &stacked(&[&word, &framed()])), expected(V4));
    for first in [0x00, 0x02, 0x46, 0x64, 0xf2] {
        mac_like_ip[0] = first;
        assert_eq!(
            read(LinkType::Ethernet, &stacked(&[&mac_like_ip])),
            expected(V4),
            "{first:02x}"
        );
    }
    assert_eq!(
        read(LinkType::Ethernet, &stacked(&[&word, &mac_like_word])),
        expected(V4)
    );
    // An IPv4 source 8.0.69.1 stands where an EtherType and a version would: the checksum decides.
    let mut misleading = ipv4(17, &[], &udp(b"hello"));
    misleading[12..16].copy_from_slice(&[8, 0, 0x45, 1]);
    let sum: u32 = misleading[..20]
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    misleading[10..12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(
        read(LinkType::Ethernet, &stacked(&[&misleading])),
        expected("8.0.69.1:5060 > 192.0.2.2:5061")
    );
    let endless = ethernet(&[], 0x8847, &label(1, 0).repeat(300));
    assert_eq!(opened(LinkType::Ethernet, &endless), Err(Outcome::NotIp));
    assert_eq!(
        opened(LinkType::Ethernet, &stacked(&[b"\x90other"])),
        Err(Outcome::NotIp)
    );
    let cut = ethernet(&[], 0x8847, &[0, 1, 0]);
    assert_eq!(opened(LinkType::Ethernet, &cut), Err(Outcome::LinkShort));
}

#[test]
fn pppoe_sessions() {
    let session = |ppp: &[u8], inner: &[u8]| {
        let len = ((ppp.len() + inner.len()) as u16).to_be_bytes();
        let bytes = [&[0x11, 0, 0, 9, len[0], len[1]][..], ppp, inner, &[0; 10]].concat();
        ethernet(&[0x8100], 0x8864, &bytes)
    };
    let (four, six) = (datagram(), ipv6(17, &udp(b"hello")));
    assert_eq!(read(LinkType::Ethernet, &session(&[0, 0x21], &four)), expected(V4));
    assert_eq!(read(LinkType::Ethernet, &session(&[0x21], &four)), expected(V4));
    assert_eq!(read(LinkType::Ethernet, &session(&[0, 0x57], &six)), expected(V6));
    let labelled = [&[0, 1, 1, 64][..], &four].concat();
    assert_eq!(read(LinkType::Ethernet, &session(&[2, 0x81], &labelled)), expected(V4));
    assert_eq!(
        opened(LinkType::Ethernet, &session(&[0xc0, 0x21], &[1, 1, 0, 4])),
        Err(Outcome::NotIp),
        "LCP"
    );
    let discovery = ethernet(&[], 0x8864, &[0x11, 9, 0, 0, 0, 0]);
    assert_eq!(opened(LinkType::Ethernet, &discovery), Err(Outcome::NotIp));
}

/// Header and inner bytes of every tunnel over UDP, by port.
fn over_udp() -> Vec<(u16, &'static [u8], Vec<u8>)> {
    let (four, frame) = (datagram(), framed());
    vec![
        (4789, &[8, 0, 0, 0, 0, 0, 9, 0], frame.clone()),
        (4789, &[0x88, 0, 1, 2, 0, 0, 9, 0], frame.clone()),
        (6081, &[0, 0, 0x65, 0x58, 0, 0, 9, 0], frame.clone()),
        (6081, &[2, 0x40, 8, 0, 0, 0, 9, 0, 1, 2, 3, 1, 9, 9, 9, 9], four.clone()),
        (2152, &[0x30, 255, 0, 33, 0, 0, 0, 9], four.clone()),
        (2152, &[0x32, 255, 0, 37, 0, 0, 0, 9, 0, 1, 0, 0x85], four.clone()), // S: no extension
        (
            2152,
            &[0x34, 255, 0, 45, 0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0, 9, 0xc0, 1, 1, 2, 0],
            four.clone(),
        ),
        (37_008, &[1, 0, 0, 1, 0, 0, 10, 1, 200, 12, 2, 1, 1, 1], frame.clone()),
        (37_008, &[1, 1, 0, 1, 1], frame.clone()),
        (1701, &[0, 2, 0, 1, 0, 1, 0, 0x21], four.clone()),
        (1701, &[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21], four.clone()),
        (
            // Length, sequence numbers, an offset of two.
            1701,
            &[0x4a, 2, 0, 51, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2, 7, 7, 0, 0x21],
            four,
        ),
        (1701, &[0, 3, 0, 0, 0, 0, 0, 9], frame.clone()),
        (
            1701,
            &[0, 3, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0x40, 0, 0, 1],
            frame,
        ),
    ]
}

#[test]
fn tunnels_over_udp() {
    for (port, header, inner) in over_udp() {
        let packet = around(port, &[header, &inner].concat());
        assert_eq!(read(LinkType::Raw, &packet), expected(V4), "{port}: {header:02x?}");
        // On another port they are a payload.
        let (ends, _) = read(LinkType::Raw, &around(4_000, &[header, &inner].concat())).unwrap();
        assert_eq!(ends, format!("{OUTER}4000"));
    }
    let l2tp = [&[0, 2, 0, 1, 0, 1, 0, 0x21][..], &datagram()].concat();
    let mut answer = around(40_001, &l2tp);
    answer[20..22].copy_from_slice(&1701u16.to_be_bytes());
    assert_eq!(read(LinkType::Raw, &answer), expected(V4));
}

#[test]
fn a_port_alone_makes_no_tunnel() {
    let rtp = [&[0x80, 0, 0, 1][..], &[0; 168]].concat();
    let sip = b"OPTIONS sip:b@x SIP/2.0\r\n\r\n".to_vec();
    for port in [4789, 6081, 2152, 37_008, 1701] {
        for payload in [&rtp, &sip, &Vec::new()] {
            let got = read(LinkType::Raw, &around(port, payload)).unwrap();
            assert_eq!(got, (format!("{OUTER}{port}"), payload.clone()));
        }
    }
    // Nor does a header without an IP packet behind it: ARP, bytes cut off, nothing.
    for (port, header, inner) in over_udp() {
        for inner in [ethernet(&[], 0x0806, &[0; 28]), inner[..10].to_vec(), Vec::new()] {
            let payload = [header, &inner].concat();
            let got = read(LinkType::Raw, &around(port, &payload)).unwrap();
            assert_eq!(got, (format!("{OUTER}{port}"), payload), "{header:02x?}");
        }
    }
    // What is behind a valid inner IP header is named for what it is.
    let ping = [
        &[8, 0, 0, 0, 0, 0, 9, 0][..],
        &ethernet(&[], 0x0800, &ipv4(1, &[], b"ping")),
    ]
    .concat();
    assert_eq!(
        opened(LinkType::Raw, &around(4789, &ping)),
        Err(Outcome::OtherTransport)
    );
}

#[test]
fn l2tpv3_over_ip() {
    let frame = framed();
    for before in [&[][..], &[1, 2, 3, 4], &[1, 2, 3, 4, 5, 6, 7, 8], &[0; 12]] {
        let packet = outer(115, &[&[0, 0, 0, 9], before, &frame].concat());
        assert_eq!(read(LinkType::Raw, &packet), expected(V4), "{before:?}");
    }
    let control = outer(115, &[&[0, 0, 0, 0][..], &frame].concat());
    assert_eq!(opened(LinkType::Raw, &control), Err(Outcome::OtherTransport));
}

/// A layer of a nest: what it wants inside, and how it goes around that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nest {
    Tag,
    Labels,
    Pseudowire,
    Pppoe,
    Erspan,
    Bridged,
    Vxlan,
    Geneve,
    Gtp,
    Tzsp,
    L2tpv2,
    L2tpv3,
    InIpv4,
    InIpv6,
    ErspanOverIpv6,
    BridgedOverIpv6,
    VxlanOverIpv6,
    GeneveOverIpv6,
    GtpOverIpv6,
    L2tpv2OverIpv6,
    L2tpv3OverIpv6,
}

pub(super) const NESTS: [Nest; 21] = [
    Nest::Tag,
    Nest::Labels,
    Nest::Pseudowire,
    Nest::Pppoe,
    Nest::Erspan,
    Nest::Bridged,
    Nest::Vxlan,
    Nest::Geneve,
    Nest::Gtp,
    Nest::Tzsp,
    Nest::L2tpv2,
    Nest::L2tpv3,
    Nest::InIpv4,
    Nest::InIpv6,
    Nest::ErspanOverIpv6,
    Nest::BridgedOverIpv6,
    Nest::VxlanOverIpv6,
    Nest::GeneveOverIpv6,
    Nest::GtpOverIpv6,
    Nest::L2tpv2OverIpv6,
    Nest::L2tpv3OverIpv6,
];

/// A frame of IPv4 without options as one of IPv6, with the same in it.
fn over_ipv6(frame: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x86dd, &ipv6(frame[14 + 9], &frame[14 + 20..]))
}

/// An Ethernet frame that is `inner`, a frame too, in one more layer.
pub(super) fn nested(nest: Nest, inner: &[u8]) -> Vec<u8> {
    let (ethertype, packet) = (&inner[12..14], &inner[14..]);
    // The packet alone, where the layer carries packets and the frame is no more than one.
    let version = match ethertype {
        [0x08, 0x00] => Some(4u8),
        [0x86, 0xdd] => Some(6),
        _ => None,
    };
    let ip = |packet: Vec<u8>| ethernet(&[], 0x0800, &packet);
    match (nest, version) {
        (Nest::ErspanOverIpv6, _) => over_ipv6(&nested(Nest::Erspan, inner)),
        (Nest::BridgedOverIpv6, _) => over_ipv6(&nested(Nest::Bridged, inner)),
        (Nest::VxlanOverIpv6, _) => over_ipv6(&nested(Nest::Vxlan, inner)),
        (Nest::GeneveOverIpv6, _) => over_ipv6(&nested(Nest::Geneve, inner)),
        (Nest::GtpOverIpv6, _) => over_ipv6(&nested(Nest::Gtp, inner)),
        (Nest::L2tpv2OverIpv6, _) => over_ipv6(&nested(Nest::L2tpv2, inner)),
        (Nest::L2tpv3OverIpv6, _) => over_ipv6(&nested(Nest::L2tpv3, inner)),
        (Nest::Tag, _) => [&inner[..12], &[0x81, 0, 0, 5], &inner[12..]].concat(),
        (Nest::Labels, Some(_)) => ethernet(&[], 0x8847, &[&[0, 1, 0, 64, 0, 2, 1, 64], packet].concat()),
        (Nest::Pppoe, Some(version)) => {
            let len = (packet.len() as u16 + 2).to_be_bytes();
            let protocol = if version == 4 { 0x21 } else { 0x57 };
            let header = [0x11, 0, 0, 9, len[0], len[1], 0, protocol];
            ethernet(&[], 0x8864, &[&header, packet].concat())
        }
        (Nest::InIpv4, Some(version)) => ip(outer(if version == 4 { 4 } else { 41 }, packet)),
        (Nest::InIpv6, Some(version)) => ethernet(&[], 0x86dd, &ipv6(if version == 4 { 4 } else { 41 }, packet)),
        (Nest::Gtp, Some(_)) => {
            let len = (packet.len() as u16).to_be_bytes();
            ip(around(
                2152,
                &[&[0x30, 255, len[0], len[1], 0, 0, 0, 9], packet].concat(),
            ))
        }
        (Nest::L2tpv2, Some(version)) => {
            let protocol = if version == 4 { 0x21 } else { 0x57 };
            ip(around(1701, &[&[0, 2, 0, 1, 0, 1, 0, protocol], packet].concat()))
        }
        // Guessed by an EtherType of IP.
        (Nest::Pseudowire, Some(_)) => ethernet(&[], 0x8847, &[&[0, 2, 1, 64, 0, 0, 0, 0], inner].concat()),
        (Nest::L2tpv3, Some(_)) => ip(outer(115, &[&[0, 0, 0, 9, 1, 2, 3, 4], inner].concat())),
        (Nest::Erspan, _) => {
            let header = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 42, 0, 7, 0, 0, 0, 0];
            ip(outer(47, &[&header, inner].concat()))
        }
        (Nest::Geneve, _) => ip(around(6081, &[&[0, 0, 0x65, 0x58, 0, 0, 9, 0], inner].concat())),
        (Nest::Tzsp, _) => ip(around(37_008, &[&[1, 0, 0, 1, 1], inner].concat())),
        (Nest::Vxlan, _) => ip(around(4789, &[&[8, 0, 0, 0, 0, 0, 9, 0], inner].concat())),
        // Whatever wanted a packet and got a frame goes over GRE.
        _ => ip(outer(47, &[&[0, 0, 0x65, 0x58], inner].concat())),
    }
}

proptest! {
    /// Any nest within the bound leads to the same datagram, and a deeper one to an answer.
    #[test]
    fn any_nest_leads_to_the_datagram(layers in proptest::collection::vec(0..NESTS.len(), 0..12), six in any::<bool>()) {
        let mut frame = if six {
            ethernet(&[], 0x86dd, &ipv6(17, &udp(b"hello")))
        } else {
            ethernet(&[], 0x0800, &datagram())
        };
        for (depth, layer) in layers.iter().enumerate() {
            frame = nested(NESTS[*layer], &frame);
            let got = read(LinkType::Ethernet, &frame);
            if depth < 5 {
                prop_assert_eq!(got, expected(if six { V6 } else { V4 }), "{:?}", NESTS[*layer]);
            }
        }
    }

    /// One byte of a nest changed, and the end cut off: an answer within the frame.
    #[test]
    fn a_damaged_nest_gets_an_answer(
        layers in proptest::collection::vec(0..NESTS.len(), 1..6),
        at in 0usize..300,
        value in any::<u8>(),
        len in 0usize..400,
    ) {
        let mut frame = ethernet(&[], 0x0800, &datagram());
        for layer in layers {
            frame = nested(NESTS[layer], &frame);
        }
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
        frame.truncate(len);
        if let Ok(packet) = opened(LinkType::Ethernet, &frame) {
            let (Transport::Udp(payload) | Transport::Tcp(Segment { payload, .. })) = packet.transport;
            prop_assert!(payload.len() <= frame.len());
        }
    }
}
