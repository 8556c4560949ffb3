//! The frame that nearly all of them are: UDP or TCP in IPv4 without options, not fragmented, behind one VLAN tag at most. Its headers are
//! read once, in words, and what there is to decide is decided by them. Whatever this answers, the walk ([`crate::find`])
//! and [`crate::media::decide`] answer too, for more instructions; tests hold them together.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use crate::classify::{Place, Tables, by_flags};
use crate::headers::{Bytes, ETHERTYPE_IPV4, ETHERTYPE_TAGS, TCP, UDP, mapped};
use crate::level::{Level, Media};
use crate::media::{Datagram, Decision, Kind, Packet, UNCUT_PAYLOAD};
use crate::ports::PortFlags;
use crate::rtp::{Header, StreamKey};
use crate::settings::MediaSettings;
use crate::verdict::Verdict;

/// Bytes of the header of IPv4, up to behind the ports, and up to the payload of UDP.
const IP: u32 = 20;
const PORTS: u32 = 24;
const BOTH: u32 = 28;

/// An ordinary frame: its headers up to the ports.
#[derive(Clone, Copy, Debug)]
pub struct Ordinary {
    /// Where the IP header begins.
    at: u32,
    /// The headers from there on, each word as a number.
    words: [u32; 6],
}

impl Ordinary {
    /// Reads a frame; `None` where it is none of these.
    #[inline(always)]
    pub fn read<B: Bytes + ?Sized>(frame: &B) -> Option<Self> {
        let ethertype = frame.half(12)?;
        let at = if ethertype == ETHERTYPE_IPV4 {
            14
        } else if ETHERTYPE_TAGS.contains(&ethertype) && frame.half(16)? == ETHERTYPE_IPV4 {
            18
        } else {
            return None;
        };
        let read = Self {
            at,
            words: frame.six_words(at)?,
        };
        let [first, second, ..] = read.words;
        let total_len = first & 0xffff;
        let is_plain = first >> 24 == 0x45
            && second & 0x3fff == 0
            && matches!(read.protocol(), UDP | TCP)
            // A sender that leaves segmentation to its NIC may show 0.
            && (total_len == 0 || total_len >= PORTS);
        is_plain.then_some(read)
    }

    /// What the ports say; `None` where they may be a tunnel's.
    #[inline(always)]
    pub fn verdict<T: Tables>(&self, tables: &T) -> Option<Verdict> {
        let [_, _, _, _, _, ports] = self.words;
        let flags = tables.either((ports >> 16) as u16, ports as u16);
        let is_udp = self.protocol() == UDP;
        (!is_udp || !flags.has(PortFlags::TUNNEL)).then(|| by_flags(flags, is_udp))
    }

    /// Where the datagram stands.
    #[inline(always)]
    pub const fn place(&self) -> Place {
        Place {
            ip_at: self.at,
            udp_at: self.at.wrapping_add(IP),
        }
    }

    #[inline(always)]
    const fn protocol(&self) -> u8 {
        let [_, _, third, ..] = self.words;
        (third >> 16) as u8
    }

    /// The beginning of the payload of a frame of UDP; `None` where it has fewer than twelve bytes.
    #[inline(always)]
    pub fn payload<B: Bytes + ?Sized>(&self, frame: &B) -> Option<Payload> {
        let words = frame.four_words(self.at.wrapping_add(PORTS))?;
        let [lengths, first, second, _] = words;
        Some(Payload {
            datagram: Datagram::of(self.at.wrapping_add(BOTH), lengths >> 16, first, second),
            words,
        })
    }
}

/// The beginning of an ordinary frame's payload: as much as RTP's fixed header has.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// What it is.
    pub datagram: Datagram,
    /// The second half of the UDP header, and three words behind it, each as a number.
    words: [u32; 4],
}

impl Payload {
    /// Whether it begins like RTP.
    #[inline(always)]
    pub const fn is_rtp(&self) -> bool {
        matches!(self.datagram.kind, Kind::Rtp)
    }

    /// The packet of RTP that the frame carries; `None` where it is none, or its header has more than the fixed part.
    #[inline(always)]
    pub const fn voice(&self, frame: &Ordinary) -> Option<Voice> {
        let [_, _, _, source, destination, ports] = frame.words;
        let [_, first, timestamp, ssrc] = self.words;
        // Version 2, without padding, extension and contributors.
        if !self.is_rtp() || first >> 24 != 0x80 {
            return None;
        }
        Some(Voice {
            addresses: both(source, destination),
            ports: both(ports, ssrc),
            header: both(first, timestamp),
            octets: self.datagram.len,
        })
    }

    /// What [`crate::media::decide`] says of the datagram; `None` where it takes a look at the endpoints, or at more of the header.
    #[inline(always)]
    pub fn decide(&self, settings: &MediaSettings) -> Option<Decision> {
        let datagram = self.datagram;
        if datagram.kind.is_control() {
            return Some(Decision::whole(Verdict::MediaControl));
        }
        if settings.is(Media::Off) {
            return Some(Decision::whole(Verdict::MediaOff));
        }
        if settings.is(Media::Learned) || settings.levels != 0 {
            return None;
        }
        match settings.level() {
            Level::Signaling => Some(Decision::whole(Verdict::MediaByLevel)),
            Level::Headers if matches!(datagram.kind, Kind::Rtp) => self.cut(),
            Level::Headers | Level::Full => Some(Decision::whole(Verdict::Media)),
        }
    }

    /// Cuts a packet of RTP to its headers.
    #[inline(always)]
    const fn cut(&self) -> Option<Decision> {
        let Datagram { at, len, .. } = self.datagram;
        let [_, first, ..] = self.words;
        if first & 0x1f00_0000 != 0 {
            return None;
        }
        Some(if len > UNCUT_PAYLOAD.wrapping_add(12) {
            Decision {
                verdict: Verdict::MediaHeaders,
                cut_to: at.wrapping_add(12),
            }
        } else {
            Decision::whole(Verdict::Media)
        })
    }
}

/// A packet of RTP whose header has the fixed part only, over IPv4: as many words as a function of the kernel's takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Source address above destination address.
    pub addresses: u64,
    /// Source port, destination port and SSRC.
    pub ports: u64,
    /// The first word of the header above the timestamp.
    pub header: u64,
    /// Octets of RTP, twelve at least.
    pub octets: u32,
}

impl Voice {
    /// The packet's header.
    #[inline(always)]
    pub const fn header(&self) -> Header {
        let len = self.octets.wrapping_sub(12);
        Header {
            ssrc: self.ports as u32,
            timestamp: self.header as u32,
            seq: (self.header >> 32) as u16,
            second: (self.header >> 48) as u8,
            len: if len > 255 { 255 } else { len as u8 },
        }
    }

    /// The packet.
    #[inline(always)]
    pub const fn packet(&self) -> Packet {
        Packet {
            key: StreamKey {
                source: mapped(((self.addresses >> 32) as u32).to_be_bytes()),
                destination: mapped((self.addresses as u32).to_be_bytes()),
                source_port: (self.ports >> 48) as u16,
                destination_port: (self.ports >> 32) as u16,
                ssrc: self.ports as u32,
            },
            header: self.header(),
            octets: self.octets,
        }
    }
}

/// Two words in one.
#[inline(always)]
const fn both(upper: u32, lower: u32) -> u64 {
    (upper as u64) << 32 | lower as u64
}
