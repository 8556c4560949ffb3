//! Where the headers of a plain datagram or segment stand in an Ethernet frame, and its checksum: what a host leaves to its
//! network interface to finish.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: frames are whatever was sent"
)]

use capture_common::headers::{TCP, UDP};
use capture_common::tunnels::Tunnel;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes of a VLAN tag.
const TAG: usize = 4;
/// Tags that are passed.
const MAX_TAGS: usize = 3;
/// IPv6 extension headers that may stand before UDP or TCP in an unfragmented packet (RFC 8200 section 4.1): hop-by-hop,
/// routing, destination options.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
/// Those that are passed.
const MAX_EXTENSIONS: usize = 4;

/// A datagram of UDP or a segment of TCP, whole and in no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transport {
    /// Where the IP header begins.
    pub ip: usize,
    /// Whether it is IPv6's.
    pub v6: bool,
    /// Where the header of UDP or TCP begins.
    pub header: usize,
    /// Whether it is UDP's.
    pub udp: bool,
    /// Where its payload begins.
    pub payload: usize,
    /// Where the IP packet ends; behind it Ethernet may have filled up.
    pub end: usize,
}

/// Two bytes from `at` on.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Transport {
    /// Finds the headers in the first bytes of a frame of `wire_len`.
    pub fn find(frame: &[u8], wire_len: usize) -> Option<Self> {
        let mut at = ETHERNET;
        let mut ethertype = word(frame, 12)?;
        for _ in 0..MAX_TAGS {
            if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
                break;
            }
            ethertype = word(frame, at.checked_add(2)?)?;
            at = at.checked_add(TAG)?;
        }
        let (v6, header, protocol, end) = match ethertype {
            0x0800 => ipv4(frame, at)?,
            0x86dd => ipv6(frame, at)?,
            _ => return None,
        };
        // Without a length of its own (BIG TCP) the packet ends with the frame.
        let end = end.unwrap_or(wire_len).min(wire_len);
        let udp = protocol == UDP;
        let payload = if udp {
            header.checked_add(8)?
        } else {
            let words = usize::from(frame.get(header.checked_add(12)?)? >> 4);
            header.checked_add(words.checked_mul(4).filter(|len| *len >= 20)?)?
        };
        let whole = payload <= end && payload <= frame.len();
        whole.then_some(Self {
            ip: at,
            v6,
            header,
            udp,
            payload,
            end,
        })
    }

    /// Whether a port says that there are packets of another network inside.
    pub fn is_tunnel(&self, frame: &[u8]) -> bool {
        let at = |offset: usize| self.header.checked_add(offset).and_then(|at| word(frame, at));
        let ports = [at(0), at(2)];
        self.udp
            && Tunnel::ALL
                .iter()
                .any(|tunnel| tunnel.port().is_some() && ports.contains(&tunnel.port()))
    }

    /// Where the checksum stands.
    pub fn checksum_at(&self) -> usize {
        self.header.saturating_add(if self.udp { 6 } else { 16 })
    }

    /// The sum over the pseudo header (RFC 768, RFC 9293 section 3.1, RFC 8200 section 8.1).
    pub fn pseudo_sum(&self, frame: &[u8]) -> Option<u64> {
        let (from, to) = if self.v6 { (8, 40) } else { (12, 20) };
        let addresses = frame.get(self.ip.checked_add(from)?..self.ip.checked_add(to)?)?;
        let length = self.end.checked_sub(self.header)? as u64;
        let protocol = u64::from(if self.udp { UDP } else { TCP });
        Some(
            sum(addresses)
                .wrapping_add(protocol)
                .wrapping_add(length >> 16)
                .wrapping_add(length & 0xffff),
        )
    }

    /// Whether the sender left the checksum to its network interface: the pseudo header's sum stands in its place, not
    /// complemented (CHECKSUM_PARTIAL, Documentation/networking/checksum-offloads.rst). One finished checksum in 65,536 looks
    /// the same; made again, it is what it was.
    pub fn is_partial(&self, frame: &[u8]) -> bool {
        let field = word(frame, self.checksum_at());
        field.is_some_and(|field| field != 0 && self.pseudo_sum(frame).is_some_and(|pseudo| fold(pseudo) == field))
    }

    /// Finishes the checksum of a packet that is all there. None is left out where UDP over IPv4 has none.
    pub fn finish(&self, frame: &mut [u8]) -> Option<()> {
        let at = self.checksum_at();
        let pseudo = self.pseudo_sum(frame)?;
        put(frame, at, 0)?;
        let content = sum(frame.get(self.header..self.end)?);
        let made = match !fold(pseudo.wrapping_add(content)) {
            // 0 would say that there is none (RFC 768).
            0 if self.udp => 0xffff,
            made => made,
        };
        put(frame, at, made)
    }

    /// Makes the checksum of the IPv4 header (RFC 791 section 3.1).
    pub fn finish_ipv4(&self, frame: &mut [u8]) -> Option<()> {
        let at = self.ip.checked_add(10)?;
        put(frame, at, 0)?;
        let made = !fold(sum(frame.get(self.ip..self.header)?));
        put(frame, at, made)
    }
}

/// Header length, protocol and end of an IPv4 packet that is no fragment.
fn ipv4(frame: &[u8], at: usize) -> Option<(bool, usize, u8, Option<usize>)> {
    let header: &[u8; 20] = frame.get(at..)?.first_chunk()?;
    let len = usize::from(header[0] & 0x0f).checked_mul(4)?;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
    let protocol = header[9];
    if header[0] >> 4 != 4 || len < 20 || fragment != 0 || !matches!(protocol, UDP | TCP) {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let end = if total == 0 { None } else { at.checked_add(total) };
    Some((false, at.checked_add(len)?, protocol, end))
}

/// The same of an IPv6 packet.
fn ipv6(frame: &[u8], at: usize) -> Option<(bool, usize, u8, Option<usize>)> {
    let header: &[u8; 40] = frame.get(at..)?.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let mut next = header[6];
    let mut behind = at.checked_add(40)?;
    let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let end = if payload == 0 {
        None
    } else {
        behind.checked_add(payload)
    };
    for _ in 0..MAX_EXTENSIONS {
        if !EXTENSIONS.contains(&next) {
            break;
        }
        let [following, len] = *frame.get(behind..)?.first_chunk()?;
        next = following;
        behind = behind.checked_add(usize::from(len).checked_add(1)?.checked_mul(8)?)?;
    }
    matches!(next, UDP | TCP).then_some((true, behind, next, end))
}

/// Writes two bytes.
pub(super) fn put(frame: &mut [u8], at: usize, value: u16) -> Option<()> {
    *frame.get_mut(at..)?.first_chunk_mut()? = value.to_be_bytes();
    Some(())
}

/// The sum of 16-bit words (RFC 1071), unfolded.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let whole = pairs
        .iter()
        .fold(0_u64, |sum, pair| sum.wrapping_add(u16::from_be_bytes(*pair).into()));
    whole.wrapping_add(rest.first().map_or(0, |byte| u64::from(*byte) << 8))
}

/// Folds a sum to 16 bits, in ones' complement.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    // Just made to fit.
    sum as u16
}
