//! Link headers, 802.1Q tags and what EtherTypes stand for.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::domain::{Domain, Kind};
use super::{Layer, ip, ppp};
use crate::frame::LinkType;
use crate::outcome::Outcome;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q customer tag.
const ETHERTYPE_VLAN: u16 = 0x8100;
/// IEEE 802.1ad service tag.
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// Service tag of switches older than 802.1ad.
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;
/// MPLS, unicast and multicast (RFC 5332 section 3).
const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_MPLS_MULTICAST: u16 = 0x8848;
/// PPPoE session (RFC 2516 section 4).
const ETHERTYPE_PPPOE: u16 = 0x8864;
/// Transparent Ethernet bridging: a frame inside GRE (RFC 7637 section 3.2) or GENEVE (RFC 8926 section 3.4).
const ETHERTYPE_BRIDGED: u16 = 0x6558;

/// Opens the outermost header.
#[inline(always)]
pub(super) fn open<'a>(link: LinkType, bytes: &'a [u8]) -> Result<Layer<'a>, Outcome> {
    match link {
        LinkType::Ethernet => {
            let (header, rest) = bytes.split_first_chunk::<14>().ok_or(Outcome::LinkShort)?;
            let [.., hi, lo] = *header;
            Ok(Layer::Typed(u16::from_be_bytes([hi, lo]), rest))
        }
        LinkType::Raw => match bytes.first().ok_or(Outcome::LinkShort)? >> 4 {
            4 => Ok(Layer::Ipv4(bytes)),
            6 => Ok(Layer::Ipv6(bytes)),
            _ => Err(Outcome::NotIp),
        },
        // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html: the protocol is the last field.
        LinkType::LinuxSll => {
            let (header, rest) = bytes.split_first_chunk::<16>().ok_or(Outcome::LinkShort)?;
            let [.., hi, lo] = *header;
            Ok(Layer::Typed(u16::from_be_bytes([hi, lo]), rest))
        }
        // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html: the protocol is the first.
        LinkType::LinuxSll2 => {
            let (header, rest) = bytes.split_first_chunk::<20>().ok_or(Outcome::LinkShort)?;
            let [hi, lo, ..] = *header;
            Ok(Layer::Typed(u16::from_be_bytes([hi, lo]), rest))
        }
        LinkType::Null => {
            let (header, rest) = bytes.split_first_chunk::<4>().ok_or(Outcome::LinkShort)?;
            // In the byte order of the machine that wrote it; families fit one byte, so the other three are zero.
            let family = match *header {
                [family, 0, 0, 0] | [0, 0, 0, family] => family,
                _ => return Err(Outcome::NotIp),
            };
            match family {
                2 => Ok(Layer::Ipv4(rest)),
                // AF_INET6 of Linux, of NetBSD and OpenBSD, of FreeBSD, of Darwin.
                10 | 24 | 28 | 30 => Ok(Layer::Ipv6(rest)),
                _ => Err(Outcome::NotIp),
            }
        }
    }
}

/// Opens an IP packet; `None` where the EtherType is another.
#[inline(always)]
pub(super) fn ip(ethertype: u16, bytes: &[u8]) -> Option<Result<Layer<'_>, Outcome>> {
    match ethertype {
        ETHERTYPE_IPV4 => Some(ip::v4(bytes)),
        ETHERTYPE_IPV6 => Some(ip::v6(bytes)),
        _ => None,
    }
}

/// Opens what stands behind an EtherType, and enters its domain.
pub(super) fn typed<'a>(ethertype: u16, bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    match ethertype {
        ETHERTYPE_IPV4 => Ok(Layer::Ipv4(bytes)),
        ETHERTYPE_IPV6 => Ok(Layer::Ipv6(bytes)),
        ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => {
            let (tag, rest) = bytes.split_first_chunk::<4>().ok_or(Outcome::LinkShort)?;
            let [tci_hi, tci_lo, hi, lo] = *tag;
            domain.enter(Kind::Vlan, u16::from_be_bytes([tci_hi & 0x0f, tci_lo]).into());
            Ok(Layer::Typed(u16::from_be_bytes([hi, lo]), rest))
        }
        ETHERTYPE_MPLS | ETHERTYPE_MPLS_MULTICAST => Ok(Layer::Mpls(bytes)),
        ETHERTYPE_PPPOE => ppp::over_ethernet(bytes, domain),
        ETHERTYPE_BRIDGED => Ok(Layer::Link(LinkType::Ethernet, bytes)),
        _ => Err(Outcome::NotIp),
    }
}

/// Tags looked behind where bytes are guessed to be an Ethernet frame.
const GUESSED_TAGS: usize = 2;

/// Whether these bytes, which nothing says are an Ethernet frame, are one with IP in it: the EtherType and the version
/// behind it agree.
pub(super) fn leads_to_ip(bytes: &[u8]) -> bool {
    let Some(mut rest) = bytes.get(12..) else {
        return false;
    };
    for _ in 0..=GUESSED_TAGS {
        let [hi, lo, ref behind @ ..] = *rest else {
            return false;
        };
        match u16::from_be_bytes([hi, lo]) {
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD => rest = behind.get(2..).unwrap_or_default(),
            ETHERTYPE_IPV4 => return matches!(behind.first(), Some(0x45..=0x4f)),
            ETHERTYPE_IPV6 => return matches!(behind.first(), Some(0x60..=0x6f)),
            _ => return false,
        }
    }
    false
}
