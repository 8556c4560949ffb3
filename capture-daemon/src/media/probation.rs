//! The first packets of a stream, kept until its clock is known beyond doubt.
//!
//! A payload type's clock is what SDP says, and SDP may be late, missing or wrong. Jitter and lag cannot be converted from
//! one clock to another afterwards: they are sums of absolute values and points in time. So the headers of a stream's
//! first packets are kept, and when its clock turns out to be another than it seemed, they are measured again. The answer
//! is the one it would have been from the start.

use super::kept_headers::KeptHeaders;
use super::rtp;
use crate::time::Timestamp;

/// Packets kept: some 1 KiB. At 50 packets a second five seconds.
const KEPT: usize = 256;

/// Packets from which the clock is measured, as soon as they last for a second.
const ENOUGH: usize = 64;
const LONG_ENOUGH: i64 = 1_000_000_000;

/// Two packets further apart do not tell the clock: timestamps may stand still while nobody speaks.
const PAUSE: u64 = 500_000_000;

/// Clocks of the IANA registry of RTP payload formats for audio, and video's.
const CLOCKS: [u32; 10] = [
    8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 90_000,
];

/// Of the time that says another clock than SDP does, each second has to say so, give or take this much: 80 ms of jitter, and
/// less than a burst or a stall, of which a mean over all can be made.
const ALIKE: f64 = 0.08;

/// A measured clock may be this far from a known one to be taken for it, as a fraction of 1. The nearest two differ by 9 %;
/// a sender that is a third too fast is none of them.
const FITS: f64 = 0.02;

/// What is kept of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Arrival.
    pub ts: Timestamp,
    /// Timestamp.
    pub timestamp: u32,
    /// Sequence number.
    pub seq: u16,
    /// Marker and payload type, as on the wire.
    pub second: u8,
    /// Octets of payload, 255 for more.
    pub len: u8,
}

/// Octets of a payload that may be SRTP's tag alone.
const TAG: u8 = 4;

impl Header {
    /// Of no packet.
    pub const NONE: Self = Self {
        ts: Timestamp::ZERO,
        timestamp: 0,
        seq: 0,
        second: 0,
        len: 0,
    };

    /// Whether this may be the packet [`strip_tag`](Self::strip_tag) is for.
    #[inline]
    pub const fn may_be_tag(&self) -> bool {
        self.len == TAG
    }

    /// Four octets of SRTP are no event of RFC 4733 but an empty payload's tag (RFC 5764 section 4.1.2, HMAC_SHA1_32).
    pub const fn strip_tag(&mut self) {
        if self.may_be_tag() {
            self.len = 0;
        }
    }

    /// Of a packet that arrived at `ts`.
    #[inline]
    pub fn of(ts: Timestamp, packet: &rtp::Packet<'_>) -> Self {
        Self {
            ts,
            timestamp: packet.timestamp,
            seq: packet.seq,
            second: u8::from(packet.marker) << 7 | packet.payload_type,
            len: packet.len.min(255) as u8,
        }
    }

    /// The marker bit.
    #[inline]
    pub const fn marker(&self) -> bool {
        self.second & 0x80 != 0
    }

    /// Payload type, 0 to 127.
    #[inline]
    pub const fn payload_type(&self) -> u8 {
        self.second & 0x7f
    }
}

/// What the kept packets say of a payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Its clock in Hz, by timestamps and arrivals; `None` where they are too few or too uneven.
    pub clock_rate: Option<u32>,
    /// Two seconds or more say so, one like the other: enough to contradict SDP.
    pub steady: bool,
    /// Timestamp units of a packet.
    pub units: Option<u32>,
    /// Octets of the longest payload, up to 255.
    pub len: u8,
}

/// The pace of packets of one payload type: sums over each and the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Time and timestamp units between packets that follow each other.
    nanos: i64,
    units: i64,
    /// Those not yet in a whole second.
    part_nanos: i64,
    part_units: i64,
    /// Of the whole seconds: the least and the most units of one.
    least: f32,
    most: f32,
    /// Timestamp units of a packet, the least; 0 where none are known.
    step: u32,
    pairs: u16,
    seconds: u16,
    /// Octets of the longest payload.
    len: u8,
}

impl Pace {
    /// Takes in a packet, and what came before it of its type.
    #[inline]
    fn take(&mut self, before: Option<&Header>, after: &Header) {
        self.len = self.len.max(after.len);
        let Some(before) = before else { return };
        let step = after.timestamp.wrapping_sub(before.timestamp);
        // Signed: what the delay of one packet adds to its step, it takes from the next.
        let time = after.ts.as_nanos().wrapping_sub(before.ts.as_nanos()) as i64;
        let follows = after.seq == before.seq.wrapping_add(1) && step <= i32::MAX as u32;
        if !follows || after.marker() || time.unsigned_abs() > PAUSE {
            return;
        }
        if step > 0 && (self.step == 0 || step < self.step) {
            self.step = step;
        }
        self.pairs += 1;
        self.nanos += time;
        self.units += i64::from(step);
        self.part_nanos += time;
        self.part_units += i64::from(step);
        if self.part_nanos >= LONG_ENOUGH {
            let second = (self.part_units as f64 * 1e9 / self.part_nanos as f64) as f32;
            let first = self.seconds == 0;
            self.least = if first { second } else { self.least.min(second) };
            self.most = if first { second } else { self.most.max(second) };
            self.seconds += 1;
            (self.part_nanos, self.part_units) = (0, 0);
        }
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits {
            units: Some(self.step).filter(|step| *step > 0),
            len: self.len,
            ..Traits::default()
        };
        if usize::from(self.pairs) >= ENOUGH / 2 && self.nanos >= LONG_ENOUGH {
            let measured = self.units as f64 * 1e9 / self.nanos as f64;
            traits.clock_rate = CLOCKS
                .into_iter()
                .find(|&clock| (measured / f64::from(clock) - 1.0).abs() <= FITS);
            let alike = |second: f32| (f64::from(second) / measured - 1.0).abs() <= ALIKE;
            traits.steady = self.seconds >= 2 && alike(self.least) && alike(self.most);
        }
        traits
    }
}

/// The packets kept, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Probation {
    kept: KeptHeaders,
    /// The pace of all of them, as long as they are of one payload type: so they need not be read again to be judged.
    pace: Pace,
    payload_type: u8,
    is_mixed: bool,
}

impl Probation {
    /// Keeps a packet. Whether it is time to [judge](Self::traits).
    pub fn keep(&mut self, header: Header) -> bool {
        let before = self.kept.last();
        if before.is_none() {
            self.payload_type = header.payload_type();
        }
        self.is_mixed |= header.payload_type() != self.payload_type;
        self.pace.take(before.as_ref(), &header);
        self.kept.push(header);
        self.kept.len().is_multiple_of(ENOUGH)
    }

    /// Has fetched what keeping one more touches.
    pub fn fetch(&self) {
        self.kept.fetch();
    }

    /// Whether no more packets are kept.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    /// The packets turned out to be SRTP.
    pub fn strip_tags(&mut self) {
        let packets = self.packets();
        *self = Self::default();
        for mut header in packets {
            header.strip_tag();
            self.keep(header);
        }
    }

    /// The packets.
    pub fn packets(&self) -> Vec<Header> {
        self.kept.iter().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many packets were kept each time it was [time to judge](Self::keep).
    pub fn judgements(&self) -> impl Iterator<Item = usize> + use<> {
        (1..=self.kept.len() / ENOUGH).map(|times| times * ENOUGH)
    }

    /// What they say of a payload type.
    pub fn traits(&self, payload_type: u8) -> Traits {
        self.traits_of_first(self.kept.len(), payload_type)
    }

    /// What the first so many of them say of a payload type.
    pub fn traits_of_first(&self, count: usize, payload_type: u8) -> Traits {
        if count == self.kept.len() && !self.is_mixed && payload_type == self.payload_type {
            return self.pace.traits();
        }
        let mut pace = Pace::default();
        let mut before: Option<Header> = None;
        let of_type = |header: &Header| header.payload_type() == payload_type;
        for after in self.kept.iter().take(count).filter(of_type) {
            pace.take(before.as_ref(), &after);
            before = Some(after);
        }
        pace.traits()
    }
}

#[cfg(test)]
#[path = "probation_tests.rs"]
mod tests;
