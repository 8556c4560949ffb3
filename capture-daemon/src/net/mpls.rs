//! MPLS label stacks (RFC 3032). Labels do not say what they carry, so that is guessed from its first bytes.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::domain::{Domain, Kind};
use super::{Layer, ip, link};
use crate::frame::LinkType;
use crate::outcome::Outcome;

/// Labels of a stack that are passed; networks use up to five or six.
const MAX_LABELS: usize = 16;

/// The label behind this one spreads load, and differs from flow to flow (RFC 6790 section 4.2).
const ENTROPY_FOLLOWS: u32 = 7;

/// Opens a label stack, and enters the domain of the label at its bottom. Those above it are the network's own, and spread
/// load or change where a route does.
pub(super) fn open<'a>(bytes: &'a [u8], domain: &mut Domain) -> Result<Layer<'a>, Outcome> {
    let mut rest = bytes;
    // Of the last three, the latest first.
    let mut labels = [0; 3];
    for _ in 0..MAX_LABELS {
        let (&[high, middle, low, _], next) = rest.split_first_chunk::<4>().ok_or(Outcome::LinkShort)?;
        rest = next;
        let [latest, before, _] = labels;
        labels = [u32::from_be_bytes([0, high, middle, low]) >> 4, latest, before];
        // The S bit: bottom of the stack.
        if low & 1 != 0 {
            domain.enter(
                Kind::Mpls,
                match labels {
                    [_, ENTROPY_FOLLOWS, label] | [label, ..] => label,
                },
            );
            return inside(rest);
        }
    }
    Err(Outcome::NotIp)
}

/// IP, told by its version as routers do it (RFC 4928 section 2), or the Ethernet frame of a pseudowire (RFC 4448),
/// with a control word (RFC 4385 section 3: first four bits zero) or without. The first byte of a MAC address may look
/// like each of the others; what leads to IP is believed first, and IP where its own header confirms it.
fn inside(bytes: &[u8]) -> Result<Layer<'_>, Outcome> {
    let ethernet = link::leads_to_ip(bytes);
    match bytes.first().ok_or(Outcome::LinkShort)? >> 4 {
        4 | 6 if !ethernet || ip::is_consistent(bytes) => Ok(Layer::Link(LinkType::Raw, bytes)),
        0 if !ethernet => match bytes.get(4..) {
            Some(frame) if link::leads_to_ip(frame) => Ok(Layer::Link(LinkType::Ethernet, frame)),
            _ => Err(Outcome::NotIp),
        },
        _ if ethernet => Ok(Layer::Link(LinkType::Ethernet, bytes)),
        _ => Err(Outcome::NotIp),
    }
}
