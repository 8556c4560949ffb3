//! What is seen of an RTP packet ahead of its turn: what its stream wants to know of it, in a cache line.

use super::ports::PortSet;
use crate::frame::{Frame, Keep, LinkType};
use crate::media::{Header, Print, Seat, Streams, rtp};
use crate::net::{self, Packet, Transport};
use crate::xsk::prefetch::fetch_first;

/// An RTP packet ahead of its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Plain {
    /// What is measured.
    pub header: Header,
    /// What its stream is known by.
    pub print: Print,
    /// Source and destination port, in the order of the header.
    ports: u32,
    /// Where in the frame the payload begins.
    pub payload_at: u32,
    /// Where its stream sat when that was looked up.
    pub seat: Seat,
    /// How much of the frame is to be kept, when its turn has come.
    pub keep: Keep,
}

const _: () = assert!(size_of::<Plain>() == 64, "one cache line");

/// IPv4's type in Ethernet, and its first octet in a header without options.
const TYPE_V4: u16 = 0x0800;
const V4: u8 = 0x45;

/// More fragments, or an offset: all of the field but "don't fragment" and the reserved bit.
const FRAGMENT: u16 = 0x3fff;

const UDP: u8 = 17;

/// Version 2 of RTP without padding, extension and contributors.
const RTP: u8 = 0x80;

/// Octets in front of the payload then: Ethernet 14, IPv4 20, UDP 8, RTP 12.
const HEADERS: usize = 54;

impl Plain {
    /// What is no RTP packet.
    pub const NONE: Self = Self {
        header: Header::NONE,
        print: Print::NONE,
        ports: 0,
        payload_at: 0,
        seat: Seat::NOBODY,
        keep: Keep::All,
    };

    /// Has fetched what is [seen](Self::see) of a frame.
    #[inline(always)]
    pub fn fetch(frame: &Frame<'_>) {
        fetch_first::<HEADERS>(frame.bytes);
    }

    /// Sees the frame as RTP, where it is that and nothing before it can make it something else but fax. On the ports of
    /// `looked_into` something else may come first. Whether it is that: its stream is asked for then, and where that sits is not looked up.
    // In its place: handed on, it would be copied.
    #[inline(always)]
    pub fn see(&mut self, frame: &Frame<'_>, streams: &Streams, looked_into: &PortSet) -> bool {
        let seen = self.see_at_a_glance(frame, streams) || self.see_by_layers(frame, streams);
        let [src, dst] = self.ports();
        if !seen || looked_into.contains(src) || looked_into.contains(dst) {
            self.print = Print::NONE;
            return false;
        }
        streams.fetch_entry(self.print);
        true
    }

    /// Source and destination port.
    #[inline(always)]
    pub const fn ports(&self) -> [u16; 2] {
        [(self.ports >> 16) as u16, self.ports as u16]
    }

    /// Sees what nearly all frames are, read where everything is then, as [`see_by_layers`](Self::see_by_layers) would. Whether
    /// it is that.
    #[inline(always)]
    fn see_at_a_glance(&mut self, frame: &Frame<'_>, streams: &Streams) -> bool {
        let Some(head) = frame.bytes.first_chunk::<HEADERS>() else {
            return false;
        };
        let (total, second) = (usize::from(half::<16>(head)), head[43]);
        let is_plain = frame.link == LinkType::Ethernet
            && half::<12>(head) == TYPE_V4
            && head[14] == V4
            && half::<20>(head) & FRAGMENT == 0
            && head[23] == UDP
            // Neither cut nor less than its headers.
            && total + 14 <= frame.bytes.len()
            && total >= HEADERS - 14
            && usize::from(half::<38>(head)) + 20 == total
            && head[42] == RTP
            && !rtp::is_rtcp(second);
        if !is_plain {
            return false;
        }
        let (ports, ssrc) = (word::<34>(head), word::<50>(head));
        let addresses = u64::from(word::<26>(head)) << 32 | u64::from(word::<30>(head));
        self.header = Header {
            ts: frame.ts,
            timestamp: word::<46>(head),
            seq: half::<44>(head),
            second,
            len: (total - (HEADERS - 14)).min(255) as u8,
        };
        self.print = streams.print_v4(addresses, u64::from(ports) << 32 | u64::from(ssrc));
        self.ports = ports;
        self.payload_at = HEADERS as u32;
        true
    }

    /// Sees any frame, layer by layer. Whether it is RTP in UDP, and in no tunnel.
    #[inline(never)]
    fn see_by_layers(&mut self, frame: &Frame<'_>, streams: &Streams) -> bool {
        let Some(Packet {
            src,
            dst,
            transport: Transport::Udp(datagram),
            missing,
        }) = net::outer_datagram(frame.link, frame.bytes)
        else {
            return false;
        };
        let rtp::Kind::Rtp(packet) = rtp::read_cut(datagram, missing) else {
            return false;
        };
        self.header = Header::of(frame.ts, &packet);
        self.print = streams.print(src, dst, packet.ssrc);
        self.ports = u32::from(src.port()) << 16 | u32::from(dst.port());
        // The payload lies in the frame.
        self.payload_at = (packet.payload.as_ptr().addr() - frame.bytes.as_ptr().addr()) as u32;
        true
    }
}

#[inline(always)]
fn half<const AT: usize>(head: &[u8; HEADERS]) -> u16 {
    const { assert!(AT + 2 <= HEADERS) };
    u16::from_be_bytes([head[AT], head[AT + 1]])
}

#[inline(always)]
fn word<const AT: usize>(head: &[u8; HEADERS]) -> u32 {
    const { assert!(AT + 4 <= HEADERS) };
    u32::from_be_bytes([head[AT], head[AT + 1], head[AT + 2], head[AT + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Follow;
    use crate::time::Timestamp;

    /// RTP in UDP in IPv4 in Ethernet.
    fn packet(payload: usize) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0];
        frame.extend((40 + payload as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0x4e, 0x20, 0x75, 0x30]);
        frame.extend((20 + payload as u16).to_be_bytes());
        frame.extend([0, 0, 0x80, 0, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef]);
        frame.resize(HEADERS + payload, 0xd5);
        frame
    }

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame {
            ts: Timestamp::from_nanos(1_000),
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes,
        }
    }

    /// What is seen at a glance, and layer by layer.
    fn both(bytes: &[u8], link: LinkType, streams: &Streams) -> [Option<Plain>; 2] {
        let frame = Frame { link, ..frame(bytes) };
        let (mut glance, mut layers) = (Plain::NONE, Plain::NONE);
        [
            glance.see_at_a_glance(&frame, streams).then_some(glance),
            layers.see_by_layers(&frame, streams).then_some(layers),
        ]
    }

    #[test]
    fn nearly_all_packets_are_seen_at_a_glance() {
        let streams = Streams::new(&Follow::default());
        for payload in [0, 4, 160, 300] {
            let [glance, layers] = both(&packet(payload), LinkType::Ethernet, &streams);
            let seen = glance.unwrap();
            assert_eq!(seen, layers.unwrap());
            assert_eq!((seen.header.seq, seen.ports()), (0x1234, [20_000, 30_000]));
        }
        let [glance, layers] = both(&packet(160)[..100], LinkType::Ethernet, &streams);
        assert_eq!((glance, layers.unwrap().header.len), (None, 160));
    }

    #[test]
    fn what_may_be_something_else_is_not_seen_as_rtp() {
        let streams = Streams::new(&Follow::default());
        let mut plain = Plain::NONE;
        for (port, is_seen) in [(20_000, false), (30_000, false), (30_001, true)] {
            plain.see(&frame(&packet(160)), &streams, &PortSet::new(&[port]));
            assert_eq!(plain.print != Print::NONE, is_seen, "{port}");
        }
        plain.see(&frame(b"no RTP"), &streams, &PortSet::new(&[]));
        assert_eq!(plain.print, Print::NONE);
    }

    proptest! {
        #[test]
        fn a_glance_says_what_the_layers_say(
            payload in 0..64usize,
            changed in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in 0..8usize,
            trailer in 0..8usize,
            ethernet in any::<bool>(),
        ) {
            let mut bytes = packet(payload);
            for (at, byte) in changed {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut);
            bytes.resize(bytes.len() + trailer, 0);
            let link = if ethernet { LinkType::Ethernet } else { LinkType::Raw };
            let streams = Streams::new(&Follow { max_streams: 4, waiting_room: 4, ..Follow::default() });
            let [glance, layers] = both(&bytes, link, &streams);
            if let Some(seen) = glance {
                prop_assert_eq!(Some(seen), layers);
            }
        }
    }
}
