//! What tells networks behind tags and tunnels apart, and what does not.

use super::tunnels::{around, outer};
use super::*;

/// A fragment in IPv4, the same whatever is around it.
fn fragment() -> Vec<u8> {
    let mut packet = ipv4(17, &[], &[7; 16]);
    packet[6] = 0x20;
    packet
}

fn domain(link: LinkType, bytes: &[u8]) -> Domain {
    match decode(link, bytes) {
        Ok(Decoded::Fragment(fragment)) => fragment.datagram.domain,
        other => panic!("no fragment: {other:?}"),
    }
}

/// Ethernet with tags, each its EtherType and control information, around `payload`.
fn tagged(tags: &[[u8; 4]], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(tags.concat());
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fragment behind an Ethernet header.
fn bridged() -> Vec<u8> {
    tagged(&[], 0x0800, &fragment())
}

fn vlan(tags: &[[u8; 4]]) -> Domain {
    domain(LinkType::Ethernet, &tagged(tags, 0x0800, &fragment()))
}

/// A stack of labels around the fragment.
fn mpls(labels: &[u32]) -> Domain {
    let last = labels.len() - 1;
    let stack: Vec<u8> = labels
        .iter()
        .enumerate()
        .flat_map(|(n, label)| (label << 12 | u32::from(n == last) << 8 | 64).to_be_bytes())
        .collect();
    domain(LinkType::Ethernet, &tagged(&[], 0x8847, &[stack, fragment()].concat()))
}

fn in_gre(header: &[u8], inner: &[u8]) -> Domain {
    domain(LinkType::Raw, &outer(47, &[header, inner].concat()))
}

fn in_udp(port: u16, header: &[u8], inner: &[u8]) -> Domain {
    domain(LinkType::Raw, &around(port, &[header, inner].concat()))
}

#[test]
fn nothing_around_is_nothing() {
    assert_eq!(vlan(&[]), Domain::default());
    assert_eq!(domain(LinkType::Raw, &fragment()), Domain::default());
    // A tunnel without an identifier is of one network with what is outside it.
    assert_eq!(domain(LinkType::Raw, &outer(4, &fragment())), Domain::default());
    assert_eq!(in_gre(&[0, 0, 8, 0], &fragment()), Domain::default());
}

#[test]
fn every_identifier_makes_a_domain_of_its_own() {
    let (bare, frame) = (fragment(), bridged());
    let pppoe = |session| {
        let ppp = [&[0x11, 0, 0, session, 0, 38, 0, 0x21][..], &bare].concat();
        domain(LinkType::Ethernet, &tagged(&[], 0x8864, &ppp))
    };
    let domains = [
        vlan(&[]),
        vlan(&[[0x81, 0, 0, 1]]),
        vlan(&[[0x81, 0, 1, 1]]),
        vlan(&[[0x81, 0, 0, 2]]),
        vlan(&[[0x88, 0xa8, 0, 1], [0x81, 0, 0, 2]]),
        vlan(&[[0x88, 0xa8, 0, 2], [0x81, 0, 0, 1]]),
        vlan(&[[0x81, 0, 0, 1], [0x81, 0, 0, 1]]),
        mpls(&[1]),
        mpls(&[2]),
        mpls(&[1_048_575]),
        pppoe(1),
        pppoe(2),
        in_gre(&[0x20, 0, 8, 0, 0, 0, 0, 1], &bare),
        in_gre(&[0x20, 0, 8, 0, 0, 0, 0, 2], &bare),
        in_gre(&[0x20, 0, 0x65, 0x58, 0, 0, 3, 9], &frame),
        in_gre(&[0x20, 0, 0x65, 0x58, 0, 0, 4, 9], &frame),
        in_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x11, 42, 0, 7, 0, 0, 0, 0], &frame),
        in_udp(4789, &[8, 0, 0, 0, 0, 0, 1, 0], &frame),
        in_udp(4789, &[8, 0, 0, 0, 1, 0, 1, 0], &frame),
        in_udp(6081, &[0, 0, 8, 0, 0, 0, 1, 0], &bare),
        in_udp(6081, &[0, 0, 8, 0, 0, 0, 2, 0], &bare),
        in_udp(2152, &[0x30, 255, 0, 36, 0, 0, 0, 1], &bare),
        in_udp(2152, &[0x30, 255, 0, 36, 1, 0, 0, 1], &bare),
        in_udp(1701, &[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21], &bare),
        in_udp(1701, &[0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &bare),
        in_udp(1701, &[0, 3, 0, 0, 0, 0, 0, 1], &frame),
        domain(LinkType::Raw, &outer(115, &[&[0, 0, 0, 2][..], &frame].concat())),
    ];
    for (n, one) in domains.iter().enumerate() {
        for (m, other) in domains.iter().enumerate() {
            assert_eq!(one == other, n == m, "{n} and {m}");
        }
    }
}

#[test]
fn what_changes_within_a_flow_does_not_matter() {
    let (bare, frame) = (fragment(), bridged());
    let same = [
        // Priority and drop eligibility; a service tag for a customer's.
        [vlan(&[[0x81, 0, 0, 1]]), vlan(&[[0x81, 0, 0xf0, 1]])],
        [vlan(&[[0x81, 0, 0, 1]]), vlan(&[[0x88, 0xa8, 0, 1]])],
        // Labels of the network; the entropy label of RFC 6790, at the bottom and above it.
        [mpls(&[100]), mpls(&[17, 18, 100])],
        [mpls(&[17, 100, 7, 90_000]), mpls(&[100, 7, 5])],
        [mpls(&[17, 7, 90_000, 100]), mpls(&[100])],
        // Sequence numbers; the low octet of NVGRE's key.
        [
            in_gre(&[0x30, 0, 8, 0, 0, 0, 0, 1, 0, 0, 0, 8], &bare),
            in_gre(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9], &bare),
        ],
        [
            in_gre(&[0x20, 0, 0x65, 0x58, 0, 0, 3, 9], &frame),
            in_gre(&[0x20, 0, 0x65, 0x58, 0, 0, 3, 1], &frame),
        ],
        // The session of the mirror, in both versions.
        [
            in_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x11, 42, 0, 7, 0, 0, 0, 0], &frame),
            in_gre(
                &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 2, 0x11, 42, 0xf3, 8, 0, 0, 0, 3],
                &frame,
            ),
        ],
        [
            in_gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x11, 42, 0, 7, 0, 0, 0, 0], &frame),
            in_gre(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x21, 42, 0, 7, 1, 2, 3, 4, 0, 0, 0x80, 0,
                ],
                &frame,
            ),
        ],
        [
            in_udp(4789, &[8, 0, 0, 0, 0, 0, 1, 0], &frame),
            in_udp(4789, &[0x88, 0, 0, 9, 0, 0, 1, 0], &frame),
        ],
    ];
    for (n, [one, other]) in same.into_iter().enumerate() {
        assert_eq!(one, other, "{n}");
        assert_ne!(one, Domain::default(), "{n}");
    }
}
