//! The walk from the Ethernet header to the ports. It runs in the kernel program and is tested here on the host.
//!
//! A total function: every length comes from the frame, so every byte is asked for, and no answer is an answer. The
//! functions are `inline(always)` because BPF calls take five registers and no structures.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use crate::classify::FragmentKey;
use crate::verdict::Verdict;

/// A frame whose bytes can be asked for.
pub trait Bytes {
    /// The `N` bytes from `at` on, or `None` where the frame ends before.
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]>;
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

/// VLAN tags that are followed: 802.1Q, or two of QinQ.
pub const MAX_TAGS: u32 = 2;
/// IPv6 extension headers that are followed: all that RFC 8200 section 4.1 lists before the upper layer, and with ESP
/// the upper layer would not be seen. Each more doubles what the kernel's verifier has to look at.
pub const MAX_EXTENSIONS: u32 = 6;

const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad.
const ETHERTYPE_TAGS: [u16; 2] = [0x8100, 0x88a8];

/// What the headers lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The ports of a datagram or segment.
    Ports(Ports),
    /// A later fragment, which has none.
    Later(Datagram),
}

/// The ports of a UDP datagram or a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Whether the protocol is UDP; TCP otherwise.
    pub udp: bool,
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The datagram, where this frame is only its first fragment.
    pub first_of: Option<Datagram>,
}

/// A fragmented datagram: what its key is made of, without the addresses, which stay in the frame until the key is
/// needed. A BPF program has 512 bytes of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where the IP header begins.
    at: u32,
    /// Identification.
    id: u32,
    /// IPv4's protocol, or 0 for IPv6, where it is no part of the key.
    protocol: u8,
}

impl Datagram {
    /// The key of the datagram's fragments.
    #[inline(always)]
    pub fn key<B: Bytes + ?Sized>(&self, frame: &B) -> Option<FragmentKey> {
        let (source, destination) = if self.protocol == 0 {
            (
                frame.load(self.at.wrapping_add(8))?,
                frame.load(self.at.wrapping_add(24))?,
            )
        } else {
            (
                mapped(frame.load(self.at.wrapping_add(12))?),
                mapped(frame.load(self.at.wrapping_add(16))?),
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

/// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
#[inline(always)]
const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Follows the headers to the ports.
///
/// # Errors
/// The verdict of a frame without ports.
#[inline(always)]
pub fn walk<B: Bytes + ?Sized>(frame: &B) -> Result<Found, Verdict> {
    let (ethertype, at) = link(frame)?;
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, at),
        ETHERTYPE_IPV6 => ipv6(frame, at),
        _ => Err(Verdict::NotIp),
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

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4<B: Bytes + ?Sized>(frame: &B, at: u32) -> Result<Found, Verdict> {
    let header: [u8; 20] = frame.load(at).ok_or(Verdict::IpMalformed)?;
    let header_len = u32::from(header[0] & 0x0f).wrapping_mul(4);
    let total_len = u32::from(u16::from_be_bytes([header[2], header[3]]));
    // A sender that leaves segmentation to its NIC may show 0; the frame's own length holds then.
    if header[0] >> 4 != 4 || header_len < 20 || (total_len != 0 && total_len < header_len) {
        return Err(Verdict::IpMalformed);
    }
    let protocol = header[9];
    if protocol != UDP && protocol != TCP {
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
    // A short frame is padded by Ethernet to 60 bytes: what is behind the datagram's end is no port.
    if total_len != 0 && total_len < header_len.wrapping_add(4) {
        return Err(Verdict::TransportMalformed);
    }
    let more = fragment & 0x2000 != 0;
    ports(frame, at.wrapping_add(header_len), protocol, more.then_some(datagram))
}

/// RFC 8200 sections 3 and 4.
#[inline(always)]
fn ipv6<B: Bytes + ?Sized>(frame: &B, at: u32) -> Result<Found, Verdict> {
    let header: [u8; 7] = frame.load(at).ok_or(Verdict::IpMalformed)?;
    if header[0] >> 4 != 6 {
        return Err(Verdict::IpMalformed);
    }
    let payload_len = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let mut next = header[6];
    // Bytes from the end of the fixed header.
    let mut depth = 0_u32;
    let mut first_of = None;
    for _ in 0..=MAX_EXTENSIONS {
        let here = at.wrapping_add(40).wrapping_add(depth);
        if next == UDP || next == TCP {
            // A length of 0 is a jumbogram's (RFC 2675) or one that the NIC was to fill in.
            if payload_len != 0 && payload_len < depth.wrapping_add(4) {
                return Err(Verdict::TransportMalformed);
            }
            return ports(frame, here, next, first_of);
        }
        if !is_extension(next) {
            return Err(Verdict::OtherProtocol);
        }
        let [following, units] = frame.load(here).ok_or(Verdict::IpMalformed)?;
        let units = u32::from(units);
        let mut length = units.wrapping_add(1).wrapping_mul(8);
        if next == AUTHENTICATION {
            // Units of 4 bytes after the first two (RFC 4302 section 2.2).
            length = units.wrapping_add(2).wrapping_mul(4);
        }
        if next == FRAGMENT {
            // RFC 8200 section 4.5. An atomic fragment (RFC 6946) is whole.
            let fragment: [u8; 6] = frame.load(here.wrapping_add(2)).ok_or(Verdict::IpMalformed)?;
            if first_of.is_some() {
                return Err(Verdict::IpMalformed);
            }
            let offset_and_more = u16::from_be_bytes([fragment[0], fragment[1]]);
            let datagram = Datagram {
                at,
                id: u32::from_be_bytes([fragment[2], fragment[3], fragment[4], fragment[5]]),
                protocol: 0,
            };
            if offset_and_more & 0xfff8 != 0 {
                return later_ipv6(following, datagram);
            }
            if offset_and_more & 1 != 0 {
                first_of = Some(datagram);
            }
            length = 8;
        }
        next = following;
        // Never cuts anything: six extension headers have at most 12,288 bytes. The kernel's verifier prunes paths whose
        // ranges are alike, and this makes them so.
        depth = depth.wrapping_add(length) & 0x7fff;
    }
    Err(Verdict::ExtensionDepth)
}

/// The extension headers that say where the next one begins: hop-by-hop, routing, fragment, authentication, destination
/// options (RFC 8200 section 4), mobility (RFC 6275), HIP (RFC 7401), Shim6 (RFC 5533).
#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | FRAGMENT | AUTHENTICATION | 60 | 135 | 139 | 140)
}

/// A later fragment shows only the first header of the part that was cut: UDP, TCP, or an extension header with either
/// of them still to come.
#[inline(always)]
fn later_ipv6(next: u8, datagram: Datagram) -> Result<Found, Verdict> {
    match next {
        UDP | TCP | 51 | 60 | 135 | 139 | 140 => Ok(Found::Later(datagram)),
        _ => Err(Verdict::OtherProtocol),
    }
}

/// UDP (RFC 768) and TCP (RFC 9293) begin alike.
#[inline(always)]
fn ports<B: Bytes + ?Sized>(frame: &B, at: u32, protocol: u8, first_of: Option<Datagram>) -> Result<Found, Verdict> {
    let bytes: [u8; 4] = frame.load(at).ok_or(Verdict::TransportMalformed)?;
    Ok(Found::Ports(Ports {
        udp: protocol == UDP,
        source: u16::from_be_bytes([bytes[0], bytes[1]]),
        destination: u16::from_be_bytes([bytes[2], bytes[3]]),
        first_of,
    }))
}
