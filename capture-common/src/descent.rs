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

mod tunnel;

use crate::classify::{Place, Tables, by_flags, tunnel_port, wanted_for};
use crate::headers::{
    self as headers, Bytes, Datagram, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TAGS, Found, Ports, TCP, UDP, ipv4,
    ipv6, ports, tunnel_in_ip,
};
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
    /// The datagram that `verdict` or `fallback` is about.
    pub(crate) place: Place,
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
            place: Place::NONE,
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
        descent.place = Place::of(ports);
        descent
    }

    #[inline(always)]
    pub(super) fn go(&mut self, layer: Layer, at: u32) {
        self.layer = layer;
        self.at = at;
    }

    #[inline(always)]
    pub(super) fn typed(&mut self, ethertype: [u8; 2], at: u32) {
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
                tunnel::under_labels(frame, descent, behind)?;
            }
        }
        Layer::Pppoe => match frame.load(at).ok_or(Verdict::LinkMalformed)? {
            [0x11, 0] => descent.go(Layer::Ppp, at.wrapping_add(6)),
            _ => return Err(Verdict::NotIp),
        },
        Layer::Ppp => tunnel::ppp(frame, descent, at)?,
        Layer::Gre => tunnel::gre(frame, descent, at, tables)?,
        Layer::Datagram => tunnel::datagram(frame, descent, at).ok_or(Verdict::NotIp)?,
        Layer::GtpExtension => tunnel::gtp_extension(frame, descent, at).ok_or(Verdict::NotIp)?,
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
        Layer::L2tpV3 => tunnel::session(frame, descent, at)?,
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
    descent.place = Place::of(ports);
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
    } else if ETHERTYPE_TAGS.contains(&ethertype) {
        let [_, _, high, low] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
        descent.typed([high, low], at.wrapping_add(4));
    } else if ethertype == ETHERTYPE_BRIDGED {
        descent.go(Layer::Ethernet, at);
    } else {
        descent.go(headers::tunnel(ethertype, tables.tunnels()).ok_or(Verdict::NotIp)?, at);
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
        let at_ports = ports(frame, descent.ip_at, at, next, Datagram::NONE)?;
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
