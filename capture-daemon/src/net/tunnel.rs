//! Tunnels inside IP and UDP: VXLAN, GENEVE, GTP-U, TZSP, and the ways to those that have a module of their own.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::domain::{Domain, Kind};
use capture_common::tunnels::{GENEVE_PORT, GTP_U_PORT, L2TP_PORT, TZSP_PORT, VXLAN_PORT};

use super::ip::Payload;
use super::{Layer, Packet, Transport, gre, l2tp};
use crate::frame::LinkType;
use crate::outcome::Outcome;

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const L2TPV3: u8 = 115;

/// Opens what an IP packet carries that is neither UDP nor TCP, and enters its domain. The outer addresses are no part of
/// that: a tunnel may have several ways.
pub(super) fn in_ip<'a>(ip: &Payload<'a>, domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    match ip.protocol {
        // RFC 2003 and RFC 2473.
        IPV4 => Ok(Layer::Ipv4(ip.bytes)),
        // RFC 4213 section 3 and RFC 2473.
        IPV6 => Ok(Layer::Ipv6(ip.bytes)),
        GRE => gre::open(ip.bytes, domain),
        L2TPV3 => l2tp::over_ip(ip.bytes, domain),
        _ => Err(Outcome::OtherTransport),
    }
}

/// Ports of tunnels over UDP.
pub const PORTS: [u16; 5] = [L2TP_PORT, GTP_U_PORT, VXLAN_PORT, GENEVE_PORT, TZSP_PORT];

/// Whether a datagram's ports are those of a tunnel. L2TP's answering end may send to a port of the other's choice (RFC
/// 2661 section 8.1).
#[inline]
pub(super) fn has_port(packet: &Packet<'_>) -> bool {
    matches!(
        packet.dst.port(),
        L2TP_PORT | GTP_U_PORT | VXLAN_PORT | GENEVE_PORT | TZSP_PORT
    ) || packet.src.port() == L2TP_PORT
}

/// Opens a datagram that its ports say is a tunnel's, if its header does not deny it, and enters its domain.
pub(super) fn in_udp<'a>(packet: &Packet<'a>, domain: &mut Domain) -> Option<Layer<'a>> {
    let Transport::Udp(payload) = packet.transport else {
        return None;
    };
    match packet.dst.port() {
        VXLAN_PORT => vxlan(payload, domain),
        GENEVE_PORT => geneve(payload, domain),
        GTP_U_PORT => gtp_u(payload, domain),
        TZSP_PORT => tzsp(payload),
        _ => l2tp::over_udp(payload, domain),
    }
}

/// RFC 7348 section 5: the I flag, a network identifier, and zeros. The G flag and the policy behind it are of
/// draft-smith-vxlan-group-policy-05.
fn vxlan<'a>(bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let (header, frame) = bytes.split_first_chunk::<8>()?;
    match *header {
        [0x08 | 0x88, _, _, _, vni @ .., 0] => {
            domain.enter_by_three(Kind::Vxlan, vni);
            Some(Layer::Link(LinkType::Ethernet, frame))
        }
        _ => None,
    }
}

/// RFC 8926 section 3.4: version 0, options in words of four bytes, no control message.
fn geneve<'a>(bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let (header, rest) = bytes.split_first_chunk::<8>()?;
    let [first, flags, protocol_hi, protocol_lo, vni @ .., reserved] = *header;
    if first >> 6 != 0 || flags & 0xbf != 0 || reserved != 0 {
        return None;
    }
    domain.enter_by_three(Kind::Geneve, vni);
    let options = usize::from(first & 0x3f).saturating_mul(4);
    let ethertype = u16::from_be_bytes([protocol_hi, protocol_lo]);
    Some(Layer::Typed(ethertype, rest.get(options..)?))
}

/// Extension headers of GTP-U that are passed; TS 29.281 knows some ten, once each.
const MAX_EXTENSIONS: usize = 16;

/// 3GPP TS 29.281 section 5.1: version 1, protocol type GTP, message type G-PDU.
fn gtp_u<'a>(bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let (header, rest) = bytes.split_first_chunk::<8>()?;
    let [flags, 255, len_hi, len_lo, teid @ ..] = *header else {
        return None;
    };
    domain.enter(Kind::GtpU, u32::from_be_bytes(teid));
    if flags & 0xf8 != 0x30 {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    let rest = rest.get(..len).unwrap_or(rest);
    // Any of the flags E, S and PN brings all of their fields; E alone says that the last one means something.
    if flags & 0x07 == 0 {
        return inner(rest);
    }
    let (&[_, _, _, mut next], mut rest) = rest.split_first_chunk::<4>()?;
    if flags & 0x04 == 0 {
        next = 0;
    }
    for _ in 0..MAX_EXTENSIONS {
        if next == 0 {
            return inner(rest);
        }
        // Section 5.2.1: a length in words of four bytes at the beginning, the next type at the end.
        let len = usize::from(*rest.first()?).saturating_mul(4);
        let (extension, behind) = rest.split_at_checked(len)?;
        next = *extension.last()?;
        rest = behind;
    }
    None
}

/// The user's packet, told by its version.
fn inner(bytes: &[u8]) -> Option<Layer<'_>> {
    matches!(bytes.first()? >> 4, 4 | 6).then_some(Layer::Link(LinkType::Raw, bytes))
}

/// Tags of TZSP that are passed; some twenty are known.
const MAX_TAGS: usize = 32;

/// TaZmen Sniffer Protocol, which has no standard; as in Wireshark's packet-tzsp.c. Version 1, a received packet or one
/// to be sent, of Ethernet.
fn tzsp(bytes: &[u8]) -> Option<Layer<'_>> {
    let (header, mut rest) = bytes.split_first_chunk::<4>()?;
    let [1, 0 | 1, 0, 1] = *header else {
        return None;
    };
    for _ in 0..MAX_TAGS {
        let (tag, behind) = rest.split_first()?;
        rest = match tag {
            0 => behind,
            1 => return Some(Layer::Link(LinkType::Ethernet, behind)),
            _ => {
                let (len, value) = behind.split_first()?;
                value.get(usize::from(*len)..)?
            }
        };
    }
    None
}
