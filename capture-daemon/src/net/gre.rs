//! GRE (RFC 2784, RFC 2890) and the ERSPAN headers that switches put behind it (draft-foschiano-erspan-03).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::Layer;
use crate::frame::LinkType;
use crate::outcome::Outcome;

/// Checksum and a reserved word follow.
const CHECKSUM: u16 = 0x8000;
/// RFC 1701's source route follows, of any length; RFC 2784 section 2.3 has such packets dropped.
const ROUTING: u16 = 0x4000;
/// A key follows.
const KEY: u16 = 0x2000;
/// A sequence number follows.
const SEQUENCE: u16 = 0x1000;
/// Version: 0, or 1 of PPTP (RFC 2637), whose header is another.
const VERSION: u16 = 0x0007;

/// ERSPAN I and II.
const ERSPAN: u16 = 0x88be;
/// ERSPAN III.
const ERSPAN_III: u16 = 0x22eb;

/// Opens the payload of IP protocol 47.
pub(super) fn open(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<4>().ok_or(Outcome::TunnelMalformed)?;
    let [flags_hi, flags_lo, protocol_hi, protocol_lo] = *header;
    let flags = u16::from_be_bytes([flags_hi, flags_lo]);
    if flags & (ROUTING | VERSION) != 0 {
        return Err(Outcome::OtherTransport);
    }
    let words = [CHECKSUM, KEY, SEQUENCE]
        .iter()
        .filter(|bit| flags & **bit != 0)
        .count();
    let inner = rest.get(words.saturating_mul(4)..).ok_or(Outcome::TunnelMalformed)?;
    match u16::from_be_bytes([protocol_hi, protocol_lo]) {
        // The draft tells type I from type II by the sequence number: I has none, and no header of its own.
        ERSPAN if flags & SEQUENCE == 0 => Ok(Layer::Link(LinkType::Ethernet, inner)),
        ERSPAN => erspan_ii(inner),
        ERSPAN_III => erspan_iii(inner),
        ethertype => Ok(Layer::Typed(ethertype, inner)),
    }
}

/// Section 4.2 of the draft: eight bytes, version 1.
fn erspan_ii(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let (&[first, ..], inner) = bytes.split_first_chunk::<8>().ok_or(Outcome::TunnelMalformed)?;
    if first >> 4 != 1 {
        return Err(Outcome::TunnelMalformed);
    }
    Ok(Layer::Link(LinkType::Ethernet, inner))
}

/// Section 4.3 of the draft: twelve bytes, version 2, and eight more where the O bit says so.
fn erspan_iii(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<12>().ok_or(Outcome::TunnelMalformed)?;
    let [first, _, _, _, _, _, _, _, _, _, kind, last] = *header;
    if first >> 4 != 2 {
        return Err(Outcome::TunnelMalformed);
    }
    let subheader = if last & 1 == 0 { 0 } else { 8 };
    let inner = rest.get(subheader..).ok_or(Outcome::TunnelMalformed)?;
    // FT, the frame type: 0 for Ethernet, 2 for a bare IP packet.
    match (kind >> 2) & 0x1f {
        2 => Ok(Layer::Link(LinkType::Raw, inner)),
        _ => Ok(Layer::Link(LinkType::Ethernet, inner)),
    }
}
