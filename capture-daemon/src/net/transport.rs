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

/// Reads UDP out of an IP packet; `None` where it carries something else, or it cannot be read.
#[inline(always)]
pub(super) fn datagram<'a>(ip: &Payload<'a>) -> Option<Packet<'a>> {
    (ip.protocol == UDP).then(|| udp(ip))?.ok()
}

/// Reads UDP or TCP out of an IP packet; `None` where it carries something else.
pub(super) fn open<'a>(ip: &Payload<'a>) -> Result<Option<Packet<'a>>, Outcome> {
    match ip.protocol {
        UDP => udp(ip).map(Some),
        TCP => tcp(ip).map(Some),
        _ => Ok(None),
    }
}

/// Verifies the checksum of a whole UDP datagram (RFC 768; over IPv6, RFC 8200 section 8.1), if it has one.
///
/// Meant for one that was put together from fragments, where it is what tells pieces of two datagrams that had the same
/// identification from one (RFC 4963 section 2); its receiver discards them (RFC 1122 section 4.1.3.4). A packet as it was
/// captured may lack a checksum that the sender's NIC adds behind the capture. A fragment never does: the sum goes over all
/// pieces, so the sender's kernel has it ready before it cuts (`skb_checksum_help` in `ip_do_fragment`, net/ipv4/ip_output.c).
///
/// # Errors
/// `UdpChecksum` where it is wrong.
pub(super) fn verify(ip: &Payload<'_>) -> Result<(), Outcome> {
    let Some(&[_, _, _, _, len_hi, len_lo, sum_hi, sum_lo]) = ip.bytes.first_chunk().filter(|_| ip.protocol == UDP)
    else {
        return Ok(());
    };
    let len = u16::from_be_bytes([len_hi, len_lo]);
    let datagram = match ip.bytes.get(..usize::from(len)) {
        Some(datagram) if [sum_hi, sum_lo] != [0, 0] && len != 0 => datagram,
        _ => return Ok(()),
    };
    // The pseudo header. A mapped address adds what the IPv4 address does, and 0xffff, which is zero in this arithmetic.
    let parts = [ip.src.octets(), ip.dst.octets()];
    let sum = parts
        .iter()
        .map(|octets| sum(octets))
        .fold(sum(datagram), u64::saturating_add);
    let sum = sum.saturating_add(u64::from(len)).saturating_add(u64::from(UDP));
    // At most 2^15 words and some: carries add up in a few steps (RFC 1071 section 1).
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xffff).saturating_add(sum >> 16));
    if folded == 0xffff {
        Ok(())
    } else {
        Err(Outcome::UdpChecksum)
    }
}

/// The sum of 16-bit words, the last one filled up with zeros.
fn sum(bytes: &[u8]) -> u64 {
    let (words, last) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u64::from(u16::from_be_bytes(*word)));
    words.fold(
        last.first().map_or(0, |octet| u64::from(*octet) << 8),
        u64::saturating_add,
    )
}

#[inline(always)]
fn udp<'a>(ip: &Payload<'a>) -> Result<Packet<'a>, Outcome> {
    let (header, rest) = ip.bytes.split_first_chunk::<8>().ok_or(Outcome::UdpMalformed)?;
    // Ports, length and checksum, in one load.
    let fields = u64::from_be_bytes(*header);
    let (payload, missing) = match (fields >> 16) as u16 {
        // A jumbogram (RFC 2675 section 4): as long as IP says.
        0 => (rest, ip.missing),
        len => {
            let len = usize::from(len).checked_sub(8).ok_or(Outcome::UdpMalformed)?;
            match rest.get(..len) {
                Some(payload) => (payload, 0),
                // As long as IP bears it out: the rest was cut off.
                None => match len.saturating_sub(rest.len()) {
                    missing if missing <= ip.missing => (rest, missing),
                    _ => return Err(Outcome::UdpMalformed),
                },
            }
        }
    };
    Ok(Packet {
        src: ip.src.with_port((fields >> 48) as u16),
        dst: ip.dst.with_port((fields >> 32) as u16),
        transport: Transport::Udp(payload),
        missing,
    })
}

fn tcp<'a>(ip: &Payload<'a>) -> Result<Packet<'a>, Outcome> {
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
        None if ip.missing > 0 => &[],
        None => return Err(Outcome::TcpMalformed),
    };
    let segment = Segment {
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        flags: Flags::from_bits(flags),
        payload,
    };
    Ok(Packet {
        src: ip.src.with_port(u16::from_be_bytes([s0, s1])),
        dst: ip.dst.with_port(u16::from_be_bytes([d0, d1])),
        transport: Transport::Tcp(segment),
        missing: ip.missing,
    })
}
