//! The walk from the Ethernet header to the ports, for frames that are nothing but Ethernet, tags, IP and UDP or TCP:
//! nearly all of them. What is deeper goes on in [`descent`]. It runs in the kernel program and is tested
//! here on the host.
//!
//! A total function: every length comes from the frame, so every byte is asked for, and no answer is an answer. The
//! functions are `inline(always)` because BPF calls take five registers and no structures.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use crate::classify::{FragmentKey, Tables};
use crate::descent::{self, Descent, Layer};
use crate::tunnels::{Tunnel, Tunnels};
use crate::verdict::Verdict;

/// A frame whose bytes can be asked for.
pub trait Bytes {
    /// The `N` bytes from `at` on, or `None` where the frame ends before. Two at least: of the comparison that a compiler
    /// makes for one, the kernel's verifier does not learn that the byte is there.
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]>;

    /// The two bytes from `at` on as a number.
    #[inline(always)]
    fn half(&self, at: u32) -> Option<u16> {
        self.load(at).map(u16::from_be_bytes)
    }

    /// Six words of four bytes from `at` on, each as a number.
    #[inline(always)]
    fn six_words(&self, at: u32) -> Option<[u32; 6]> {
        self.load::<24>(at).map(|bytes| words(&bytes))
    }

    /// Four words of four bytes from `at` on, each as a number.
    #[inline(always)]
    fn four_words(&self, at: u32) -> Option<[u32; 4]> {
        self.load::<16>(at).map(|bytes| words(&bytes))
    }

    /// Takes the steps of a descent. The kernel program has its own loop, whose body the verifier looks at once.
    #[inline]
    fn descend<T: Tables>(&self, descent: &mut Descent, tables: &T) {
        for _ in 0..descent::MAX_STEPS {
            if descent::step(self, descent, tables) {
                return;
            }
        }
    }
}

#[inline(always)]
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut numbers = [0; N];
    for (number, word) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_be_bytes(*word);
    }
    numbers
}

impl Bytes for [u8] {
    #[inline]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        self.get(at as usize..)?.first_chunk().copied()
    }
}

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const L2TPV3: u8 = 115;

/// VLAN tags that are followed on the frame itself: 802.1Q, or two of QinQ.
pub const MAX_TAGS: u32 = 2;

pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q, 802.1ad, and the service tag of switches older than that.
pub(crate) const ETHERTYPE_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// MPLS, unicast and multicast (RFC 5332 section 3).
pub(crate) const ETHERTYPE_MPLS: [u16; 2] = [0x8847, 0x8848];
/// PPPoE session (RFC 2516 section 4).
pub(crate) const ETHERTYPE_PPPOE: u16 = 0x8864;

/// What the headers lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The ports of a datagram or segment.
    Ports(Ports),
    /// A later fragment, which has none.
    Later(Datagram),
    /// More headers.
    Deeper(Descent),
}

/// The ports of a UDP datagram or a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where they stand.
    pub at: u32,
    /// Where the IP header begins whose payload they are in.
    pub ip_at: u32,
    /// Whether the protocol is UDP; TCP otherwise.
    pub udp: bool,
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The datagram, where this frame is only its first fragment.
    pub first_of: Datagram,
}

/// A fragmented datagram: what its key is made of, without the addresses, which stay in the frame until the key is
/// needed. A BPF program has 512 bytes of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where the IP header begins.
    pub(crate) at: u32,
    /// Identification.
    pub(crate) id: u32,
    /// IPv4's protocol, or 0 for IPv6, where it is no part of the key.
    pub(crate) protocol: u8,
}

impl Datagram {
    /// No datagram. A value like all others and no `Option`, whose unused bytes the kernel's verifier would find unset.
    pub const NONE: Self = Self {
        at: 0,
        id: 0,
        protocol: 0,
    };

    /// Whether there is one. No IP header begins where the frame does.
    #[inline(always)]
    pub const fn is_some(&self) -> bool {
        self.at != 0
    }

    /// The key of the datagram's fragments.
    #[inline(always)]
    pub fn key<B: Bytes + ?Sized>(&self, frame: &B) -> Option<FragmentKey> {
        // No header that was found begins beyond this; the kernel's verifier wants to see it.
        let at = self.at & 0x7fff;
        let (source, destination) = if self.protocol == 0 {
            (frame.load(at.wrapping_add(8))?, frame.load(at.wrapping_add(24))?)
        } else {
            (
                mapped(frame.load(at.wrapping_add(12))?),
                mapped(frame.load(at.wrapping_add(16))?),
            )
        };
        Some(FragmentKey {
            source,
            destination,
            id: self.id,
            protocol: self.protocol.into(),
        })
    }
}

/// Source and destination address of the IP header at `at`; IPv4's in their mapped form.
#[inline(always)]
pub(crate) fn addresses<B: Bytes + ?Sized>(frame: &B, at: u32) -> Option<([u8; 16], [u8; 16])> {
    let [first, _] = frame.load(at)?;
    if first >> 4 == 4 {
        let [s0, s1, s2, s3, d0, d1, d2, d3] = frame.load(at.wrapping_add(12))?;
        return Some((mapped([s0, s1, s2, s3]), mapped([d0, d1, d2, d3])));
    }
    Some((frame.load(at.wrapping_add(8))?, frame.load(at.wrapping_add(24))?))
}

/// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
#[inline(always)]
pub(crate) const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The ports of UDP or TCP in IPv6 without extension headers, behind one VLAN tag at most. Where it answers, [`walk`] answers the
/// same, for more instructions. Of IPv4 the ordinary frame is read by [`crate::Ordinary`].
#[inline(always)]
pub fn glance<B: Bytes + ?Sized>(frame: &B) -> Option<Ports> {
    let ethertype = frame.half(12)?;
    let at = if ethertype == ETHERTYPE_IPV6 {
        14
    } else if ETHERTYPE_TAGS.contains(&ethertype) && frame.half(16)? == ETHERTYPE_IPV6 {
        18
    } else {
        return None;
    };
    let header: [u8; 44] = frame.load(at)?;
    let payload_len = u16::from_be_bytes([header[4], header[5]]);
    let protocol = header[6];
    if header[0] >> 4 != 6 || (payload_len != 0 && payload_len < 4) || protocol != UDP && protocol != TCP {
        return None;
    }
    Some(Ports {
        at: at.wrapping_add(40),
        ip_at: at,
        udp: protocol == UDP,
        source: u16::from_be_bytes([header[40], header[41]]),
        destination: u16::from_be_bytes([header[42], header[43]]),
        first_of: Datagram::NONE,
    })
}

/// Follows the headers to the ports, or to the first that needs more than a glance.
///
/// # Errors
/// The verdict of a frame without ports.
#[inline(always)]
pub fn walk<B: Bytes + ?Sized>(frame: &B, tunnels: Tunnels) -> Result<Found, Verdict> {
    let (ethertype, at) = link(frame)?;
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, at, tunnels),
        ETHERTYPE_IPV6 => ipv6(frame, at, tunnels),
        _ => match tunnel(ethertype, tunnels) {
            Some(layer) => Ok(Found::Deeper(Descent::new(layer, at))),
            None => Err(Verdict::NotIp),
        },
    }
}

/// The EtherType behind all tags and where its payload begins.
#[inline(always)]
fn link<B: Bytes + ?Sized>(frame: &B) -> Result<(u16, u32), Verdict> {
    let [high, low] = frame.load(12).ok_or(Verdict::LinkMalformed)?;
    let mut ethertype = u16::from_be_bytes([high, low]);
    let mut at = 14_u32;
    for _ in 0..MAX_TAGS {
        if !ETHERTYPE_TAGS.contains(&ethertype) {
            return Ok((ethertype, at));
        }
        let [_, _, high, low] = frame.load(at).ok_or(Verdict::LinkMalformed)?;
        ethertype = u16::from_be_bytes([high, low]);
        at = at.wrapping_add(4);
    }
    if ETHERTYPE_TAGS.contains(&ethertype) {
        return Err(Verdict::VlanDepth);
    }
    Ok((ethertype, at))
}

/// The tunnel that an EtherType announces, if it is looked into.
#[inline(always)]
pub(crate) fn tunnel(ethertype: u16, tunnels: Tunnels) -> Option<Layer> {
    if ETHERTYPE_MPLS.contains(&ethertype) && tunnels.has(Tunnel::Mpls) {
        Some(Layer::Mpls)
    } else if ethertype == ETHERTYPE_PPPOE && tunnels.has(Tunnel::Pppoe) {
        Some(Layer::Pppoe)
    } else {
        None
    }
}

/// The tunnel that an IP protocol announces, if it is looked into.
#[inline(always)]
pub(crate) fn tunnel_in_ip(protocol: u8, tunnels: Tunnels) -> Option<Layer> {
    match protocol {
        IPV4 if tunnels.has(Tunnel::Ipip) => Some(Layer::Ipv4),
        IPV6 if tunnels.has(Tunnel::Ipip) => Some(Layer::Ipv6),
        GRE if tunnels.has(Tunnel::Gre) || tunnels.has(Tunnel::Erspan) => Some(Layer::Gre),
        L2TPV3 if tunnels.has(Tunnel::L2tp) => Some(Layer::L2tpV3),
        _ => None,
    }
}

/// RFC 791 section 3.1.
#[inline(always)]
pub(crate) fn ipv4<B: Bytes + ?Sized>(frame: &B, at: u32, tunnels: Tunnels) -> Result<Found, Verdict> {
    let header: [u8; 20] = frame.load(at).ok_or(Verdict::IpMalformed)?;
    let header_len = u32::from(header[0] & 0x0f).wrapping_mul(4);
    let total_len = u32::from(u16::from_be_bytes([header[2], header[3]]));
    // A sender that leaves segmentation to its NIC may show 0; the frame's own length holds then.
    if header[0] >> 4 != 4 || header_len < 20 || (total_len != 0 && total_len < header_len) {
        return Err(Verdict::IpMalformed);
    }
    let protocol = header[9];
    let inside = tunnel_in_ip(protocol, tunnels);
    if protocol != UDP && protocol != TCP && inside.is_none() {
        return Err(Verdict::OtherProtocol);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let datagram = Datagram {
        at,
        id: u16::from_be_bytes([header[4], header[5]]).into(),
        protocol,
    };
    if fragment & 0x1fff != 0 {
        return Ok(Found::Later(datagram));
    }
    let more = fragment & 0x2000 != 0;
    let first_of = if more { datagram } else { Datagram::NONE };
    let behind = at.wrapping_add(header_len);
    if let Some(layer) = inside {
        return Ok(Found::Deeper(Descent::new(layer, behind).first_of(first_of)));
    }
    // A short frame is padded by Ethernet to 60 bytes: what is behind the datagram's end is no port.
    if total_len != 0 && total_len < header_len.wrapping_add(4) {
        return Err(Verdict::TransportMalformed);
    }
    ports(frame, at, behind, protocol, first_of)
}

/// RFC 8200 section 3.
#[inline(always)]
pub(crate) fn ipv6<B: Bytes + ?Sized>(frame: &B, at: u32, tunnels: Tunnels) -> Result<Found, Verdict> {
    let header: [u8; 7] = frame.load(at).ok_or(Verdict::IpMalformed)?;
    if header[0] >> 4 != 6 {
        return Err(Verdict::IpMalformed);
    }
    let payload_len = u16::from_be_bytes([header[4], header[5]]);
    let next = header[6];
    let behind = at.wrapping_add(40);
    if next == UDP || next == TCP {
        // A length of 0 is a jumbogram's (RFC 2675) or one that the NIC was to fill in.
        if payload_len != 0 && payload_len < 4 {
            return Err(Verdict::TransportMalformed);
        }
        return ports(frame, at, behind, next, Datagram::NONE);
    }
    if descent::is_extension(next) {
        return Ok(Found::Deeper(Descent::chain(at, next, payload_len)));
    }
    match tunnel_in_ip(next, tunnels) {
        Some(layer) => Ok(Found::Deeper(Descent::new(layer, behind))),
        None => Err(Verdict::OtherProtocol),
    }
}

/// UDP (RFC 768) and TCP (RFC 9293) begin alike.
#[inline(always)]
pub(crate) fn ports<B: Bytes + ?Sized>(
    frame: &B,
    ip_at: u32,
    at: u32,
    protocol: u8,
    first_of: Datagram,
) -> Result<Found, Verdict> {
    let bytes: [u8; 4] = frame.load(at).ok_or(Verdict::TransportMalformed)?;
    Ok(Found::Ports(Ports {
        at,
        ip_at,
        udp: protocol == UDP,
        source: u16::from_be_bytes([bytes[0], bytes[1]]),
        destination: u16::from_be_bytes([bytes[2], bytes[3]]),
        first_of,
    }))
}
