//! One RTP stream: an SSRC in one direction.

mod judgement;
mod relay;

use relay::Relay;

use capture_common::Level;

use super::codec::{self, Format, Kind};
use super::endpoints::Endpoints;
use super::events::Events;
use super::join::{Join, UNSEEN};
use super::measurement::Measurement;
use super::playout::BUFFERS;
use super::probation::{Header, Probation};
use super::rtp;
use super::summary;
use super::totals::{Figures, SUMS};
use crate::net::Endpoint;
use crate::report;
use crate::time::Timestamp;

/// What tells streams apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Where the packets come from.
    pub src: Endpoint,
    /// Where they go.
    pub dst: Endpoint,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// When the endpoint table is to be asked about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Not at this packet.
    No,
    /// If it has changed.
    Change,
    /// In any case: the stream was silent, and another call may have begun meanwhile.
    Pause,
    /// In any case: the sender seems to have started over.
    Restart,
}

/// This many packets whose numbers belong together, and it is RTP though nobody announced it. RFC 3550 A.1 asks for two
/// (MIN_SEQUENTIAL) on a port that is known to carry RTP; this port is not.
const CONFIRMED: u64 = 5;

/// Packets between two looks at the endpoint table: for a stream without a call, and for one that has its call.
const LOOK_OFTEN: u8 = 8;
const LOOK_SELDOM: u8 = 64;

/// A pause that may be the end of one call and the beginning of another, in nanoseconds.
pub const PAUSE: u64 = 100_000_000;

/// A stream and all that is known of it.
#[derive(Debug)]
pub struct Stream {
    measurement: Measurement,
    key: Key,
    join: Option<Join>,
    /// Generation of its places at the last look.
    generation: u32,
    /// The first packets, while the clock is in doubt.
    probation: Option<Box<Probation>>,
    /// Timestamp units of a packet and octets of the longest payload, as the first packets had them; 0 where unknown.
    units: u32,
    len: u8,
    /// Where TURN wrapped its packets.
    relay: Option<Box<Relay>>,
    /// Keys pressed, where there are any.
    events: Option<Box<Events>>,
    /// What the lane's totals have been told of it.
    told: Option<Box<Figures>>,
}

const _: () = assert!(size_of::<Stream>() <= 512, "what a stream costs");

impl Stream {
    /// A stream that begins with this packet.
    pub fn begin(ts: Timestamp, key: Key, packet: &rtp::Packet<'_>) -> Self {
        let header = Header::of(ts, packet);
        let (mut measurement, kind) = Measurement::begin(&header, &[], None);
        measurement.set_probation(true);
        *measurement.countdown() = LOOK_OFTEN;
        let mut probation = Box::<Probation>::default();
        probation.keep(header);
        let mut stream = Self {
            measurement,
            key,
            join: None,
            generation: UNSEEN,
            probation: Some(probation),
            units: 0,
            len: 0,
            relay: None,
            events: None,
            told: None,
        };
        if kind == Kind::Event {
            stream.event(ts, *packet);
        }
        stream
    }

    /// What is left where a stream was: nothing that takes memory of its own.
    pub fn husk() -> Self {
        let nobody = Endpoint::default();
        Self {
            measurement: Measurement::begin(&Header::default(), &[], None).0,
            key: Key {
                src: nobody,
                dst: nobody,
                ssrc: 0,
            },
            join: None,
            generation: UNSEEN,
            probation: None,
            units: 0,
            len: 0,
            relay: None,
            events: None,
            told: None,
        }
    }

    /// Has the two cache lines fetched that every packet touches.
    #[inline(always)]
    pub fn fetch(&self) {
        self.measurement.fetch();
    }

    /// Whether the endpoint table should be asked before this packet is taken.
    #[inline(always)]
    pub fn due(&mut self, ts: Timestamp, seq: u16) -> Due {
        let paused = ts.as_nanos().saturating_sub(self.end().as_nanos()) >= PAUSE;
        let sequence = self.measurement.sequence();
        if sequence.is_far(seq) || (paused && sequence.is_behind(seq)) {
            return Due::Restart;
        }
        if paused {
            return Due::Pause;
        }
        let countdown = self.measurement.countdown();
        *countdown = countdown.saturating_sub(1);
        if *countdown > 0 {
            return Due::No;
        }
        *countdown = if self.join.is_some() { LOOK_SELDOM } else { LOOK_OFTEN };
        Due::Change
    }

    /// Has the endpoint table asked at the next packet again.
    pub const fn stay_alert(&mut self) {
        *self.measurement.countdown() = 1;
    }

    /// Takes a packet that nobody has to look at, as nearly all are; whether it was one. Where not, nothing has changed.
    #[inline(always)]
    pub fn flow(&mut self, header: &Header) -> bool {
        const { assert!(PAUSE < 1 << 32) };
        let flows = self.measurement.flow(header, PAUSE);
        if flows && self.measurement.is_on_probation() {
            self.keep(*header);
        }
        flows
    }

    /// Whether its first packets are being kept.
    #[inline(always)]
    pub const fn is_young(&self) -> bool {
        self.measurement.is_on_probation()
    }

    /// Has fetched where a stream's first packets are kept, as long as they are.
    #[inline(always)]
    pub fn fetch_kept(&self) {
        if self.measurement.is_on_probation()
            && let Some(probation) = &self.probation
        {
            probation.fetch();
        }
    }

    /// Takes one packet, and says whether it is a telephone event that can be read.
    #[inline(always)]
    pub fn take(&mut self, ts: Timestamp, packet: &rtp::Packet<'_>) -> bool {
        let mut header = Header::of(ts, packet);
        // The join is in another cache line than what every packet touches: it is looked at where there is a reason.
        if header.may_be_tag() && self.is_encrypted() {
            header.strip_tag();
        }
        let is_event = if self.measurement.is_interrupted() {
            self.resume(&header)
        } else {
            let join = &self.join;
            let formats = || join.as_ref().map_or(&[][..], |join| &join.formats);
            self.measurement.take(&header, formats)
        };
        let is_event = is_event && !self.is_encrypted();
        if is_event {
            self.event(ts, *packet);
        }
        if self.measurement.is_young() {
            self.grow_up(header);
        }
        is_event
    }

    /// Takes the first packet after the level went up from none of the call's RTP, and says whether it is an event. The kernel program
    /// may have dropped those before it: what is missing then was not lost.
    #[cold]
    #[inline(never)]
    fn resume(&mut self, header: &Header) -> bool {
        self.measurement.set_interrupted(false);
        let formats = self.join.as_ref().map_or(&[][..], |join| &join.formats);
        let pause = header.ts.as_nanos().saturating_sub(self.measurement.end().as_nanos());
        if pause < PAUSE {
            return self.measurement.take(header, || formats);
        }
        let Some(kind) = self.measurement.resume(header, formats) else {
            return self.measurement.take(header, || formats);
        };
        // The first packets are measured again from one to the next, and these are not.
        if let Some(count) = self.probation.as_ref().map(|probation| probation.len()) {
            self.end_probation(count, None);
        }
        kind == Kind::Event
    }

    #[cold]
    #[inline(never)]
    fn grow_up(&mut self, header: Header) {
        if !self.is_certain() && self.is_plausible() {
            self.measurement.set_certain();
        }
        if self.measurement.is_on_probation() {
            self.keep(header);
        }
    }

    // By value: what nearly every packet is spared must not be put into memory for it.
    #[cold]
    #[inline(never)]
    fn event(&mut self, ts: Timestamp, packet: rtp::Packet<'_>) {
        Events::take(&mut self.events, ts, &packet);
    }

    /// Puts the stream into a call, or tells it what the call's SDP says by now.
    pub fn join(&mut self, join: Join) {
        let same_formats = self.formats() == &*join.formats;
        self.join = Some(join);
        self.measurement.set_certain();
        if self.is_encrypted() {
            // What was read as events before it was known.
            self.events = None;
            if let Some(probation) = &mut self.probation {
                probation.strip_tags();
            }
        }
        if same_formats {
            return;
        }
        if let Some(probation) = &self.probation {
            // As if it had been said before the first packet.
            if let Some(again) = self.measurement.again(&probation.packets(), self.formats(), None) {
                self.measurement = again;
            }
            let mut judgements = probation.judgements();
            if let Some(count) = judgements.find(|&count| self.judge(count).is_certain) {
                self.end_probation(count, None);
            }
            return;
        }
        let media = self.measurement.types().first_media();
        if let Some(Kind::Noise(_) | Kind::Event) = media.map(|media| codec::kind(media, self.formats())) {
            self.measurement.retract_media();
        }
        self.measurement.forget_clock();
    }

    /// Whether telephone events were read.
    pub const fn has_events(&self) -> bool {
        self.events.is_some()
    }

    fn is_encrypted(&self) -> bool {
        self.join.as_ref().is_some_and(|join| join.srtp == Some(true))
    }

    fn formats(&self) -> &[Format] {
        self.join.as_ref().map_or(&[], |join| &join.formats)
    }

    /// What tells this stream from others.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// Arrival of the first packet.
    pub const fn start(&self) -> Timestamp {
        self.measurement.start()
    }

    /// Arrival of the latest packet.
    pub const fn end(&self) -> Timestamp {
        self.measurement.end()
    }

    /// How much is kept of its call, as far as a rule says and as of the last look at it.
    #[inline(always)]
    pub const fn level(&self) -> Option<Level> {
        self.measurement.level()
    }

    /// Looks at how much is kept of its call at `ts`.
    pub fn note_level(&mut self, ts: Timestamp, endpoints: &Endpoints) {
        let Some(join) = &self.join else { return };
        let Key { src, dst, .. } = self.key;
        let (inner_src, inner_dst) = self.known_ends();
        let behind = [(inner_src, src), (inner_dst, dst)];
        let behind = behind.into_iter().filter(|(inner, outer)| inner != outer);
        let ends = [src, dst].into_iter().chain(behind.map(|(inner, _)| inner));
        let level = endpoints.wanted(&join.lease, ends, ts);
        let kept = |level: Option<Level>| level.unwrap_or(endpoints.default_level());
        if kept(self.level()) == Level::Signaling && kept(level) != Level::Signaling {
            self.measurement.set_interrupted(true);
        }
        self.measurement.set_level(level);
    }

    /// The call it belongs to.
    pub const fn joined(&self) -> Option<&Join> {
        self.join.as_ref()
    }

    /// Remembers the generation of its places; returns whether it is another than at the last look.
    pub const fn look(&mut self, generation: u32) -> bool {
        let moved = self.generation != generation;
        self.generation = generation;
        moved
    }

    /// Whether this is RTP beyond doubt: a call announced it, or it behaves like nothing else does.
    pub const fn is_certain(&self) -> bool {
        self.measurement.is_certain()
    }

    /// RTP goes to even ports (RFC 3550 section 11), its payload type is assigned or dynamic (RFC 3551 section 3), and of the
    /// numbers it spans at most one in five is missing. Their order says nothing.
    fn is_plausible(&self) -> bool {
        let lost = self.measurement.account().lost();
        let arrived = self.measurement.expected() - lost;
        let first = self.measurement.types().first();
        arrived >= CONFIRMED
            && lost * 4 <= arrived
            && self.key.dst.port().is_multiple_of(2)
            && (codec::assigned(first).is_some() || first >= codec::DYNAMIC)
    }

    /// The payload type whose clock matters most: the media's, as far as there is any.
    pub fn payload_type(&self) -> u8 {
        self.measurement.types().main()
    }

    /// Adds to the totals of the lane, and to those of its call's rule, what has come since the last time, and says whether
    /// anything has. What was lost and arrived after all is taken away.
    pub fn tell(&mut self, sums: &mut [i64; SUMS]) -> bool {
        let [fixed_50, fixed_200, adaptive] = match self.measurement.playout() {
            Some(buffers) => buffers.map(|buffer| buffer.discarded),
            None => [0; BUFFERS],
        };
        let account = self.measurement.account();
        let now: Figures = [
            self.measurement.packets(),
            account.lost(),
            account.late(),
            account.copies(),
            fixed_50,
            fixed_200,
            adaptive,
            self.events.as_ref().map_or(0, |events| events.count()),
        ]
        .map(|figure| figure as u32);
        let told = self.told.get_or_insert_default();
        let moved = **told != now;
        if moved && let Some(rule) = self.join.as_ref().and_then(|join| join.lease.rule()) {
            let [packets, ..] = now;
            let [before, ..] = **told;
            rule.tally.packets(packets.wrapping_sub(before).into());
        }
        for ((sum, now), told) in sums.iter_mut().zip(now).zip(told.iter_mut()) {
            *sum += i64::from(now.wrapping_sub(*told).cast_signed());
            *told = now;
        }
        moved
    }

    /// What is to be told about the stream.
    pub fn report(&self) -> report::Stream {
        let keys = self.events.as_deref();
        report::Stream {
            via: self.relay.as_ref().map(|relay| relay.report()),
            dtmf: keys.map(|events| events.report(self.formats(), self.key.src, self.key.ssrc)),
            ..summary::stream(&self.key, &self.measurement, self.join.as_ref(), self.traits())
        }
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod summary_tests;
#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
