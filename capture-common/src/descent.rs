//! The way down through tunnels and IPv6 extension headers, one header at a step.
//!
//! All that is known between two steps stands in [`Descent`], so that the kernel program can take the steps in a loop of
//! the kernel's (`bpf_loop`), whose body the verifier follows once and not once for each way that leads there.
//!
//! The readings are those of the daemon's decoder. Where the decoder guesses from more than a glance (what is under an
//! MPLS stack, how long L2TPv3's cookie is), a frame in doubt is captured.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use crate::classify::{Tables, by_flags, tunnel_port, wanted_for};
use crate::headers::{
    Bytes, Datagram, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TAGS, Found, Ports, TCP, UDP, ipv4, ipv6, ports, tunnel,
    tunnel_in_ip,
};
use crate::tunnels::{GENEVE_PORT, GTP_U_PORT, TZSP_PORT, Tunnel, VXLAN_PORT};
use crate::verdict::Verdict;

/// Headers that are passed. Five tunnels one in the other have room; more is an attack.
pub const MAX_STEPS: u32 = 48;

/// IPv6 extension headers that are followed: all that RFC 8200 section 4.1 lists before the upper layer; with ESP
/// the upper layer would not be seen.
pub const MAX_EXTENSIONS: u8 = 6;

/// Headers begin before this byte. No frame that is captured whole is longer.
const FARTHEST: u32 = 0x3fff;

const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// Ethernet in GRE (RFC 7637 section 3.2) or GENEVE (RFC 8926 section 3.4).
const ETHERTYPE_BRIDGED: u16 = 0x6558;
/// ERSPAN I and II; III.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
/// Service tag of switches older than 802.1ad.
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;

/// What stands where the descent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// An Ethernet frame.
    Ethernet,
    /// What an EtherType announces.
    Typed,
    /// An IPv4 or IPv6 packet, by its version.
    Raw,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// An IPv6 extension header.
    Extension,
    /// An MPLS label.
    Mpls,
    /// A PPPoE session frame.
    Pppoe,
    /// A PPP frame.
    Ppp,
    /// A GRE header.
    Gre,
    /// What a UDP datagram on a tunnel's port carries.
    Datagram,
    /// An extension header of GTP-U.
    GtpExtension,
    /// Its last byte: the type of the next. A step of its own, so that the kernel's verifier need not see that a header's
    /// length is not zero.
    GtpExtensionEnd,
    /// A tag of TZSP.
    TzspTag,
    /// L2TP version 3, from the session on.
    L2tpV3,
}

/// A frame on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descent {
    /// Where the next header begins.
    at: u32,
    /// Where the current IPv6 header begins.
    ip_at: u32,
    /// EtherType, or port of the datagram.
    number: u16,
    /// Payload length of the current IPv6 header.
    payload_len: u16,
    /// Type of the next extension header.
    next: u8,
    /// Extension headers of the current IPv6 header so far.
    extensions: u8,
    layer: Layer,
    /// What the ports of the innermost datagram on a tunnel's port say: a port does not make a tunnel.
    fallback: Option<Verdict>,
    /// The datagram whose first fragment this is.
    pub(crate) first_of: Datagram,
    /// The same of the packet around that.
    pub(crate) outer_first_of: Datagram,
    /// The datagram whose later fragment ended the descent.
    pub(crate) later_of: Datagram,
    /// What the descent ended with, if not with a later fragment.
    pub(crate) verdict: Option<Verdict>,
}

impl Descent {
    #[inline(always)]
    pub(crate) const fn new(layer: Layer, at: u32) -> Self {
        Self {
            at,
            ip_at: 0,
            number: 0,
            payload_len: 0,
            next: 0,
            extensions: 0,
            layer,
            fallback: None,
            first_of: Datagram::NONE,
            outer_first_of: Datagram::NONE,
            later_of: Datagram::NONE,
            verdict: None,
        }
    }

    #[inline(always)]
    pub(crate) const fn first_of(mut self, datagram: Datagram) -> Self {
        self.first_of = datagram;
        self
    }

    /// At the first extension header of the IPv6 header that stands at `ip_at`.
    #[inline(always)]
    pub(crate) const fn chain(ip_at: u32, next: u8, payload_len: u16) -> Self {
        let mut descent = Self::new(Layer::Extension, ip_at.wrapping_add(40));
        descent.ip_at = ip_at;
        descent.next = next;
        descent.payload_len = payload_len;
        descent
    }

    /// Inside a datagram that its ports say is a tunnel's.
    #[inline(always)]
    pub(crate) fn datagram(port: u16, ports: &Ports, fallback: Verdict) -> Self {
        let mut descent = Self::new(Layer::Datagram, ports.at.wrapping_add(8));
        descent.number = port;
        descent.fallback = Some(fallback);
        descent.first_of = ports.first_of;
        descent
    }

    #[inline(always)]
    fn go(&mut self, layer: Layer, at: u32) {
        self.layer = layer;
        self.at = at;
    }

    #[inline(always)]
    fn typed(&mut self, ethertype: [u8; 2], at: u32) {
        self.number = u16::from_be_bytes(ethertype);
        self.go(Layer::Typed, at);
    }

    /// Notes the first fragment that was just found. Of more than two, one in the other, the outermost are forgotten: the
    /// pieces of those are captured as unknown.
    #[inline(always)]
    fn note(&mut self, first_of: Datagram) {
        if first_of.is_some() {
            self.outer_first_of = self.first_of;
            self.first_of = first_of;
        }
    }
}

/// Passes one header; says whether the descent has ended.
#[inline(always)]
pub fn step<B: Bytes + ?Sized, T: Tables>(frame: &B, descent: &mut Descent, tables: &T) -> bool {
    let at = descent.at;
    if at > FARTHEST {
        descent.verdict = Some(Verdict::TunnelUnclear);
        return true;
    }
    if let Err(verdict) = pass(frame, descent, at, tables) {
        // As in the decoder: what leads to no IP packet is the payload of the datagram.
        let is_no_tunnel = matches!(
            verdict,
            Verdict::NotIp | Verdict::LinkMalformed | Verdict::IpMalformed | Verdict::TunnelMalformed
        );
        descent.verdict = Some(match descent.fallback {
            Some(fallback) if is_no_tunnel => fallback,
            _ => verdict,
        });
    }
    descent.verdict.is_some() || descent.later_of.is_some()
}

#[inline(always)]
fn pass<B: Bytes + ?Sized, T: Tables>(frame: &B, descent: &mut Descent, at: u32, tables: &T) -> Result<(), Verdict> {
    match descent.layer {
        Layer::Ethernet => {
            let ethertype = frame.load(at.wrapping_add(12)).ok_or(Verdict::LinkMalformed)?;
            descent.typed(ethertype, at.wrapping_add(14));
        }
        Layer::Typed => typed(frame, descent, at, tables)?,
        Layer::Raw => {
            let [first, _] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
            match first >> 4 {
                4 => descent.go(Layer::Ipv4, at),
                6 => descent.go(Layer::Ipv6, at),
                _ => return Err(Verdict::NotIp),
            }
        }
        Layer::Ipv4 => found(descent, ipv4(frame, at, tables.tunnels())?, tables),
        Layer::Ipv6 => found(descent, ipv6(frame, at, tables.tunnels())?, tables),
        Layer::Extension => extension(frame, descent, at, tables)?,
        Layer::Mpls => {
            let [_, _, low, _] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
            let behind = at.wrapping_add(4);
            // The S bit: bottom of the stack.
            if low & 1 == 0 {
                descent.go(Layer::Mpls, behind);
            } else {
                under_labels(frame, descent, behind)?;
            }
        }
        Layer::Pppoe => match frame.load(at).ok_or(Verdict::LinkMalformed)? {
            [0x11, 0] => descent.go(Layer::Ppp, at.wrapping_add(6)),
            _ => return Err(Verdict::NotIp),
        },
        Layer::Ppp => ppp(frame, descent, at)?,
        Layer::Gre => gre(frame, descent, at, tables)?,
        Layer::Datagram => datagram(frame, descent, at).ok_or(Verdict::NotIp)?,
        Layer::GtpExtension => gtp_extension(frame, descent, at).ok_or(Verdict::NotIp)?,
        Layer::GtpExtensionEnd => {
            let [next, _] = frame.load(at).ok_or(Verdict::NotIp)?;
            descent.next = next;
            descent.go(Layer::GtpExtension, at.wrapping_add(1));
        }
        Layer::TzspTag => match frame.load(at).ok_or(Verdict::NotIp)? {
            [0, _] => descent.go(Layer::TzspTag, at.wrapping_add(1)),
            [1, _] => descent.go(Layer::Ethernet, at.wrapping_add(1)),
            [_, len] => descent.go(Layer::TzspTag, at.wrapping_add(2).wrapping_add(len.into())),
        },
        Layer::L2tpV3 => session(frame, descent, at)?,
    }
    Ok(())
}

/// Takes what an IP header led to.
#[inline(always)]
fn found<T: Tables>(descent: &mut Descent, found: Found, tables: &T) {
    match found {
        Found::Ports(ports) => by_ports(descent, &ports, tables),
        Found::Later(datagram) => descent.later_of = datagram,
        Found::Deeper(next) => {
            descent.note(next.first_of);
            descent.ip_at = next.ip_at;
            descent.next = next.next;
            descent.payload_len = next.payload_len;
            descent.extensions = 0;
            descent.go(next.layer, next.at);
        }
    }
}

#[inline(always)]
fn by_ports<T: Tables>(descent: &mut Descent, ports: &Ports, tables: &T) {
    descent.note(ports.first_of);
    let flags = wanted_for(ports, tables);
    let verdict = by_flags(flags, ports.udp);
    match tunnel_port(flags, ports, tables) {
        Some(port) => {
            descent.fallback = Some(verdict);
            descent.number = port;
            descent.go(Layer::Datagram, ports.at.wrapping_add(8));
        }
        None => descent.verdict = Some(verdict),
    }
}

#[inline(always)]
fn typed<B: Bytes + ?Sized, T: Tables>(frame: &B, descent: &mut Descent, at: u32, tables: &T) -> Result<(), Verdict> {
    let ethertype = descent.number;
    if ethertype == ETHERTYPE_IPV4 {
        descent.go(Layer::Ipv4, at);
    } else if ethertype == ETHERTYPE_IPV6 {
        descent.go(Layer::Ipv6, at);
    } else if ETHERTYPE_TAGS.contains(&ethertype) || ethertype == ETHERTYPE_QINQ_OLD {
        let [_, _, high, low] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
        descent.typed([high, low], at.wrapping_add(4));
    } else if ethertype == ETHERTYPE_BRIDGED {
        descent.go(Layer::Ethernet, at);
    } else {
        descent.go(tunnel(ethertype, tables.tunnels()).ok_or(Verdict::NotIp)?, at);
    }
    Ok(())
}

/// The extension headers that say where the next one begins: hop-by-hop, routing, fragment, authentication, destination
/// options (RFC 8200 section 4), mobility (RFC 6275), HIP (RFC 7401), Shim6 (RFC 5533).
#[inline(always)]
pub(crate) const fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | FRAGMENT | AUTHENTICATION | 60 | 135 | 139 | 140)
}

/// RFC 8200 section 4.
#[inline(always)]
fn extension<B: Bytes + ?Sized, T: Tables>(
    frame: &B,
    descent: &mut Descent,
    at: u32,
    tables: &T,
) -> Result<(), Verdict> {
    let next = descent.next;
    if next == UDP || next == TCP {
        let depth = at.wrapping_sub(descent.ip_at).wrapping_sub(40);
        let payload_len = u32::from(descent.payload_len);
        if payload_len != 0 && payload_len < depth.wrapping_add(4) {
            return Err(Verdict::TransportMalformed);
        }
        let at_ports = ports(frame, at, next, Datagram::NONE)?;
        found(descent, at_ports, tables);
        return Ok(());
    }
    if !is_extension(next) {
        let layer = tunnel_in_ip(next, tables.tunnels()).ok_or(Verdict::OtherProtocol)?;
        descent.go(layer, at);
        return Ok(());
    }
    let [following, units] = frame.load(at).ok_or(Verdict::IpMalformed)?;
    let units = u32::from(units);
    let mut length = units.wrapping_add(1).wrapping_mul(8);
    if next == AUTHENTICATION {
        // Units of 4 bytes after the first two (RFC 4302 section 2.2).
        length = units.wrapping_add(2).wrapping_mul(4);
    }
    if next == FRAGMENT {
        length = 8;
        // RFC 8200 section 4.5. An atomic fragment (RFC 6946) is whole.
        let [high, low, i0, i1, i2, i3] = frame.load(at.wrapping_add(2)).ok_or(Verdict::IpMalformed)?;
        // A second one in the same chain.
        if descent.first_of.at == descent.ip_at {
            return Err(Verdict::IpMalformed);
        }
        let offset_and_more = u16::from_be_bytes([high, low]);
        let datagram = Datagram {
            at: descent.ip_at,
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            protocol: 0,
        };
        if offset_and_more & 0xfff8 != 0 {
            return later(descent, following, datagram, tables);
        }
        if offset_and_more & 1 != 0 {
            descent.note(datagram);
        }
    }
    descent.extensions = descent.extensions.wrapping_add(1);
    if descent.extensions > MAX_EXTENSIONS {
        return Err(Verdict::ExtensionDepth);
    }
    descent.next = following;
    descent.go(Layer::Extension, at.wrapping_add(length));
    Ok(())
}

/// A later fragment shows only the first header of the part that was cut: UDP, TCP, a tunnel, or an extension header
/// with one of them still to come.
#[inline(always)]
fn later<T: Tables>(descent: &mut Descent, next: u8, datagram: Datagram, tables: &T) -> Result<(), Verdict> {
    let may_be_wanted =
        matches!(next, UDP | TCP | 51 | 60 | 135 | 139 | 140) || tunnel_in_ip(next, tables.tunnels()).is_some();
    if !may_be_wanted {
        return Err(Verdict::OtherProtocol);
    }
    descent.later_of = datagram;
    Ok(())
}

/// IP, told by its version as routers do it (RFC 4928 section 2), or the Ethernet frame of a pseudowire (RFC 4448), with
/// a control word (RFC 4385 section 3: first four bits zero) or without. The first byte of a MAC address may look like each of
/// the others.
#[inline(always)]
fn under_labels<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
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
            0x8100 | 0x88a8 | ETHERTYPE_QINQ_OLD => at = at.wrapping_add(4),
            ETHERTYPE_IPV4 => return first >> 4 == 4 && first & 0x0f >= 5,
            ETHERTYPE_IPV6 => return first >> 4 == 6,
            _ => return false,
        }
    }
    false
}

/// RFC 1661, with or without the address and control fields of RFC 1662 section 3.1.
#[inline(always)]
fn ppp<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
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
fn gre<B: Bytes + ?Sized, T: Tables>(frame: &B, descent: &mut Descent, at: u32, tables: &T) -> Result<(), Verdict> {
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
fn datagram<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Option<()> {
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
fn gtp_extension<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Option<()> {
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
fn session<B: Bytes + ?Sized>(frame: &B, descent: &mut Descent, at: u32) -> Result<(), Verdict> {
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
