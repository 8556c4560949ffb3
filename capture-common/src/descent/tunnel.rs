//! The headers of tunnels, one at a step: what is under MPLS labels, PPP, GRE and ERSPAN, and what goes over UDP.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use super::{Descent, Layer};
use crate::classify::Tables;
use crate::headers::{Bytes, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TAGS};
use crate::tunnels::{GENEVE_PORT, GTP_U_PORT, TZSP_PORT, Tunnel, VXLAN_PORT};
use crate::verdict::Verdict;

/// ERSPAN I and II; III.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// IP, told by its version as routers do it (RFC 4928 section 2), or the Ethernet frame of a pseudowire (RFC 4448), with
/// a control word (RFC 4385 section 3: first four bits zero) or without. The first byte of a MAC address may look like each of
/// the others.
#[inline(always)]
pub(super) fn under_labels<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
    let [first, _] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
    let is_ethernet = leads_to_ip(frame, at);
    match first >> 4 {
        4 | 6 if is_ethernet => return Err(Verdict::TunnelUnclear),
        4 | 6 => descent.go(Layer::Raw, at),
        _ if is_ethernet => descent.go(Layer::Ethernet, at),
        0 if leads_to_ip(frame, at.wrapping_add(4)) => descent.go(Layer::Ethernet, at.wrapping_add(4)),
        _ => return Err(Verdict::NotIp),
    }
    Ok(())
}

/// Tags looked behind where bytes are guessed to be an Ethernet frame.
const GUESSED_TAGS: u32 = 2;

/// Whether these bytes, which nothing says are an Ethernet frame, are one with IP in it: the EtherType and the version
/// behind it agree.
#[inline(always)]
fn leads_to_ip<B: Bytes + ?Sized>(frame: &B, at: u32) -> bool {
    let mut at = at.wrapping_add(12);
    for _ in 0..=GUESSED_TAGS {
        let Some([high, low, first]) = frame.load(at) else {
            return false;
        };
        match u16::from_be_bytes([high, low]) {
            tag if ETHERTYPE_TAGS.contains(&tag) => at = at.wrapping_add(4),
            ETHERTYPE_IPV4 => return first >> 4 == 4 && first & 0x0f >= 5,
            ETHERTYPE_IPV6 => return first >> 4 == 6,
            _ => return false,
        }
    }
    false
}

/// RFC 1661, with or without the address and control fields of RFC 1662 section 3.1.
#[inline(always)]
pub(super) fn ppp<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
    let mut at = at;
    if frame.load(at) == Some([0xff, 0x03]) {
        at = at.wrapping_add(2);
    }
    let [first, _] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
    // Compressed (RFC 1661 section 6.5): the first of two bytes is even, the last odd.
    let mut protocol = u16::from(first);
    at = at.wrapping_add(1);
    if first & 1 == 0 {
        let [second, _] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
        protocol = u16::from_be_bytes([first, second]);
        at = at.wrapping_add(1);
    }
    let layer = match protocol {
        0x0021 => Layer::Ipv4,
        // RFC 5072.
        0x0057 => Layer::Ipv6,
        // RFC 3032 section 4.3.
        0x0281 | 0x0283 => Layer::Mpls,
        _ => return Err(Verdict::NotIp),
    };
    descent.go(layer, at);
    Ok(())
}

/// GRE, and the ERSPAN headers that switches put behind it.
#[inline(always)]
pub(super) fn gre<B: Bytes + ?Sized, T: Tables>(
    frame: &B,
    descent: &mut Descent,
    at: u32,
    tables: &T,
) -> Result<(), Verdict> {
    let [high, low, kind @ ..]: [u8; 4] = frame.load(at).ok_or(Verdict::TunnelMalformed)?;
    // Source routes (RFC 2784 section 2.3), and versions other than 0.
    if high & 0x40 != 0 || low & 0x07 != 0 {
        return Err(Verdict::OtherProtocol);
    }
    // Checksum, key and sequence number, a word each.
    let words = u32::from(high >> 7)
        .wrapping_add(u32::from(high >> 5 & 1))
        .wrapping_add(u32::from(high >> 4 & 1));
    let behind = at.wrapping_add(4).wrapping_add(words.wrapping_mul(4));
    let ethertype = u16::from_be_bytes(kind);
    let tunnels = tables.tunnels();
    if ethertype != ERSPAN && ethertype != ERSPAN_III {
        if !tunnels.has(Tunnel::Gre) {
            return Err(Verdict::OtherProtocol);
        }
        descent.typed(kind, behind);
        return Ok(());
    }
    if !tunnels.has(Tunnel::Erspan) {
        return Err(Verdict::OtherProtocol);
    }
    if ethertype == ERSPAN_III {
        let [first, _] = frame.load(behind).ok_or(Verdict::TunnelMalformed)?;
        let [kind, last] = frame.load(behind.wrapping_add(10)).ok_or(Verdict::TunnelMalformed)?;
        if first >> 4 != 2 {
            return Err(Verdict::TunnelMalformed);
        }
        let subheader = u32::from(last & 1).wrapping_mul(8);
        // FT, the frame type: 0 for Ethernet, 2 for a bare IP packet.
        let is_packet = (kind >> 2) & 0x1f == 2;
        let layer = if is_packet { Layer::Raw } else { Layer::Ethernet };
        descent.go(layer, behind.wrapping_add(12).wrapping_add(subheader));
    } else if high & 0x10 == 0 {
        // Type I: no sequence number, and no header of its own.
        descent.go(Layer::Ethernet, behind);
    } else {
        let [first, _] = frame.load(behind).ok_or(Verdict::TunnelMalformed)?;
        if first >> 4 != 1 {
            return Err(Verdict::TunnelMalformed);
        }
        descent.go(Layer::Ethernet, behind.wrapping_add(8));
    }
    Ok(())
}

/// A datagram on a tunnel's port; `None` where its header denies it.
#[inline(always)]
pub(super) fn datagram<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Option<()> {
    let behind = at.wrapping_add(8);
    match descent.number {
        VXLAN_PORT => {
            let [flags, _, _, _, _, _, _, 0] = frame.load(at)? else {
                return None;
            };
            if flags & 0x7f != 0x08 {
                return None;
            }
            descent.go(Layer::Ethernet, behind);
        }
        GENEVE_PORT => {
            let [first, flags, high, low, _, _, _, 0] = frame.load(at)? else {
                return None;
            };
            if first >> 6 != 0 || flags & 0xbf != 0 {
                return None;
            }
            let options = u32::from(first & 0x3f).wrapping_mul(4);
            descent.typed([high, low], behind.wrapping_add(options));
        }
        GTP_U_PORT => {
            let [flags, 255] = frame.load(at)? else {
                return None;
            };
            if flags & 0xf8 != 0x30 {
                return None;
            }
            if flags & 0x07 == 0 {
                descent.go(Layer::Raw, behind);
                return Some(());
            }
            let [next, _] = frame.load(at.wrapping_add(11))?;
            // The flag E: the last field means something.
            descent.next = if flags & 0x04 == 0 { 0 } else { next };
            descent.go(Layer::GtpExtension, at.wrapping_add(12));
        }
        TZSP_PORT => {
            let [1, 0 | 1, 0, 1] = frame.load(at)? else {
                return None;
            };
            descent.go(Layer::TzspTag, at.wrapping_add(4));
        }
        _ => return l2tp(frame, descent, at),
    }
    Some(())
}

/// 3GPP TS 29.281 section 5.2.1: a length in words of four bytes at the beginning, the next type at the end.
#[inline(always)]
pub(super) fn gtp_extension<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Option<()> {
    if descent.next == 0 {
        descent.go(Layer::Raw, at);
        return Some(());
    }
    let [words, _] = frame.load(at)?;
    if words == 0 {
        return None;
    }
    let behind = at.wrapping_add(u32::from(words).wrapping_mul(4));
    descent.go(Layer::GtpExtensionEnd, behind.wrapping_sub(1));
    Some(())
}

/// L2TP over UDP: version 2 (RFC 2661 section 3.1), version 3 (RFC 3931 section 4.1.2.1).
#[inline(always)]
fn l2tp<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Option<()> {
    let [high, low] = frame.load(at)?;
    let flags = u16::from_be_bytes([high, low]);
    if flags & 0x800f == 3 && flags & 0x7ff0 == 0 {
        descent.go(Layer::L2tpV3, at.wrapping_add(4));
        return Some(());
    }
    if flags & 0x800f != 2 || flags & 0x34f0 != 0 {
        return None;
    }
    let mut behind = at.wrapping_add(6);
    if flags & 0x4000 != 0 {
        behind = behind.wrapping_add(2);
    }
    if flags & 0x0800 != 0 {
        behind = behind.wrapping_add(4);
    }
    if flags & 0x0200 != 0 {
        let [high, low] = frame.load(behind)?;
        let offset = u32::from(u16::from_be_bytes([high, low]));
        behind = behind.wrapping_add(2).wrapping_add(offset);
    }
    descent.go(Layer::Ppp, behind);
    Some(())
}

/// RFC 3931 section 4.1: a session, a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4. What the two peers agreed on
/// is not in the packet: the first place where Ethernet leads to IP is taken. Session 0 is for control messages.
#[inline(always)]
pub(super) fn session<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
    let is_data = frame.load(at).is_some_and(|session: [u8; 4]| session != [0; 4]);
    if is_data {
        let behind = at.wrapping_add(4);
        for before in [0, 4, 8, 12] {
            let inner = behind.wrapping_add(before);
            if leads_to_ip(frame, inner) {
                descent.go(Layer::Ethernet, inner);
                return Ok(());
            }
        }
    }
    // Over UDP its datagram may be none of L2TP's.
    Err(match descent.fallback {
        Some(_) => Verdict::NotIp,
        None => Verdict::OtherProtocol,
    })
}
