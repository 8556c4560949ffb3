//! GRE (RFC 2784, RFC 2890) and the ERSPAN headers that switches put behind it (draft-foschiano-erspan-03).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::Layer;
use super::domain::{Domain, Kind};
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

/// Transparent Ethernet bridging, where the low octet of the key is NVGRE's, which spreads load (RFC 7637 section 3.2).
const BRIDGED: u16 = 0x6558;

/// Opens the payload of IP protocol 47, and enters the domain of its key.
pub(super) fn open<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
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
    let ethertype = u16::from_be_bytes([protocol_hi, protocol_lo]);
    if flags & KEY != 0 {
        let at = if flags & CHECKSUM != 0 { 4 } else { 0 };
        let key = rest.get(at..).and_then(<[u8]>::first_chunk);
        let key = u32::from_be_bytes(*key.ok_or(Outcome::TunnelMalformed)?);
        domain.enter(Kind::Gre, if ethertype == BRIDGED { key >> 8 } else { key });
    }
    match ethertype {
        // The draft tells type I from type II by the sequence number: I has none, and no header of its own.
        ERSPAN if flags & SEQUENCE == 0 => Ok(Layer::Link(LinkType::Ethernet, inner)),
        ERSPAN => erspan_ii(inner, domain),
        ERSPAN_III => erspan_iii(inner, domain),
        ethertype => Ok(Layer::Typed(ethertype, inner)),
    }
}

/// Section 4.2 of the draft: eight bytes, version 1.
fn erspan_ii<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    let (&[first, second, ..], inner) = bytes.split_first_chunk::<8>().ok_or(Outcome::TunnelMalformed)?;
    if first >> 4 != 1 {
        return Err(Outcome::TunnelMalformed);
    }
    enter_vlan(first, second, domain);
    Ok(Layer::Link(LinkType::Ethernet, inner))
}

/// Section 4.3 of the draft: twelve bytes, version 2, and eight more where the O bit says so.
fn erspan_iii<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<12>().ok_or(Outcome::TunnelMalformed)?;
    let [first, second, _, _, _, _, _, _, _, _, kind, last] = *header;
    if first >> 4 != 2 {
        return Err(Outcome::TunnelMalformed);
    }
    enter_vlan(first, second, domain);
    let subheader = if last & 1 == 0 { 0 } else { 8 };
    let inner = rest.get(subheader..).ok_or(Outcome::TunnelMalformed)?;
    // FT, the frame type: 0 for Ethernet, 2 for a bare IP packet.
    match (kind >> 2) & 0x1f {
        2 => Ok(Layer::Link(LinkType::Raw, inner)),
        _ => Ok(Layer::Link(LinkType::Ethernet, inner)),
    }
}

/// The VLAN a frame was in, which its own tag need not say any more. The session behind it is of the mirror and not of what
/// is mirrored: pieces of one datagram may come by two.
const fn enter_vlan(first: u8, second: u8, domain: &mut Domain) {
    domain.enter(Kind::Vlan, u32::from_be_bytes([0, 0, first & 0x0f, second]));
}
