//! The account of one RTP stream as the kernel program keeps it: what the engine's would be of the same packets, less what
//! the order of losses and jitter buffers come to.
//!
//! Which packets count for what are the engine's rules (`media/measurement.rs` of the daemon), and tests hold the two
//! together. What differs: the engine keeps the headers of a stream's first packets and measures them again where their
//! clock turns out to be another than it seemed. Here there is no room for that, and a clock holds from when it is
//! known.

use super::header::Header;
use super::jitter::{Meter, Period, Rhythm};
use super::kind::Kind;
use super::payload_types::PayloadTypes;
use super::sequence::{Account, Arrival, Sequence};
use super::silence::{SILENCE, Silence};

/// Packets between two looks at what is said of a stream: while its clock is unknown, and when it is known.
const LOOK_OFTEN: u8 = 8;
const LOOK_SELDOM: u8 = 64;

/// The last packet of the rhythm was comfort noise.
const AFTER_NOISE: u8 = 1;
/// There is a packet to measure from.
const ANCHORED: u8 = 2;
/// Nobody has said what the payload type is, when that was last asked.
const UNSAID: u8 = 4;

/// The account of one stream. Times are in nanoseconds of the clock that its packets are stamped by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct StreamState {
    /// What every packet touches.
    pub hot: Hot,
    /// What only the exceptions touch.
    pub cold: Cold,
}

/// The part of a stream's account that every packet touches.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Hot {
    sequence: Sequence,
    /// Arrival of the latest packet.
    end: u64,
    rhythm: Rhythm,
    meter: Meter,
    /// Octets of the frames.
    bytes: u64,
    /// Least and most time between two packets, in microseconds.
    delta_min: u32,
    delta_max: u32,
    /// Clock of the media measured last, in Hz; 0 before. Where the rhythm has a period, it is this clock's.
    media_clock: u32,
    /// Payload type of the last packet.
    payload_type: u8,
    flags: u8,
    /// Packets until the next look.
    countdown: u8,
    padding: u8,
}

/// The part that only the exceptions touch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Cold {
    account: Account,
    /// Arrival of the earliest packet.
    start: u64,
    /// Packets that take no part in mean and highest jitter.
    irregular: u64,
    types: PayloadTypes,
    silence: Silence,
}

const _: () = assert!(size_of::<Hot>() == 104 && size_of::<Cold>() == 128);
const _: () = assert!(size_of::<StreamState>() == 232);

impl Hot {
    /// Takes the packet if it is just the next of its stream, as nearly all are: of the payload type and clock of the one before, a number
    /// further, without a marker, soon after, and nothing is due. Where it answers `false` it has done nothing. What it does is
    /// what [`due`](StreamState::due) and [`take`](StreamState::take) would, for fewer
    /// instructions.
    #[inline(always)]
    pub const fn step(&mut self, arrival: u64, header: &Header, octets: u32) -> bool {
        let period = self.rhythm.period;
        let since = arrival.wrapping_sub(self.end);
        // A marker makes it another number than any payload type.
        if header.second != self.payload_type
            || self.countdown < 2
            || self.flags & (AFTER_NOISE | ANCHORED) != ANCHORED
            || !period.is_known()
            || since >= SILENCE as u64 * 1000
        {
            return false;
        }
        let Some(transit) = self.rhythm.step(arrival, header.timestamp).transit(period) else {
            return false;
        };
        if !self.sequence.follow(header.seq) {
            return false;
        }
        self.countdown -= 1;
        self.bytes = self.bytes.wrapping_add(octets as u64);
        self.note_delta(micros(since));
        self.end = arrival;
        self.meter.take(Some(transit), true);
        self.rhythm.move_to(arrival, header.timestamp);
        true
    }

    /// Notes a time between two packets.
    #[inline(always)]
    const fn note_delta(&mut self, delta: u32) {
        if delta < self.delta_min {
            self.delta_min = delta;
        }
        if delta > self.delta_max {
            self.delta_max = delta;
        }
    }
}

impl StreamState {
    /// Begins with the first packet, in a frame of so many octets. `said` is what SDP says of its payload type, where
    /// that has no assigned meaning.
    #[inline(always)]
    pub fn begin(&mut self, arrival: u64, header: &Header, octets: u32, said: impl FnOnce(u8) -> Kind) {
        (self.hot.sequence, self.cold.account) = Sequence::first(header.seq);
        self.hot.end = arrival;
        self.hot.rhythm = Rhythm::new(arrival, header.timestamp);
        self.hot.meter = Meter::default();
        self.hot.bytes = octets.into();
        self.hot.delta_min = u32::MAX;
        self.hot.delta_max = 0;
        self.hot.media_clock = 0;
        self.hot.payload_type = header.payload_type();
        self.hot.flags = 0;
        self.hot.padding = 0;
        self.cold.start = arrival;
        self.cold.irregular = 0;
        self.cold.types = PayloadTypes::begin(header.payload_type());
        self.cold.silence = Silence::default();
        let kind = self.recognise(header, true, said);
        self.hot.countdown = if self.has(UNSAID) { LOOK_OFTEN } else { LOOK_SELDOM };
        self.measure_apart(arrival, header, kind, Arrival::Next);
    }

    /// Whether what is said of the stream should be asked before this packet is taken.
    #[inline(always)]
    pub const fn due(&mut self) -> bool {
        self.hot.countdown = self.hot.countdown.saturating_sub(1);
        self.hot.countdown == 0
    }

    /// Has it asked again after so many packets.
    #[inline(always)]
    pub const fn wait(&mut self, packets: u8) {
        self.hot.countdown = packets;
    }

    /// Hears what is said by now of the payload type of its last packets.
    #[inline(always)]
    pub fn hear(&mut self, said: Kind) {
        let kind = match Kind::assigned(self.hot.payload_type) {
            Some(assigned) => assigned,
            None => said,
        };
        self.hot.countdown = if kind == Kind::Unknown { LOOK_OFTEN } else { LOOK_SELDOM };
        if !self.hot.rhythm.period.is_known() || kind != Kind::Media(self.hot.media_clock) {
            // Asked again at the next packet.
            self.hot.rhythm.period = Period::UNKNOWN;
            self.set(UNSAID, false);
        }
    }

    /// Takes the next packet, in a frame of so many octets. `said` is asked what SDP says of its payload type, where that
    /// matters.
    #[inline(always)]
    pub fn take(&mut self, arrival: u64, header: &Header, octets: u32, said: impl FnOnce(u8) -> Kind) {
        self.hot.bytes = self.hot.bytes.wrapping_add(octets.into());
        let step = self.hot.rhythm.step(arrival, header.timestamp);
        let period = self.hot.rhythm.period;
        let known = header.payload_type() == self.hot.payload_type && period.is_known();
        let order = self
            .hot
            .sequence
            .arrive(&mut self.cold.account, &mut (), header.seq, move || {
                known
                    && step.is_forward()
                    && matches!(step.transit(period), Some(transit) if transit.unsigned_abs() < 1_000_000_000)
            });
        let delta = self.delta_to(arrival);
        let plain = known
            && matches!(order, Arrival::Next)
            && !header.marker()
            && self.hot.flags & (AFTER_NOISE | ANCHORED) == ANCHORED;
        if !plain || delta >= SILENCE {
            self.exception(arrival, header, order, known, delta, said);
            return;
        }
        self.hot.meter.take(step.transit(period), true);
        self.hot.rhythm.move_to(arrival, header.timestamp);
    }

    /// Microseconds since the latest packet, which this one is from now on; 0 for one that was overtaken.
    #[inline(always)]
    fn delta_to(&mut self, arrival: u64) -> u32 {
        if arrival < self.hot.end {
            self.cold.start = self.cold.start.min(arrival);
            return 0;
        }
        let delta = micros(arrival - self.hot.end);
        self.hot.note_delta(delta);
        self.hot.end = arrival;
        delta
    }

    /// Takes a packet that is not just the next of its stream.
    #[inline(always)]
    fn exception(
        &mut self,
        arrival: u64,
        header: &Header,
        order: Arrival,
        known: bool,
        delta: u32,
        said: impl FnOnce(u8) -> Kind,
    ) {
        if matches!(order, Arrival::Stray) {
            self.cold.irregular += 1;
            return;
        }
        if delta >= SILENCE && matches!(order, Arrival::Next) {
            self.cold.silence.take(header.marker() || self.has(AFTER_NOISE), delta);
        }
        let ahead = matches!(order, Arrival::Next | Arrival::Ahead | Arrival::Restart);
        let kind = if known && !matches!(order, Arrival::Restart) {
            Kind::Media(self.hot.media_clock)
        } else {
            self.recognise(header, ahead, said)
        };
        self.measure_apart(arrival, header, kind, order);
    }

    /// Measures a packet of which something is out of the ordinary.
    #[inline(always)]
    fn measure_apart(&mut self, arrival: u64, header: &Header, kind: Kind, order: Arrival) {
        let (clock_rate, noise) = match kind {
            Kind::Media(rate) => (rate, false),
            Kind::Noise(rate) => (rate, true),
            // Their timestamps stand still, or count what nobody knows.
            Kind::Event | Kind::Unknown => {
                self.cold.irregular += 1;
                return;
            }
        };
        let step = self.hot.rhythm.step(arrival, header.timestamp);
        let after_noise = self.has(AFTER_NOISE);
        self.set(AFTER_NOISE, noise);
        self.hot.rhythm.move_to(arrival, header.timestamp);
        // Where the sender started over, or the clock is another, there is no step from the packet before.
        let other_clock = self.hot.media_clock != 0 && self.hot.media_clock != clock_rate;
        self.hot.media_clock = clock_rate;
        if matches!(order, Arrival::Restart) || other_clock || !self.has(ANCHORED) {
            self.set(ANCHORED, true);
            self.cold.irregular += 1;
            return;
        }
        let regular = !header.marker() && !noise && !after_noise;
        self.cold.irregular += u64::from(!regular);
        let period = if self.hot.rhythm.period.is_known() {
            self.hot.rhythm.period
        } else {
            Period::of(clock_rate)
        };
        self.hot.meter.take(step.transit(period), regular);
    }

    /// Finds out what a packet's payload type is, and remembers it for the next packets.
    #[inline(always)]
    fn recognise(&mut self, header: &Header, ahead: bool, said: impl FnOnce(u8) -> Kind) -> Kind {
        let payload_type = header.payload_type();
        let kind = match Kind::assigned(payload_type) {
            Some(kind) => kind,
            None if payload_type == self.hot.payload_type && self.has(UNSAID) => Kind::Unknown,
            None => said(payload_type),
        };
        self.set(UNSAID, matches!(kind, Kind::Unknown));
        if matches!(kind, Kind::Event | Kind::Noise(_)) && self.cold.types.first_media() == Some(payload_type) {
            // What was taken for media before SDP came is none.
            self.cold.types.retract_media();
        }
        let kind = match kind {
            // An event of RFC 4733 is four bytes; no codec's frames are. Without SDP this is how to know it.
            Kind::Unknown if header.len == 4 => Kind::Event,
            kind => kind,
        };
        self.cold.types.turn_to(payload_type, self.packets().saturating_sub(1));
        self.hot.payload_type = payload_type;
        self.hot.rhythm.period = match kind {
            Kind::Media(rate) => Period::of(rate),
            Kind::Noise(_) | Kind::Event | Kind::Unknown => Period::UNKNOWN,
        };
        match kind {
            Kind::Media(_) | Kind::Unknown => self.cold.types.media(payload_type, ahead),
            Kind::Noise(_) | Kind::Event => {}
        }
        kind
    }

    #[inline(always)]
    const fn has(&self, flag: u8) -> bool {
        self.hot.flags & flag != 0
    }

    #[inline(always)]
    const fn set(&mut self, flag: u8, on: bool) {
        if on {
            self.hot.flags |= flag;
        } else {
            self.hot.flags &= !flag;
        }
    }

    /// Payload type of the last packet.
    #[inline(always)]
    pub const fn payload_type(&self) -> u8 {
        self.hot.payload_type
    }

    /// Arrival of the earliest packet.
    pub const fn start(&self) -> u64 {
        self.cold.start
    }

    /// Arrival of the latest packet.
    pub const fn end(&self) -> u64 {
        self.hot.end
    }

    /// Packets taken.
    #[inline(always)]
    pub const fn packets(&self) -> u64 {
        self.cold.account.packets(&self.hot.sequence)
    }

    /// Octets of the frames they came in.
    pub const fn bytes(&self) -> u64 {
        self.hot.bytes
    }

    /// Numbers that are expected to have arrived.
    pub const fn expected(&self) -> u64 {
        self.cold.account.expected(&self.hot.sequence)
    }

    /// The account of the numbers.
    pub const fn account(&self) -> &Account {
        &self.cold.account
    }

    /// The payload types.
    pub const fn types(&self) -> &PayloadTypes {
        &self.cold.types
    }

    /// Silences.
    pub const fn silence(&self) -> &Silence {
        &self.cold.silence
    }

    /// The jitter, and how many packets enter its mean; `None` where no clock was known.
    pub const fn jitter(&self) -> Option<(&Meter, u64)> {
        if self.has(ANCHORED) {
            Some((&self.hot.meter, self.packets().saturating_sub(self.cold.irregular)))
        } else {
            None
        }
    }

    /// Least and most time between two packets, in microseconds.
    pub const fn delta(&self) -> (u32, u32) {
        (self.hot.delta_min, self.hot.delta_max)
    }
}

/// Whole microseconds of nanoseconds, held at 2^32. Without a division where it is four seconds or less.
#[inline(always)]
const fn micros(nanos: u64) -> u32 {
    if nanos <= u32::MAX as u64 {
        // 2^38 / 1000, rounded up: off by less than one in 2^32.
        return ((nanos * 274_877_907) >> 38) as u32;
    }
    let micros = nanos / 1000;
    if micros > u32::MAX as u64 {
        u32::MAX
    } else {
        micros as u32
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
