//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::{Endpoint, Layer};
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
    /// Whether the header announces more bytes than were captured.
    pub cut: bool,
}

/// More fragments, or an offset: everything of the field but "don't fragment" and the reserved bit.
const V4_FRAGMENT: u16 = 0x3fff;

/// Opens an IPv4 packet.
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
    let [s0, s1, s2, s3, dst @ ..] = addresses;
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
        return Err(Outcome::Fragment);
    }
    let whole = bytes.get(..total).unwrap_or(bytes);
    Ok(Layer::Transport(Payload {
        src: Endpoint::v4([s0, s1, s2, s3], 0),
        dst: Endpoint::v4(dst, 0),
        protocol,
        bytes: whole.get(header_len..).ok_or(Outcome::IpMalformed)?,
        cut: total > bytes.len(),
    }))
}

/// Extension headers passed before a packet is given up. RFC 8200 section 4.1 knows seven, once each.
const MAX_EXTENSIONS: usize = 8;

/// Opens an IPv6 packet and its chain of extension headers.
pub(super) fn v6(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<40>().ok_or(Outcome::IpMalformed)?;
    let [first, _, _, _, len_hi, len_lo, mut next, _, addresses @ ..] = *header;
    if first >> 4 != 6 {
        return Err(Outcome::IpMalformed);
    }
    let (Some(src), Some(dst)) = (addresses.first_chunk::<16>(), addresses.last_chunk::<16>()) else {
        return Err(Outcome::IpMalformed);
    };
    let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    // Zero: a jumbogram (RFC 2675) or, as above, a packet of the kernel's own making.
    let len = if len == 0 { rest.len() } else { len };
    let cut = len > rest.len();
    let mut rest = rest.get(..len).unwrap_or(rest);
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
            // Fragment header. With no offset and nothing to follow the packet is whole (RFC 6946).
            44 => {
                let [_, _, hi, lo, ..] = *rest.first_chunk::<8>().ok_or(Outcome::IpMalformed)?;
                if u16::from_be_bytes([hi, lo]) & 0xfff9 != 0 {
                    return Err(Outcome::Fragment);
                }
                8
            }
            protocol => {
                return Ok(Layer::Transport(Payload {
                    src: Endpoint::v6(*src, 0),
                    dst: Endpoint::v6(*dst, 0),
                    protocol,
                    bytes: rest,
                    cut,
                }));
            }
        };
        next = *rest.first().ok_or(Outcome::IpMalformed)?;
        rest = rest.get(size..).ok_or(Outcome::IpMalformed)?;
    }
    Err(Outcome::IpMalformed)
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
