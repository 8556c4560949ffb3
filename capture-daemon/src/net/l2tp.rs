//! L2TP data messages: version 2 (RFC 2661), version 3 over IP and over UDP (RFC 3931).
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::domain::{Domain, Kind};
use super::{Layer, link};
use crate::frame::LinkType;
use crate::outcome::Outcome;

/// A control message.
const TYPE: u16 = 0x8000;
/// A length follows.
const LENGTH: u16 = 0x4000;
/// Sequence numbers follow.
const SEQUENCE: u16 = 0x0800;
/// An offset follows.
const OFFSET: u16 = 0x0200;
/// Bits of a version 2 header that are reserved and zero (RFC 2661 section 3.1).
const RESERVED_V2: u16 = 0x34f0;
/// The same of version 3 over UDP (RFC 3931 section 4.1.2.1).
const RESERVED_V3: u16 = 0x7ff0;

/// Opens a datagram on L2TP's port, if it looks like a data message.
pub(super) fn over_udp<'a>(bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let (flags, rest) = bytes.split_first_chunk::<2>()?;
    let flags = u16::from_be_bytes(*flags);
    match flags & 0x000f {
        2 if flags & (TYPE | RESERVED_V2) == 0 => v2(flags, rest, domain),
        3 if flags & (TYPE | RESERVED_V3) == 0 => session(rest.get(2..)?, domain),
        _ => None,
    }
}

/// Opens the payload of IP protocol 115 (RFC 3931 section 4.1.1).
pub(super) fn over_ip<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    session(bytes, domain).ok_or(Outcome::OtherTransport)
}

/// RFC 2661 section 3.1, behind the flags.
fn v2<'a>(flags: u16, bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let mut rest = bytes;
    if flags & LENGTH != 0 {
        let (len, behind) = rest.split_first_chunk::<2>()?;
        // Counts the flags and itself too.
        let len = usize::from(u16::from_be_bytes(*len)).checked_sub(4)?;
        rest = behind.get(..len).unwrap_or(behind);
    }
    let (tunnel_and_session, behind) = rest.split_first_chunk::<4>()?;
    domain.enter(Kind::L2tp, u32::from_be_bytes(*tunnel_and_session));
    rest = behind;
    if flags & SEQUENCE != 0 {
        rest = rest.get(4..)?;
    }
    if flags & OFFSET != 0 {
        let (offset, behind) = rest.split_first_chunk::<2>()?;
        rest = behind.get(usize::from(u16::from_be_bytes(*offset))..)?;
    }
    Some(Layer::Ppp(rest))
}

/// RFC 3931 section 4.1: a session, a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4. What the two peers agreed on
/// is not in the packet, so the first place where Ethernet leads to IP is taken. Session 0 is for control messages.
fn session<'a>(bytes: &'a [u8], domain: &mut Domain) -> Option<Layer<'a>> {
    let (session, rest) = bytes.split_first_chunk::<4>()?;
    if *session == [0; 4] {
        return None;
    }
    domain.enter(Kind::L2tp, u32::from_be_bytes(*session));
    [0, 4, 8, 12]
        .iter()
        .filter_map(|at| rest.get(*at..))
        .find(|frame| link::leads_to_ip(frame))
        .map(|frame| Layer::Link(LinkType::Ethernet, frame))
}
