//! What a host leaves to its network interface, done here: frames that stand for several packets (GSO on the way out, GRO on
//! the way in) become those packets, and checksums that are yet to be made are made. So files and figures have what is on
//! the wire.
//!
//! Where headers are not understood the frame stays as it is: a super-frame whose packets lie in a tunnel is one long packet then.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: frames are whatever was sent"
)]

use capture_common::Record;

use super::transport::{Transport, put};

/// Longest packet that is put together: the longest record.
const ROOM: usize = Record::SNAP as usize;

/// FIN and PSH stand in the last segment only (tcp_gso_segment, net/ipv4/tcp_offload.c).
const LAST_ONLY: u8 = 0x01 | 0x08;
/// CWR stands in the first only.
const FIRST_ONLY: u8 = 0x80;

/// Frames as they are in the host, into packets as they are on the wire.
#[derive(Debug)]
pub struct Offloads {
    /// Where a packet is made that is not as it lies in the ring.
    room: Box<[u8]>,
}

/// A frame as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Bytes it had in the host.
    pub wire_len: u32,
    /// Those that were captured.
    pub bytes: &'a [u8],
    /// Bytes of payload in each packet; 0 where the frame is one packet.
    pub segment: u16,
    /// Bytes of each packet that are kept; 0: all.
    pub keep: u32,
}

impl Default for Offloads {
    /// With room for one packet.
    fn default() -> Self {
        Self {
            room: vec![0; ROOM].into_boxed_slice(),
        }
    }
}

impl Offloads {
    /// The bytes that are kept of a frame that is one packet, as it is on the wire already; `None` for one that something has to be
    /// done to.
    #[inline]
    pub fn plain<'a>(frame: &Captured<'a>) -> Option<&'a [u8]> {
        let Captured {
            wire_len, bytes, keep, ..
        } = *frame;
        if frame.segment != 0 {
            return None;
        }
        // A frame that was cut has lost what its checksum would be made of.
        if bytes.len() != wire_len as usize {
            return Some(bytes);
        }
        let is_partial = Transport::find(bytes, wire_len as usize).is_some_and(|transport| transport.is_partial(bytes));
        (!is_partial).then(|| kept(bytes, keep))
    }

    /// Hands the packets of a frame to `each`, with the length each has on the wire; how many there were.
    #[inline]
    pub fn packets(&mut self, frame: Captured<'_>, mut each: impl FnMut(u32, &[u8])) -> u32 {
        let Captured {
            wire_len, bytes, keep, ..
        } = frame;
        let is_whole = bytes.len() == wire_len as usize;
        if frame.segment == 0 && !is_whole {
            each(wire_len, bytes);
            return 1;
        }
        let transport = Transport::find(bytes, wire_len as usize);
        if frame.segment != 0
            && let Some(transport) = transport
            && !transport.is_tunnel(bytes)
        {
            return self.split(frame, transport, each);
        }
        match transport {
            Some(transport) if is_whole && transport.is_partial(bytes) => {
                let made = self.finished(bytes, transport);
                each(wire_len, kept(made.unwrap_or(bytes), keep));
            }
            _ => each(wire_len, kept(bytes, keep)),
        }
        1
    }

    /// The frame with its checksum.
    #[cold]
    fn finished(&mut self, bytes: &[u8], transport: Transport) -> Option<&[u8]> {
        let packet = self.room.get_mut(..bytes.len())?;
        packet.copy_from_slice(bytes);
        transport.finish(packet)?;
        Some(packet)
    }

    /// The packets of a super-frame, as far as it was captured.
    #[cold]
    fn split(&mut self, frame: Captured<'_>, transport: Transport, mut each: impl FnMut(u32, &[u8])) -> u32 {
        let payload = frame.bytes.get(transport.payload..).unwrap_or_default();
        let payload = payload
            .get(..transport.end.saturating_sub(transport.payload))
            .unwrap_or(payload);
        let segment = usize::from(frame.segment);
        let count = payload.len().div_ceil(segment).max(1);
        let is_whole = frame.bytes.len() >= frame.wire_len as usize;
        let mut packets = 0;
        for (number, part) in payload.chunks(segment).enumerate() {
            // What was not captured whole is no packet, and what ends the frame's copy does not end the frame.
            if !is_whole && part.len() < segment {
                break;
            }
            let is_last = is_whole && number.saturating_add(1) == count;
            let Some(packet) = self.packet(frame.bytes, transport, frame.segment, number, part, is_last) else {
                break;
            };
            // At most ROOM.
            each(packet.len() as u32, kept(packet, frame.keep));
            packets = u32::saturating_add(packets, 1);
        }
        if packets == 0 {
            each(frame.wire_len, kept(frame.bytes, frame.keep));
            packets = 1;
        }
        packets
    }

    /// One packet of a super-frame: its headers, with what differs from packet to packet, and its part of the payload.
    fn packet(
        &mut self,
        frame: &[u8],
        transport: Transport,
        segment: u16,
        number: usize,
        part: &[u8],
        is_last: bool,
    ) -> Option<&[u8]> {
        let Transport {
            ip,
            v6,
            header,
            udp,
            payload,
            ..
        } = transport;
        let end = payload.checked_add(part.len())?;
        let packet = self.room.get_mut(..end)?;
        packet.get_mut(..payload)?.copy_from_slice(frame.get(..payload)?);
        packet.get_mut(payload..)?.copy_from_slice(part);
        let transport = Transport { end, ..transport };
        // Both fit: a packet is at most ROOM long, and longer than IP allows only where its super-frame was malformed.
        let number = u32::try_from(number).ok()?;
        if v6 {
            let behind = ip.checked_add(40)?;
            put(
                packet,
                ip.checked_add(4)?,
                u16::try_from(end.checked_sub(behind)?).ok()?,
            )?;
        } else {
            put(packet, ip.checked_add(2)?, u16::try_from(end.checked_sub(ip)?).ok()?)?;
            // The identification counts on (inet_gso_segment, net/ipv4/af_inet.c).
            let at = ip.checked_add(4)?;
            let id = u16::from_be_bytes(*packet.get(at..)?.first_chunk()?);
            put(packet, at, id.wrapping_add(number as u16))?;
            transport.finish_ipv4(packet)?;
        }
        if udp {
            let at = header.checked_add(4)?;
            put(packet, at, u16::try_from(end.checked_sub(header)?).ok()?)?;
            let none = packet.get(transport.checksum_at()..)?.first_chunk() == Some(&[0, 0]);
            if none && !v6 {
                return Some(packet);
            }
        } else {
            let at = header.checked_add(4)?;
            let first = u32::from_be_bytes(*packet.get(at..)?.first_chunk()?);
            let sequence = first.wrapping_add(number.wrapping_mul(segment.into()));
            *packet.get_mut(at..)?.first_chunk_mut()? = sequence.to_be_bytes();
            let flags = packet.get_mut(header.checked_add(13)?)?;
            if !is_last {
                *flags &= !LAST_ONLY;
            }
            if number > 0 {
                *flags &= !FIRST_ONLY;
            }
        }
        transport.finish(packet)?;
        Some(packet)
    }
}

/// The bytes that are kept of a packet.
fn kept(packet: &[u8], keep: u32) -> &[u8] {
    match keep {
        0 => packet,
        keep => packet.get(..keep as usize).unwrap_or(packet),
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic where it is wrong"
)]
mod tests;
