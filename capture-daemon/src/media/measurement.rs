//! What the packets of one stream come to: the part that is measured, without whose stream it is.

use std::time::Duration;

use capture_common::Level;
use capture_common::rtp::payload_types::PayloadTypes;
use capture_common::rtp::silence::{SILENCE, Silence};

use super::burst::Burst;
use super::codec::{self, Format, Kind};
use super::jitter::{self, Meter, Period, Rhythm};
use super::playout::{self, BUFFERS, Playout, Points};
use super::probation::Header;
use super::sequence::{self, Account, Arrival, Sequence};
use crate::time::Timestamp;
use crate::xsk::prefetch::fetch_value;

/// A pause this long empties a buffer of 50 ms, whatever was in it. Nanoseconds.
const TALKSPURT_PAUSE: i64 = 100_000_000;

/// Every so many numbers the adaptive buffer looks at its point.
const ADAPT: u16 = 64;

/// What every packet touches: two cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Hot {
    sequence: Sequence,
    /// Arrival of the latest packet.
    end: Timestamp,
    rhythm: Rhythm,
    meter: Meter,
    /// Transit time of the latest packet less that of the first, in nanoseconds.
    lag: i64,
    playout: Playout,
    /// The lag that is farthest from 0, in microseconds.
    skew: i32,
    /// Least and most time between two packets, in microseconds.
    delta_min: u32,
    delta_max: u32,
    /// Payload type of the last packet.
    payload_type: u8,
    flags: u8,
    /// Packets until the next look at the endpoint table.
    countdown: u8,
    /// Steps until a number of this run leaves the window of its sequence numbers.
    fresh: u8,
}

const _: () = assert!(size_of::<Hot>() <= 128, "two cache lines per packet");

/// The last packet of the stream's rhythm was comfort noise.
const AFTER_NOISE: u8 = 1;
/// There is a packet to measure lags from.
const ANCHORED: u8 = 2;
/// There is no doubt that it is RTP.
const CERTAIN: u8 = 4;
/// The first packets are being kept.
const PROBATION: u8 = 8;
/// What came last may have been kept from here by the level of the call.
const INTERRUPTED: u8 = 0x40;
/// Also numbers that arrived are news to the order of losses when they leave the window.
const WATCHED: u8 = 0x80;
/// Where the number of a level stands, 0 for none: with what every packet touches.
const LEVEL_AT: u32 = 4;
const LEVEL: u8 = 0b11 << LEVEL_AT;

/// The account of one stream's packets.
#[derive(Clone, Debug)]
pub struct Measurement {
    hot: Hot,
    account: Account,
    points: Points,
    types: PayloadTypes,
    silence: Silence,
    /// Arrival of the earliest packet.
    start: Timestamp,
    /// Time of which nothing is known, in nanoseconds.
    unheard: u64,
    /// Packets that take no part in mean and highest jitter.
    irregular: u64,
    /// Packets that take no part in playout.
    aside: u64,
    /// Clock of the media measured last, in Hz; 0 before. Where the rhythm has a period, it is this clock's.
    media_clock: u32,
    /// A payload type whose clock is known by measuring, and that clock in Hz.
    measured: Option<(u8, u32)>,
}

impl Measurement {
    /// Begins with the first packet, and says what it is.
    pub fn begin(header: &Header, formats: &[Format], measured: Option<(u8, u32)>) -> (Self, Kind) {
        let (sequence, account) = Account::first(header.seq);
        let (playout, points) = Playout::begin();
        let mut measurement = Self {
            hot: Hot {
                sequence,
                end: header.ts,
                rhythm: Rhythm::new(header.ts.as_nanos(), header.timestamp),
                meter: Meter::default(),
                lag: 0,
                playout,
                skew: 0,
                delta_min: u32::MAX,
                delta_max: 0,
                payload_type: header.payload_type(),
                flags: 0,
                countdown: 0,
                fresh: account.fresh(&sequence),
            },
            account,
            points,
            types: PayloadTypes::begin(header.payload_type()),
            silence: Silence::default(),
            start: header.ts,
            unheard: 0,
            irregular: 0,
            aside: 0,
            media_clock: 0,
            measured,
        };
        let kind = measurement.recognise(header, true, formats);
        measurement.measure_apart(header, kind, Arrival::Next);
        (measurement, kind)
    }

    /// Takes what nearly every packet is: the next of a stream that has its call and its clock and is under way, with nothing
    /// about it that anyone has to look at. Whether it was that; where not, nothing has changed. What it does is what [`due`
    /// ](super::stream::Stream::due) and [`take`](Self::take) would do.
    #[inline(always)]
    pub fn flow(&mut self, header: &Header, pause: u64) -> bool {
        const FLOWS: u8 = ANCHORED | CERTAIN;
        let Header { ts, timestamp, seq, .. } = *header;
        let hot = &mut self.hot;
        // A packet of an earlier time wraps around to the longest of pauses.
        let nanos = ts.as_nanos().wrapping_sub(hot.end.as_nanos());
        let flows = nanos < pause
            && hot.flags & (FLOWS | AFTER_NOISE | INTERRUPTED | WATCHED) == FLOWS
            && hot.countdown > 1
            // Without the marker.
            && header.second == hot.payload_type
            && hot.rhythm.period.is_known()
            && !header.may_be_tag()
            && sequence::step(&mut hot.sequence, &mut hot.fresh, seq);
        if !flows {
            return false;
        }
        hot.countdown -= 1;
        // Less than a pause.
        let delta = (nanos as u32) / 1000;
        // They hardly ever move.
        if delta < hot.delta_min {
            hot.delta_min = delta;
        }
        if delta > hot.delta_max {
            hot.delta_max = delta;
        }
        hot.end = ts;
        let transit = hot.rhythm.step(ts.as_nanos(), timestamp).transit(hot.rhythm.period);
        // Each way by itself: what is asked of the transit is asked once.
        match transit {
            Some(nanos) => {
                hot.lag += nanos;
                hot.meter.take(Some(nanos), true);
            }
            None => hot.meter.take(None, true),
        }
        hot.rhythm.move_to(ts.as_nanos(), timestamp);
        if seq.is_multiple_of(ADAPT) {
            self.adapt();
        }
        self.play(seq);
        true
    }

    /// Takes the next packet, and says whether it is an event. `formats` are what SDP says of payload types by now, asked for
    /// where that matters.
    #[inline(always)]
    pub fn take<'a>(&mut self, header: &Header, formats: impl FnOnce() -> &'a [Format]) -> bool {
        let Header { ts, timestamp, seq, .. } = *header;
        let hot = &mut self.hot;
        let step = hot.rhythm.step(ts.as_nanos(), timestamp);
        let period = hot.rhythm.period;
        let known = header.payload_type() == hot.payload_type && period.is_known();
        // The account is in another cache line: nearly every packet is the next, and no business of its.
        let arrival = if hot.flags & WATCHED == 0 && sequence::step(&mut hot.sequence, &mut hot.fresh, seq) {
            Arrival::Next
        } else {
            let arrival = self.account.arrive(&mut hot.sequence, seq, move || {
                let fits = |transit: i64| transit.unsigned_abs() < 1_000_000_000;
                known && step.is_forward() && step.transit(period).is_some_and(fits)
            });
            let watched = if self.account.watches() { WATCHED } else { 0 };
            hot.flags = (hot.flags & !WATCHED) | watched;
            hot.fresh = self.account.fresh(&hot.sequence);
            arrival
        };
        let delta = if ts >= hot.end {
            let delta = ((ts.as_nanos() - hot.end.as_nanos()) / 1000).min(u64::from(u32::MAX)) as u32;
            hot.delta_min = hot.delta_min.min(delta);
            hot.delta_max = hot.delta_max.max(delta);
            hot.end = ts;
            delta
        } else {
            self.start = self.start.min(ts);
            0
        };
        let plain =
            known && arrival == Arrival::Next && !header.marker() && hot.flags & (AFTER_NOISE | ANCHORED) == ANCHORED;
        if !plain || delta >= SILENCE {
            return self.exception(*header, formats(), arrival, known, delta) == Kind::Event;
        }
        let transit = step.transit(period);
        hot.lag += transit.unwrap_or_default();
        hot.meter.take(transit, true);
        hot.rhythm.move_to(ts.as_nanos(), timestamp);
        if seq.is_multiple_of(ADAPT) {
            self.adapt();
        }
        self.play(seq);
        false
    }

    /// Takes a packet after a time of which nothing is known, and says what it is: it begins anew, nothing is missing before it, and
    /// nothing is measured across. `None` where its number goes on with those before, and it is a packet as any other.
    pub fn resume(&mut self, header: &Header, formats: &[Format]) -> Option<Kind> {
        if !self.account.resume(&mut self.hot.sequence, header.seq) {
            return None;
        }
        self.set(WATCHED, self.account.watches());
        self.hot.fresh = self.account.fresh(&self.hot.sequence);
        self.unheard += header.ts.since(self.hot.end).as_nanos() as u64;
        self.hot.end = self.hot.end.max(header.ts);
        let kind = self.recognise(header, true, formats);
        self.measure_apart(header, kind, Arrival::Restart);
        Some(kind)
    }

    /// Gives a packet to the buffers, its lag being known.
    #[inline(always)]
    fn play(&mut self, seq: u16) {
        let hot = &mut self.hot;
        let lag = playout::micros(hot.lag);
        if lag.unsigned_abs() > hot.skew.unsigned_abs() {
            hot.skew = lag;
        }
        if hot.playout.take(lag) {
            self.weigh(seq, lag);
        }
    }

    #[cold]
    #[inline(never)]
    fn weigh(&mut self, seq: u16, lag: i32) {
        let before = self.played().saturating_sub(1);
        let late = self.points.weigh(&mut self.hot.playout, lag, before);
        if late != 0 {
            self.account.discard(self.hot.sequence.number(seq), late);
            self.set(WATCHED, true);
        }
    }

    #[cold]
    #[inline(never)]
    fn adapt(&mut self) {
        let before = self.played().saturating_sub(1);
        self.points.adapt(&mut self.hot.playout, before);
    }

    /// Takes a packet that is not just the next of its stream.
    #[inline(never)]
    fn exception(&mut self, header: Header, formats: &[Format], arrival: Arrival, known: bool, delta: u32) -> Kind {
        if arrival == Arrival::Stray {
            self.irregular += 1;
            self.aside += 1;
            return Kind::Unknown;
        }
        if delta >= SILENCE && arrival == Arrival::Next {
            self.pause(&header, delta);
        }
        let ahead = matches!(arrival, Arrival::Next | Arrival::Ahead | Arrival::Restart);
        let kind = if known && arrival != Arrival::Restart {
            Kind::Media(self.media_clock)
        } else {
            self.recognise(&header, ahead, formats)
        };
        self.measure_apart(&header, kind, arrival);
        kind
    }

    fn pause(&mut self, header: &Header, delta: u32) {
        self.silence.take(header.marker() || self.has(AFTER_NOISE), delta);
    }

    /// Measures a packet of which something is out of the ordinary.
    fn measure_apart(&mut self, header: &Header, kind: Kind, arrival: Arrival) {
        let (clock_rate, noise) = match kind {
            Kind::Media(rate) => (rate, false),
            Kind::Noise(rate) => (rate, true),
            // Their timestamps stand still, or count what nobody knows.
            Kind::Event | Kind::Unknown => {
                self.irregular += 1;
                self.aside += 1;
                return;
            }
        };
        let Header { ts, timestamp, seq, .. } = *header;
        let step = self.hot.rhythm.step(ts.as_nanos(), timestamp);
        let after_noise = self.has(AFTER_NOISE);
        self.set(AFTER_NOISE, noise);
        self.hot.rhythm.move_to(ts.as_nanos(), timestamp);
        // Where the sender started over, or the clock is another, there is no step from the packet before.
        let other_clock = self.media_clock != 0 && self.media_clock != clock_rate;
        self.media_clock = clock_rate;
        if arrival == Arrival::Restart || other_clock || !self.has(ANCHORED) {
            self.set(ANCHORED, true);
            self.irregular += 1;
            self.aside += u64::from(arrival == Arrival::Copy);
            if arrival != Arrival::Copy {
                self.play(seq);
            }
            return;
        }
        let transit = step.transit(Period::of(clock_rate));
        let regular = !header.marker() && !noise && !after_noise;
        self.irregular += u64::from(!regular);
        self.hot.meter.take(transit, regular);
        self.hot.lag += transit.unwrap_or_default();
        if arrival == Arrival::Copy {
            self.aside += 1;
            return;
        }
        let before = self.played().saturating_sub(1);
        if header.marker() && step.nanos() >= TALKSPURT_PAUSE {
            let lag = playout::micros(self.hot.lag);
            self.points.talkspurt(&mut self.hot.playout, lag, before);
        } else if arrival == Arrival::Next && seq.is_multiple_of(ADAPT) {
            self.points.adapt(&mut self.hot.playout, before);
        }
        self.play(seq);
    }

    /// Finds out what a packet's payload type is, and remembers it for the next packets.
    fn recognise(&mut self, header: &Header, ahead: bool, formats: &[Format]) -> Kind {
        let payload_type = header.payload_type();
        let kind = match self.kind(payload_type, formats) {
            // An event of RFC 4733 is four bytes; no codec's frames are. Without SDP this is how to know it.
            Kind::Unknown if header.len == 4 => Kind::Event,
            kind => kind,
        };
        self.types.turn_to(payload_type, self.packets() - 1);
        self.hot.payload_type = payload_type;
        self.hot.rhythm.period = match kind {
            Kind::Media(rate) => Period::of(rate),
            Kind::Noise(_) | Kind::Event | Kind::Unknown => Period::UNKNOWN,
        };
        match kind {
            Kind::Media(_) | Kind::Unknown => self.types.media(payload_type, ahead),
            Kind::Noise(_) | Kind::Event => {}
        }
        kind
    }

    /// What packets of a payload type are: by assignment or by what SDP says, and at the clock that was measured.
    pub fn kind(&self, payload_type: u8, formats: &[Format]) -> Kind {
        match (codec::kind(payload_type, formats), self.measured) {
            (Kind::Media(_) | Kind::Unknown, Some((of, rate))) if of == payload_type => Kind::Media(rate),
            (kind, _) => kind,
        }
    }

    /// Asks again what the payload type is, at the next packet: SDP has said more.
    pub const fn forget_clock(&mut self) {
        self.hot.rhythm.period = Period::UNKNOWN;
    }

    /// What was taken for media is none; the next media packet says what is.
    pub const fn retract_media(&mut self) {
        self.types.retract_media();
    }

    /// The same packets measured again, knowing more.
    pub fn again(&self, packets: &[Header], formats: &[Format], measured: Option<(u8, u32)>) -> Option<Self> {
        let (first, rest) = packets.split_first()?;
        let (mut again, _) = Self::begin(first, formats, measured);
        for header in rest {
            again.take(header, || formats);
        }
        again.hot.countdown = self.hot.countdown;
        again.hot.flags |= self.hot.flags & (CERTAIN | PROBATION | LEVEL | INTERRUPTED);
        Some(again)
    }

    const fn has(&self, flag: u8) -> bool {
        self.hot.flags & flag != 0
    }

    const fn set(&mut self, flag: u8, on: bool) {
        if on {
            self.hot.flags |= flag;
        } else {
            self.hot.flags &= !flag;
        }
    }

    /// Whether there is doubt that it is RTP, or the first packets are being kept.
    #[inline]
    pub const fn is_young(&self) -> bool {
        self.hot.flags & (CERTAIN | PROBATION) != CERTAIN
    }

    /// Whether the first packets are being kept.
    pub const fn is_on_probation(&self) -> bool {
        self.has(PROBATION)
    }

    /// Begins or ends the keeping of packets.
    pub const fn set_probation(&mut self, on: bool) {
        self.set(PROBATION, on);
    }

    /// Whether this is RTP beyond doubt.
    pub const fn is_certain(&self) -> bool {
        self.has(CERTAIN)
    }

    /// There is no doubt any more that it is RTP.
    pub const fn set_certain(&mut self) {
        self.set(CERTAIN, true);
    }

    /// Whether what came last may have been kept from here.
    #[inline(always)]
    pub const fn is_interrupted(&self) -> bool {
        self.has(INTERRUPTED)
    }

    /// Notes whether it may.
    pub const fn set_interrupted(&mut self, on: bool) {
        self.set(INTERRUPTED, on);
    }

    /// Has the two cache lines fetched that every packet touches.
    #[inline(always)]
    pub fn fetch(&self) {
        fetch_value(&self.hot);
    }

    /// How much is kept of the call it is of, as far as a rule says.
    #[inline(always)]
    pub const fn level(&self) -> Option<Level> {
        Level::from_number((self.hot.flags & LEVEL) >> LEVEL_AT)
    }

    /// Notes it.
    pub const fn set_level(&mut self, level: Option<Level>) {
        let number = match level {
            Some(level) => level as u8,
            None => 0,
        };
        self.hot.flags = (self.hot.flags & !LEVEL) | (number << LEVEL_AT);
    }

    /// Packets until the next look at the endpoint table.
    pub const fn countdown(&mut self) -> &mut u8 {
        &mut self.hot.countdown
    }

    /// The recent numbers.
    pub const fn sequence(&self) -> &Sequence {
        &self.hot.sequence
    }

    /// The account of the numbers.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// The payload types.
    pub const fn types(&self) -> &PayloadTypes {
        &self.types
    }

    /// Silences.
    pub const fn silence(&self) -> &Silence {
        &self.silence
    }

    /// Arrival of the earliest packet.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Arrival of the latest packet.
    pub const fn end(&self) -> Timestamp {
        self.hot.end
    }

    /// Time from the earliest packet to the latest, less that of which nothing is known.
    pub fn span(&self) -> Duration {
        let span = self.hot.end.since(self.start);
        span.saturating_sub(Duration::from_nanos(self.unheard))
    }

    /// Packets taken.
    pub fn packets(&self) -> u64 {
        self.account.packets(&self.hot.sequence)
    }

    /// Numbers that are expected to have arrived.
    pub fn expected(&self) -> u64 {
        self.account.expected(&self.hot.sequence)
    }

    /// Packets the buffers were given.
    fn played(&self) -> u64 {
        self.packets().saturating_sub(self.aside)
    }

    /// Mean and highest jitter, in milliseconds; `None` where no clock was known.
    pub fn jitter(&self) -> Option<(f64, f64)> {
        let regular = self.packets().saturating_sub(self.irregular);
        self.has(ANCHORED).then(|| {
            (
                jitter::mean_ms(&self.hot.meter, regular),
                jitter::max_ms(&self.hot.meter),
            )
        })
    }

    /// The lag of the latest packet and the one farthest from 0, in milliseconds; `None` where no clock was known.
    pub fn lag(&self) -> Option<(f64, f64)> {
        self.has(ANCHORED)
            .then(|| (self.hot.lag as f64 / 1e6, f64::from(self.hot.skew) / 1e3))
    }

    /// Least and most time between two packets, in microseconds.
    pub const fn delta(&self) -> (u32, u32) {
        (self.hot.delta_min, self.hot.delta_max)
    }

    /// What the buffers made of the stream; `None` where no clock was known.
    pub fn playout(&self) -> Option<[playout::Figures; BUFFERS]> {
        self.has(ANCHORED)
            .then(|| self.points.figures(&self.hot.playout, self.played()))
    }

    /// Losses of the network and, with what it discards, of each buffer.
    pub fn bursts(&self) -> [Burst; 1 + BUFFERS] {
        self.account.bursts(&self.hot.sequence)
    }

    /// A payload type whose clock is known by measuring, and that clock in Hz.
    pub const fn measured(&self) -> Option<(u8, u32)> {
        self.measured
    }
}
