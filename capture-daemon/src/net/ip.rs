//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::fragments::{Datagram, Fragment};
use super::{Domain, Endpoint, Layer};
use crate::outcome::Outcome;

/// What an IP packet carries: padding of the link cut off, extension headers passed.
pub(super) struct Payload<'a> {
    /// Source address, port 0.
    pub src: Endpoint,
    /// Destination address, port 0.
    pub dst: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
    /// Bytes that the header announces beyond those.
    pub missing: usize,
}

/// More fragments, or an offset: everything of the field but "don't fragment" and the reserved bit.
const V4_FRAGMENT: u16 = 0x3fff;

/// Opens an IPv4 packet.
#[inline(always)]
pub(super) fn v4(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let header = bytes.first_chunk::<20>().ok_or(Outcome::IpMalformed)?;
    let [
        first,
        _,
        len_hi,
        len_lo,
        _,
        _,
        frag_hi,
        frag_lo,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    let addresses = u64::from_be_bytes(addresses);
    let header_len = usize::from(first & 0x0f).saturating_mul(4);
    if first >> 4 != 4 || header_len < 20 {
        return Err(Outcome::IpMalformed);
    }
    let total = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    // Zero is what the kernel writes into a packet it joined or has not yet split, longer than the field can say
    // (net/ipv4/tcp_offload.c, "BIG TCP"): the packet ends where the frame does.
    let total = if total == 0 { bytes.len() } else { total };
    if total < header_len {
        return Err(Outcome::IpMalformed);
    }
    if u16::from_be_bytes([frag_hi, frag_lo]) & V4_FRAGMENT != 0 {
        return Ok(Layer::Ipv4Fragment(bytes));
    }
    let whole = bytes.get(..total).unwrap_or(bytes);
    Ok(Layer::Transport(Payload {
        src: Endpoint::v4(((addresses >> 32) as u32).to_be_bytes(), 0),
        dst: Endpoint::v4((addresses as u32).to_be_bytes(), 0),
        protocol,
        bytes: whole.get(header_len..).ok_or(Outcome::IpMalformed)?,
        missing: total.saturating_sub(bytes.len()),
    }))
}

/// Extension headers passed before a packet is given up. RFC 8200 section 4.1 knows seven, once each.
const MAX_EXTENSIONS: usize = 8;
/// Header of a fragment (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;

/// Opens an IPv6 packet and its chain of extension headers.
pub(super) fn v6(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let fixed = Fixed::read(bytes)?;
    let (protocol, rest) = chain(fixed.next, fixed.rest)?;
    if protocol == FRAGMENT {
        return Ok(Layer::Ipv6Fragment(bytes));
    }
    Ok(Layer::Transport(Payload {
        src: fixed.src,
        dst: fixed.dst,
        protocol,
        bytes: rest,
        missing: fixed.missing,
    }))
}

/// The fixed header of an IPv6 packet (RFC 8200 section 3), and what follows it.
struct Fixed<'a> {
    src: Endpoint,
    dst: Endpoint,
    next: u8,
    rest: &'a [u8],
    /// Bytes that the header announces beyond those.
    missing: usize,
}

impl<'a> Fixed<'a> {
    #[inline]
    fn read(bytes: &'a [u8]) -> Result<Self, Outcome> {
        let (header, rest) = bytes.split_first_chunk::<40>().ok_or(Outcome::IpMalformed)?;
        let [first, _, _, _, len_hi, len_lo, next, _, addresses @ ..] = *header;
        if first >> 4 != 6 {
            return Err(Outcome::IpMalformed);
        }
        let (Some(src), Some(dst)) = (addresses.first_chunk::<16>(), addresses.last_chunk::<16>()) else {
            return Err(Outcome::IpMalformed);
        };
        let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
        // Zero: a jumbogram (RFC 2675) or, as above, a packet of the kernel's own making.
        let len = if len == 0 { rest.len() } else { len };
        Ok(Self {
            src: Endpoint::v6(*src, 0),
            dst: Endpoint::v6(*dst, 0),
            next,
            missing: len.saturating_sub(rest.len()),
            rest: rest.get(..len).unwrap_or(rest),
        })
    }
}

/// Passes extension headers: to the transport, or to the header of a fragment.
#[inline]
fn chain(mut next: u8, mut rest: &[u8]) -> Result<(u8, &[u8]), Outcome> {
    for _ in 0..MAX_EXTENSIONS {
        let size = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6: length in 8-byte units beyond the first.
            0 | 43 | 60 | 135 | 139 | 140 => {
                let len = *rest.get(1).ok_or(Outcome::IpMalformed)?;
                usize::from(len).saturating_add(1).saturating_mul(8)
            }
            // Authentication header: 4-byte units, less two (RFC 4302 section 2.2).
            51 => {
                let len = *rest.get(1).ok_or(Outcome::IpMalformed)?;
                usize::from(len).saturating_add(2).saturating_mul(4)
            }
            // With no offset and nothing to follow the packet is whole (RFC 6946).
            FRAGMENT => {
                let [_, _, hi, lo, ..] = *rest.first_chunk::<8>().ok_or(Outcome::IpMalformed)?;
                if u16::from_be_bytes([hi, lo]) & 0xfff9 != 0 {
                    return Ok((FRAGMENT, rest));
                }
                8
            }
            protocol => return Ok((protocol, rest)),
        };
        next = *rest.first().ok_or(Outcome::IpMalformed)?;
        rest = rest.get(size..).ok_or(Outcome::IpMalformed)?;
    }
    Err(Outcome::IpMalformed)
}

/// Reads the fragment that [`v4`] found a packet to be.
pub(super) fn v4_fragment(bytes: &[u8]) -> Result<Fragment<'_>, Outcome> {
    let header = bytes.first_chunk::<20>().ok_or(Outcome::IpMalformed)?;
    let [
        first,
        _,
        len_hi,
        len_lo,
        id_hi,
        id_lo,
        frag_hi,
        frag_lo,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    let [s0, s1, s2, s3, dst @ ..] = addresses;
    let header_len = usize::from(first & 0x0f).saturating_mul(4);
    let total = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    let total = if total == 0 { bytes.len() } else { total };
    let field = u16::from_be_bytes([frag_hi, frag_lo]);
    let more = field & 0x2000 != 0;
    let len = total.checked_sub(header_len).ok_or(Outcome::IpMalformed)?;
    // All but the last are multiples of eight bytes; Linux too cuts off what is not (ip_frag_queue in
    // net/ipv4/ip_fragment.c).
    let len = if more { len & !7 } else { len };
    let rest = bytes.get(header_len..).ok_or(Outcome::IpMalformed)?;
    fragment(
        Datagram {
            src: Endpoint::v4([s0, s1, s2, s3], 0),
            dst: Endpoint::v4(dst, 0),
            id: u16::from_be_bytes([id_hi, id_lo]).into(),
            protocol: Some(protocol),
            domain: Domain::default(),
        },
        protocol,
        (field & 0x1fff).checked_mul(8).ok_or(Outcome::IpMalformed)?,
        more,
        (rest, len),
    )
}

/// Reads the fragment that [`v6`] found a packet to be (RFC 8200 section 4.5).
pub(super) fn v6_fragment(bytes: &[u8]) -> Result<Fragment<'_>, Outcome> {
    let fixed = Fixed::read(bytes)?;
    let (_, header) = chain(fixed.next, fixed.rest)?;
    let (header, rest) = header.split_first_chunk::<8>().ok_or(Outcome::IpMalformed)?;
    let [protocol, _, hi, lo, id @ ..] = *header;
    let field = u16::from_be_bytes([hi, lo]);
    let more = field & 1 != 0;
    // Where the capture cut the packet, its own length is not needed: whatever is more than there is.
    let len = rest.len().saturating_add(fixed.missing.min(1));
    if more && fixed.missing == 0 && len & 7 != 0 {
        return Err(Outcome::IpMalformed);
    }
    fragment(
        Datagram {
            src: fixed.src,
            dst: fixed.dst,
            id: u32::from_be_bytes(id),
            protocol: None,
            domain: Domain::default(),
        },
        protocol,
        field & 0xfff8,
        more,
        (rest, len),
    )
}

/// A fragment of `len` bytes that begins `rest`.
fn fragment(
    datagram: Datagram,
    protocol: u8,
    offset: u16,
    more: bool,
    (rest, len): (&[u8], usize),
) -> Result<Fragment<'_>, Outcome> {
    // Of nothing, or beyond the longest packet: the "ping of death".
    if len == 0 || usize::from(offset).saturating_add(len) > usize::from(u16::MAX) {
        return Err(Outcome::IpMalformed);
    }
    Ok(Fragment {
        datagram,
        protocol,
        offset,
        last: !more,
        bytes: rest.get(..len).unwrap_or(rest),
        cut: len > rest.len(),
    })
}

/// Opens what was put together from fragments.
pub(super) fn whole<'a>(datagram: &Datagram, protocol: u8, bytes: &'a [u8]) -> Result<Payload<'a>, Outcome> {
    let (protocol, bytes) = match datagram.protocol {
        Some(protocol) => (protocol, bytes),
        // What was cut may begin with more extension headers, but none of a fragment.
        None => match chain(protocol, bytes)? {
            (FRAGMENT, _) => return Err(Outcome::IpMalformed),
            found => found,
        },
    };
    Ok(Payload {
        src: datagram.src,
        dst: datagram.dst,
        protocol,
        bytes,
        missing: 0,
    })
}

/// Whether bytes that are guessed to be an IP packet say so themselves: IPv4 by its checksum (RFC 791 section 3.1), IPv6,
/// which has none, by a length that is the one there is.
pub(super) fn is_consistent(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(first @ 0x45..=0x4f) => {
            let header = bytes
                .get(..usize::from(first & 0x0f).saturating_mul(4))
                .unwrap_or_default();
            let (words, _) = header.as_chunks::<2>();
            let sum = words
                .iter()
                .map(|word| u32::from(u16::from_be_bytes(*word)))
                .sum::<u32>();
            // At most 30 words: the carries of one addition are added once (RFC 1071).
            !words.is_empty() && (sum & 0xffff).saturating_add(sum >> 16) == 0xffff
        }
        Some(0x60..=0x6f) => match *bytes {
            [_, _, _, _, hi, lo, ref rest @ ..] => {
                rest.len() == usize::from(u16::from_be_bytes([hi, lo])).saturating_add(34)
            }
            _ => false,
        },
        _ => false,
    }
}
