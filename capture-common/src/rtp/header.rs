//! What measuring needs of a packet's header (RFC 3550 section 5.1), read where it lies in its frame.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use core::hint::black_box;

use crate::headers::Bytes;
use crate::media::{Datagram, FARTHEST};

/// The header of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Timestamp in units of the payload type's clock.
    pub timestamp: u32,
    /// Sequence number.
    pub seq: u16,
    /// Marker and payload type, as on the wire.
    pub second: u8,
    /// Octets of payload, without extension and padding; 255 for more.
    pub len: u8,
}

impl Header {
    /// Of the packet in a datagram that begins like RTP; `None` where it does not fit (RFC 3550 appendix A.1), so that it
    /// is none.
    #[inline(always)]
    pub fn read<B: Bytes + ?Sized>(frame: &B, datagram: &Datagram) -> Option<Self> {
        let at = datagram.at & FARTHEST;
        let fixed: [u8; 12] = frame.load(at)?;
        let [first, second, q0, q1, t0, t1, t2, t3, s0, s1, s2, s3] = fixed;
        // No contributors, no extension, no padding: what nearly all packets are.
        let len = if first & 0x3f == 0 {
            datagram.len.checked_sub(12)?
        } else {
            payload_len(frame, datagram, first)?
        };
        Some(Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            seq: u16::from_be_bytes([q0, q1]),
            second,
            len: if len > 255 { 255 } else { len as u8 },
        })
    }

    /// The marker bit.
    #[inline(always)]
    pub const fn marker(&self) -> bool {
        self.second & 0x80 != 0
    }

    /// Payload type, 0 to 127.
    #[inline(always)]
    pub const fn payload_type(&self) -> u8 {
        self.second & 0x7f
    }
}

/// Octets of payload of a packet with contributors, an extension or padding, which begins with the octet `first`.
#[inline(always)]
fn payload_len<B: Bytes + ?Sized>(frame: &B, datagram: &Datagram, first: u8) -> Option<u32> {
    let (at, len) = (datagram.at & FARTHEST, datagram.len & FARTHEST);
    let mut header = u32::from(first & 0x0f).wrapping_mul(4).wrapping_add(12);
    if first & 0x10 != 0 {
        let [_, _, high, low] = frame.load(at.wrapping_add(header))?;
        let words = u32::from(u16::from_be_bytes([high, low]));
        header = header.wrapping_add(4).wrapping_add(words.wrapping_mul(4));
    }
    let payload = len.checked_sub(header)?;
    if first & 0x20 == 0 {
        return Some(payload);
    }
    // The last byte counts the padding, itself included. Where it is, the compiler knows to be near, and would leave out the
    // bound that the kernel's verifier wants to see.
    let last_two = black_box(at.wrapping_add(len).wrapping_sub(2)) & 0x7fff;
    let [_, padding] = frame.load(last_two)?;
    if padding == 0 {
        return None;
    }
    payload.checked_sub(padding.into())
}
