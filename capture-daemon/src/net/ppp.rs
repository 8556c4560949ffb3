//! PPP (RFC 1661) and its way over Ethernet (PPPoE, RFC 2516).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::Layer;
use super::domain::{Domain, Kind};
use crate::outcome::Outcome;

/// Opens a PPPoE session frame (RFC 2516 section 4): version and type 1, code 0.
pub(super) fn over_ethernet<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    let (header, rest) = bytes.split_first_chunk::<6>().ok_or(Outcome::LinkShort)?;
    let [0x11, 0, session_hi, session_lo, len_hi, len_lo] = *header else {
        return Err(Outcome::NotIp);
    };
    domain.enter(Kind::Pppoe, u16::from_be_bytes([session_hi, session_lo]).into());
    let len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    open(rest.get(..len).unwrap_or(rest))
}

/// Opens a PPP frame, with or without the address and control fields of RFC 1662 section 3.1.
pub(super) fn open(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
    let (protocol, inner) = match *bytes {
        // Compressed (RFC 1661 section 6.5): the first of two bytes is even, the last odd.
        [low, ref inner @ ..] if low & 1 != 0 => (u16::from(low), inner),
        [high, low, ref inner @ ..] => (u16::from_be_bytes([high, low]), inner),
        _ => return Err(Outcome::LinkShort),
    };
    match protocol {
        0x0021 => Ok(Layer::Ipv4(inner)),
        // RFC 5072.
        0x0057 => Ok(Layer::Ipv6(inner)),
        // RFC 3032 section 4.3.
        0x0281 | 0x0283 => Ok(Layer::Mpls(inner)),
        _ => Err(Outcome::NotIp),
    }
}
