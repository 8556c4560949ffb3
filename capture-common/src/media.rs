//! What becomes of a datagram from or to a media port: whether it crosses to user space, and how much of it.
//!
//! RTCP, STUN and SIP cross whatever is asked of media. RTP crosses as the mode and the level of its call say, and only RTP is
//! cut; what is none of these goes the way of the media whose endpoints it uses, whole. Where more than one reading
//! fits, the frame is captured whole.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "total on any frame: an index must be known at compile time, a sum must be bounded"
)]

use crate::classify::Place;
use crate::endpoint::{EndpointEntry, EndpointKey};
use crate::headers::{Bytes, addresses};
use crate::level::{Level, Media};
use crate::rtp::{self, Header, StreamKey};
use crate::settings::MediaSettings;
use crate::verdict::Verdict;

/// Payloads of at most this many bytes are not cut off: a telephone event has four (RFC 4733 section 2.3), no sound has.
pub const UNCUT_PAYLOAD: u32 = 4;

/// An endpoint that was quiet for this long, in nanoseconds, is given its early packets again: the port is another call's.
/// As long as RTP may come before its SDP.
pub const EARLY_LIFE_NS: u64 = 10_000_000_000;

/// STUN's magic cookie (RFC 8489 section 5).
const COOKIE: u32 = 0x2112_a442;

/// Headers begin before this byte, as in [`crate::descent`], and datagrams that are looked into are not longer.
pub(crate) const FARTHEST: u32 = 0x3fff;

/// What the decision looks up: maps in the kernel, plain tables in a test.
pub trait MediaTables {
    /// What is known of an endpoint of a call.
    fn endpoint(&self, key: &EndpointKey) -> Option<&EndpointEntry>;
    /// Whether a packet of RTP to an endpoint that no call has named is among the first `packets` since that was quiet
    /// for [`EARLY_LIFE_NS`].
    fn is_early(&self, key: &EndpointKey, packets: u32) -> bool;
}

/// What was decided on a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub verdict: Verdict,
    /// Bytes of the frame that are kept, from its beginning; 0 for all of them.
    pub cut_to: u32,
}

impl Decision {
    #[inline(always)]
    pub(crate) const fn whole(verdict: Verdict) -> Self {
        Self { verdict, cut_to: 0 }
    }
}

/// What the first bytes of a datagram say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP (RFC 3550 section 5.1).
    Rtp,
    /// RTCP, by its packet types (RFC 5761 section 4).
    Rtcp,
    /// STUN (RFC 7983 section 7), by its cookie too.
    Stun,
    /// Text, as a start line of SIP is.
    Sip,
    /// Anything else: DTLS, ZRTP, what TURN wraps, fax over UDPTL, or nothing of a call's.
    Other,
}

impl Kind {
    /// Whether it crosses whatever is asked of media.
    #[inline(always)]
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Rtcp | Self::Stun | Self::Sip)
    }
}

/// A datagram on a media port.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// What it is.
    pub kind: Kind,
    /// Where its payload begins.
    pub at: u32,
    /// Bytes of its payload, as the UDP header says.
    pub len: u32,
}

impl Datagram {
    /// Reads the datagram that stands at `place`.
    #[inline(always)]
    pub fn read<B: Bytes + ?Sized>(frame: &B, place: &Place) -> Self {
        // No header that was found begins beyond this; the kernel's verifier wants to see it.
        let udp_at = place.udp_at & FARTHEST;
        let at = udp_at.wrapping_add(8);
        let other = Self {
            kind: Kind::Other,
            at,
            len: 0,
        };
        let Some(bytes): Option<[u8; 16]> = frame.load(udp_at) else {
            return other;
        };
        let [_, _, _, _, high, low, _, _, a, b, c, d, e, f, g, h] = bytes;
        Self::of(
            at,
            u16::from_be_bytes([high, low]).into(),
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        )
    }

    /// The datagram whose payload begins at `at` with these two words, and which has `len` bytes with its header.
    #[inline(always)]
    pub(crate) const fn of(at: u32, len: u32, first: u32, second: u32) -> Self {
        if len < 16 || len > FARTHEST {
            return Self {
                kind: Kind::Other,
                at,
                len: 0,
            };
        }
        let len = len.wrapping_sub(8);
        let kind = if first >> 30 == 2 {
            if matches!((first >> 16) as u8, 192..=223) {
                Kind::Rtcp
            } else if len >= 12 {
                Kind::Rtp
            } else {
                Kind::Other
            }
        } else if first < 0x0400_0000 && second == COOKIE {
            Kind::Stun
        } else if is_text(first.to_be_bytes()) {
            Kind::Sip
        } else {
            Kind::Other
        };
        Self { kind, at, len }
    }

    /// Where the header of an RTP packet ends; `None` where it does not fit its datagram, or nothing is to be cut off.
    #[inline(always)]
    fn header_end<B: Bytes + ?Sized>(&self, frame: &B) -> Option<u32> {
        let at = self.at & FARTHEST;
        let len = self.len & FARTHEST;
        let [first, _] = frame.load(at)?;
        let mut header = u32::from(first & 0x0f).wrapping_mul(4).wrapping_add(12);
        if first & 0x10 != 0 {
            let [_, _, high, low] = frame.load(at.wrapping_add(header))?;
            let words = u32::from(u16::from_be_bytes([high, low]));
            header = header.wrapping_add(4).wrapping_add(words.wrapping_mul(4));
        }
        // Padding counts as payload: how much there is says the last byte only.
        let payload = len.checked_sub(header)?;
        (payload > UNCUT_PAYLOAD).then_some(at.wrapping_add(header))
    }
}

/// Methods are in capitals, and so is the version of an answer (RFC 3261 section 25.1).
#[inline(always)]
const fn is_text([first, second, third, fourth]: [u8; 4]) -> bool {
    first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && third.is_ascii_uppercase()
        && (fourth.is_ascii_uppercase() || fourth == b' ' || fourth == b'/')
}

/// A packet of RTP, as far as its stream's account asks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its stream.
    pub key: StreamKey,
    /// What its header says.
    pub header: Header,
    /// Octets of RTP, header and padding included.
    pub octets: u32,
}

impl Packet {
    /// Reads the datagram at `place`; `None` where it is no RTP to its last byte.
    #[inline(always)]
    pub fn read<B: Bytes + ?Sized>(frame: &B, place: &Place) -> Option<Self> {
        let datagram = Datagram::read(frame, place);
        if !matches!(datagram.kind, Kind::Rtp) {
            return None;
        }
        let header = Header::read(frame, &datagram)?;
        let ends = Ends::read(frame, place)?;
        Some(Self {
            key: ends.stream(header.ssrc),
            header,
            octets: datagram.len,
        })
    }

    /// The ends of its stream.
    #[inline(always)]
    pub const fn ends(&self) -> Ends {
        let StreamKey {
            source,
            destination,
            source_port,
            destination_port,
            ..
        } = self.key;
        Ends {
            source: EndpointKey::new(source, source_port),
            destination: EndpointKey::new(destination, destination_port),
        }
    }
}

/// Decides on the datagram at `place`, unless it was accounted for ([`Packet::read`]). That of a fragment, `is_first`, is not
/// cut: it could not be put together again.
#[inline(always)]
pub fn decide<B: Bytes + ?Sized, T: MediaTables>(
    frame: &B,
    place: &Place,
    is_first: bool,
    settings: &MediaSettings,
    tables: &T,
) -> Decision {
    let datagram = Datagram::read(frame, place);
    if datagram.kind.is_control() {
        return Decision::whole(Verdict::MediaControl);
    }
    if settings.is(Media::Off) {
        return Decision::whole(Verdict::MediaOff);
    }
    let learned = settings.is(Media::Learned);
    let mut level = settings.level();
    let mut verdict = Verdict::Media;
    if learned || settings.levels != 0 {
        let Some(ends) = Ends::read(frame, place) else {
            return Decision::whole(verdict);
        };
        if let Some(entry) = ends.entry(tables) {
            level = entry.level().unwrap_or(level);
            if learned {
                verdict = Verdict::MediaLearned;
            }
        } else if learned {
            let is_early = matches!(datagram.kind, Kind::Rtp)
                && !matches!(level, Level::Signaling)
                && tables.is_early(&ends.destination, settings.early_packets);
            if !is_early {
                return Decision::whole(Verdict::MediaUnlearned);
            }
            verdict = Verdict::MediaEarly;
        }
    }
    match level {
        Level::Signaling => Decision::whole(Verdict::MediaByLevel),
        Level::Headers if matches!(datagram.kind, Kind::Rtp) && !is_first => match datagram.header_end(frame) {
            Some(cut_to) => Decision {
                verdict: Verdict::MediaHeaders,
                cut_to,
            },
            None => Decision::whole(verdict),
        },
        Level::Headers | Level::Full => Decision::whole(verdict),
    }
}

/// Both ends of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Where it comes from.
    pub source: EndpointKey,
    /// Where it goes.
    pub destination: EndpointKey,
}

impl Ends {
    /// The ends of the datagram at `place`.
    #[inline(always)]
    pub fn read<B: Bytes + ?Sized>(frame: &B, place: &Place) -> Option<Self> {
        let [s0, s1, d0, d1] = frame.load(place.udp_at & FARTHEST)?;
        let (source, destination) = addresses(frame, place.ip_at & FARTHEST)?;
        Some(Self {
            source: EndpointKey::new(source, u16::from_be_bytes([s0, s1])),
            destination: EndpointKey::new(destination, u16::from_be_bytes([d0, d1])),
        })
    }

    /// The key of the stream that packets of this source belong to.
    #[inline(always)]
    pub const fn stream(&self, ssrc: u32) -> StreamKey {
        StreamKey {
            source: self.source.address,
            destination: self.destination.address,
            source_port: self.source.port,
            destination_port: self.destination.port,
            ssrc,
        }
    }

    /// Whether the call's level, if it has one of its own, has RTP cross.
    #[inline(always)]
    pub fn crosses<T: MediaTables>(&self, tables: &T) -> bool {
        let level = match self.entry(tables) {
            Some(entry) => entry.level(),
            None => None,
        };
        matches!(level, Some(Level::Headers | Level::Full))
    }

    /// What SDP says of a payload type: the end that it goes to says what it receives, or else the one it comes from what
    /// it wants itself.
    #[inline(always)]
    pub fn said<T: MediaTables>(&self, tables: &T, payload_type: u8) -> rtp::Kind {
        let of = |key| tables.endpoint(key).and_then(|entry| entry.kind(payload_type));
        match of(&self.destination) {
            Some(kind) => kind,
            None => of(&self.source).unwrap_or(rtp::Kind::Unknown),
        }
    }

    /// What is known of the end that it goes to, or else of the one that it comes from.
    #[inline(always)]
    pub fn entry<'a, T: MediaTables>(&self, tables: &'a T) -> Option<&'a EndpointEntry> {
        match tables.endpoint(&self.destination) {
            Some(entry) => Some(entry),
            None => tables.endpoint(&self.source),
        }
    }
}
