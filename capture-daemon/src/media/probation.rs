//! The first packets of a stream, kept until its clock is known beyond doubt.
//!
//! A payload type's clock is what SDP says, and SDP may be late, missing or wrong. Jitter and lag cannot be converted from
//! one clock to another afterwards: they are sums of absolute values and points in time. So the headers of a stream's
//! first packets are kept, and when its clock turns out to be another than it seemed, they are measured again. The answer
//! is the one it would have been from the start.

use super::kept_headers::KeptHeaders;
use super::rtp;
use crate::time::Timestamp;

/// Packets kept: some 1.5 KiB. At 50 packets a second five seconds.
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

/// The packets kept, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Probation(KeptHeaders);

impl Probation {
    /// Keeps a packet. Whether it is time to [judge](Self::traits).
    pub fn keep(&mut self, header: Header) -> bool {
        self.0.push(header);
        self.0.len().is_multiple_of(ENOUGH)
    }

    /// Touches what keeping one more touches, where the number returned is used.
    pub fn touch(&self) -> u32 {
        self.0.touch()
    }

    /// Whether no more packets are kept.
    pub fn is_full(&self) -> bool {
        self.0.len() >= KEPT
    }

    /// The packets turned out to be SRTP.
    pub fn strip_tags(&mut self) {
        let strip = |mut header: Header| {
            header.strip_tag();
            header
        };
        self.0 = self.0.iter().map(strip).collect();
    }

    /// The packets.
    pub fn packets(&self) -> Vec<Header> {
        self.0.iter().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many packets were kept each time it was [time to judge](Self::keep).
    pub fn judgements(&self) -> impl Iterator<Item = usize> + use<> {
        (1..=self.0.len() / ENOUGH).map(|times| times * ENOUGH)
    }

    /// What they say of a payload type.
    pub fn traits(&self, payload_type: u8) -> Traits {
        self.traits_of_first(self.0.len(), payload_type)
    }

    /// What the first so many of them say of a payload type.
    pub fn traits_of_first(&self, count: usize, payload_type: u8) -> Traits {
        let mut traits = Traits::default();
        let (mut pairs, mut nanos, mut units) = (0, 0i64, 0i64);
        // Those not yet in a whole second.
        let (mut part_nanos, mut part_units) = (0i64, 0i64);
        // Of the whole seconds: how many, and the least and the most units of one.
        let (mut seconds, mut least, mut most) = (0, f64::INFINITY, f64::NEG_INFINITY);
        let mut before: Option<Header> = None;
        for after in self.0.iter().take(count) {
            if after.payload_type() != payload_type {
                continue;
            }
            traits.len = traits.len.max(after.len);
            let Some(before) = before.replace(after) else {
                continue;
            };
            let step = after.timestamp.wrapping_sub(before.timestamp);
            // Signed: what the delay of one packet adds to its step, it takes from the next.
            let time = after.ts.as_nanos().wrapping_sub(before.ts.as_nanos()) as i64;
            let follows = after.seq == before.seq.wrapping_add(1) && step <= i32::MAX as u32;
            if !follows || after.marker() || time.unsigned_abs() > PAUSE {
                continue;
            }
            if step > 0 {
                traits.units = Some(traits.units.map_or(step, |units| units.min(step)));
            }
            pairs += 1;
            nanos += time;
            units += i64::from(step);
            part_nanos += time;
            part_units += i64::from(step);
            if part_nanos >= LONG_ENOUGH {
                let second = part_units as f64 * 1e9 / part_nanos as f64;
                (seconds, least, most) = (seconds + 1, least.min(second), most.max(second));
                (part_nanos, part_units) = (0, 0);
            }
        }
        if pairs >= ENOUGH / 2 && nanos >= LONG_ENOUGH {
            let measured = units as f64 * 1e9 / nanos as f64;
            traits.clock_rate = CLOCKS
                .into_iter()
                .find(|&clock| (measured / f64::from(clock) - 1.0).abs() <= FITS);
            let alike = |second: f64| (second / measured - 1.0).abs() <= ALIKE;
            traits.steady = seconds >= 2 && alike(least) && alike(most);
        }
        traits
    }
}

#[cfg(test)]
#[path = "probation_tests.rs"]
mod tests;
