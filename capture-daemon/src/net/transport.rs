//! UDP (RFC 768) and TCP (RFC 9293) headers.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "reads what anyone may send: a slice is asked for, never assumed"
)]

use super::ip::Payload;
use super::tcp::{Flags, Segment};
use super::{Packet, Transport};
use crate::outcome::Outcome;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Reads UDP or TCP out of an IP packet; `None` where it carries something else.
pub(super) fn open<'a>(ip: &Payload<'a>) -> Result<Option<Packet<'a>>, Outcome> {
    let (src, dst, transport) = match ip.protocol {
        UDP => udp(ip)?,
        TCP => tcp(ip)?,
        _ => return Ok(None),
    };
    Ok(Some(Packet {
        src: ip.src.with_port(src),
        dst: ip.dst.with_port(dst),
        transport,
    }))
}

fn udp<'a>(ip: &Payload<'a>) -> Result<(u16, u16, Transport<'a>), Outcome> {
    let (header, rest) = ip.bytes.split_first_chunk::<8>().ok_or(Outcome::UdpMalformed)?;
    let [s0, s1, d0, d1, l0, l1, _, _] = *header;
    let payload = match u16::from_be_bytes([l0, l1]) {
        // A jumbogram (RFC 2675 section 4): as long as IP says.
        0 => rest,
        len => {
            let len = usize::from(len).checked_sub(8).ok_or(Outcome::UdpMalformed)?;
            match rest.get(..len) {
                Some(payload) => payload,
                None if ip.cut => rest,
                None => return Err(Outcome::UdpMalformed),
            }
        }
    };
    Ok((
        u16::from_be_bytes([s0, s1]),
        u16::from_be_bytes([d0, d1]),
        Transport::Udp(payload),
    ))
}

fn tcp<'a>(ip: &Payload<'a>) -> Result<(u16, u16, Transport<'a>), Outcome> {
    let header = ip.bytes.first_chunk::<20>().ok_or(Outcome::TcpMalformed)?;
    let [
        s0,
        s1,
        d0,
        d1,
        q0,
        q1,
        q2,
        q3,
        _,
        _,
        _,
        _,
        offset,
        flags,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = *header;
    let header_len = usize::from(offset >> 4).saturating_mul(4);
    if header_len < 20 {
        return Err(Outcome::TcpMalformed);
    }
    let payload = match ip.bytes.get(header_len..) {
        Some(payload) => payload,
        // Options beyond what was captured: there is a segment, and nothing of its data.
        None if ip.cut => &[],
        None => return Err(Outcome::TcpMalformed),
    };
    let segment = Segment {
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        flags: Flags::from_bits(flags),
        payload,
    };
    Ok((
        u16::from_be_bytes([s0, s1]),
        u16::from_be_bytes([d0, d1]),
        Transport::Tcp(segment),
    ))
}
