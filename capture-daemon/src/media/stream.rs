//! One RTP stream: an SSRC in one direction.

use super::codec::{self, Format, Kind};
use super::endpoints::Endpoints;
use super::jitter::{Candidates, Meter, Rhythm};
use super::join::Join;
use super::rtp;
use super::sequence::{Arrival, Sequence};
use crate::net::Endpoint;
use crate::report;
use crate::time::Timestamp;
use crate::turn::{Ends, Path, Via};

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

/// A pause that may be the end of one call and the beginning of another.
const PAUSE_MS: u128 = 100;

/// What every packet touches: two cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Hot {
    sequence: Sequence,
    /// Arrival of the latest packet.
    end: Timestamp,
    rhythm: Rhythm,
    /// At the clocks that are known.
    meter: Meter,
    /// Clock of the last packet's payload type in Hz; 0 where it takes another look to know what the type is.
    clock_rate: u32,
    /// Payload type of the last packet.
    payload_type: u8,
    flags: u8,
    /// Packets until the next look at the endpoint table.
    countdown: u8,
}

/// The last packet of the stream's rhythm was comfort noise.
const AFTER_NOISE: u8 = 1;
/// There are candidates for the clock.
const UNDECIDED: u8 = 2;
/// There is no doubt that it is RTP.
const CERTAIN: u8 = 4;

impl Hot {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn set(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }
}

/// A stream and all that is known of it.
#[derive(Debug)]
pub struct Stream {
    hot: Hot,
    key: Key,
    start: Timestamp,
    join: Option<Join>,
    /// Generation of the endpoint table at the last look.
    generation: u64,
    /// First payload type that is neither comfort noise nor telephone-event.
    media: Option<u8>,
    /// First payload type, whatever it is.
    first: u8,
    /// While packets of unknown clock are in the stream.
    candidates: Option<Box<Candidates>>,
    /// Where TURN wrapped its packets.
    relay: Option<Box<Relay>>,
}

/// How a stream went through TURN, and what is known of its ends behind it.
#[derive(Clone, Copy, Debug)]
struct Relay {
    via: Via,
    ends: Ends,
}

const _: () = assert!(size_of::<Hot>() <= 128, "two cache lines per packet");
const _: () = assert!(size_of::<Option<Stream>>() <= 512, "what a stream costs");

impl Stream {
    /// A stream that begins with this packet.
    pub fn begin(ts: Timestamp, key: Key, packet: &rtp::Packet<'_>) -> Self {
        let mut stream = Self {
            hot: Hot {
                sequence: Sequence::first(packet.seq),
                end: ts,
                rhythm: Rhythm::new(ts, packet.timestamp),
                meter: Meter::default(),
                clock_rate: 0,
                payload_type: packet.payload_type,
                flags: 0,
                countdown: LOOK_OFTEN,
            },
            key,
            start: ts,
            join: None,
            generation: 0,
            media: None,
            first: packet.payload_type,
            candidates: None,
            relay: None,
        };
        stream.recognise(packet);
        stream
    }

    /// Whether the endpoint table should be asked before this packet is taken.
    pub fn due(&mut self, ts: Timestamp, seq: u16) -> Due {
        let paused = ts.since(self.hot.end).as_millis() >= PAUSE_MS;
        if self.hot.sequence.is_far(seq) || (paused && self.hot.sequence.is_behind(seq)) {
            return Due::Restart;
        }
        if paused {
            return Due::Pause;
        }
        self.hot.countdown = self.hot.countdown.saturating_sub(1);
        if self.hot.countdown > 0 {
            return Due::No;
        }
        self.hot.countdown = if self.join.is_some() { LOOK_SELDOM } else { LOOK_OFTEN };
        Due::Change
    }

    /// Has the endpoint table asked at the next packet again.
    pub const fn stay_alert(&mut self) {
        self.hot.countdown = 1;
    }

    /// Takes one packet.
    pub fn take(&mut self, ts: Timestamp, packet: &rtp::Packet<'_>) {
        let step = self.hot.rhythm.step(ts, packet.timestamp);
        let clock_rate = self.hot.clock_rate;
        let same_type = packet.payload_type == self.hot.payload_type;
        let arrival = self.hot.sequence.arrive(packet.seq, || {
            same_type && clock_rate != 0 && step.is_forward() && step.deviation(clock_rate) < 1000.0
        });
        if ts < self.hot.end {
            self.start = self.start.min(ts);
        } else {
            self.hot.end = ts;
        }
        if !self.is_certain() && self.is_plausible() {
            self.hot.set(CERTAIN, true);
        }
        match arrival {
            Arrival::Stray => return,
            Arrival::Restart => {
                self.recognise(packet);
                self.hot.rhythm.move_to(ts, packet.timestamp);
                return;
            }
            Arrival::Next | Arrival::Ahead | Arrival::Late | Arrival::Copy => {}
        }
        let kind = if same_type && clock_rate != 0 {
            Kind::Media(clock_rate)
        } else {
            self.recognise(packet)
        };
        let (clock_rate, noise) = match kind {
            Kind::Media(rate) => (Some(rate), false),
            Kind::Noise(rate) => (Some(rate), true),
            Kind::Unknown => (None, false),
            Kind::Event => return,
        };
        let regular = !packet.marker && !noise && !self.hot.has(AFTER_NOISE);
        self.hot.set(AFTER_NOISE, noise);
        if regular {
            self.hot.rhythm.count();
        }
        self.hot.meter.take(step, clock_rate, regular);
        if self.hot.has(UNDECIDED)
            && let Some(candidates) = &mut self.candidates
        {
            candidates.take(step, clock_rate, regular);
        }
        self.hot.rhythm.move_to(ts, packet.timestamp);
    }

    /// Finds out what a packet's payload type is, and remembers it for the next packets.
    #[cold]
    fn recognise(&mut self, packet: &rtp::Packet<'_>) -> Kind {
        let kind = match Kind::of(packet.payload_type, self.formats()) {
            // An event of RFC 4733 is four bytes; no codec's frames are. Without SDP this is how to know it. An empty packet of
            // SRTP is four bytes too: its tag (RFC 5764 section 4.1.2, HMAC_SHA1_32).
            Kind::Unknown if packet.payload.len() == 4 && !self.is_encrypted() => Kind::Event,
            kind => kind,
        };
        self.hot.payload_type = packet.payload_type;
        self.hot.clock_rate = match kind {
            Kind::Media(rate) => rate,
            Kind::Noise(_) | Kind::Event | Kind::Unknown => 0,
        };
        match kind {
            Kind::Media(_) | Kind::Unknown => self.media = self.media.or(Some(packet.payload_type)),
            Kind::Noise(_) | Kind::Event => {}
        }
        if kind == Kind::Unknown && self.candidates.is_none() {
            self.candidates = Some(Box::new(Candidates::from(self.hot.meter)));
            self.hot.set(UNDECIDED, true);
        }
        kind
    }

    /// Puts the stream into a call, or tells it what the call's SDP says by now.
    pub fn join(&mut self, join: Join) {
        self.join = Some(join);
        self.hot.set(CERTAIN, true);
        let Some(media) = self.media else {
            return;
        };
        match Kind::of(media, self.formats()) {
            Kind::Media(rate) => {
                if let Some(candidates) = self.candidates.take() {
                    self.hot.meter = candidates.settle(rate).unwrap_or(self.hot.meter);
                }
            }
            // What was taken for media is none; the next media packet says what is.
            Kind::Noise(_) | Kind::Event => {
                self.media = None;
                self.candidates = None;
            }
            Kind::Unknown => {}
        }
        self.hot.set(UNDECIDED, self.candidates.is_some());
        // Ask again at the next packet.
        self.hot.clock_rate = 0;
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
        self.start
    }

    /// Arrival of the latest packet.
    pub const fn end(&self) -> Timestamp {
        self.hot.end
    }

    /// The stream's packets came inside of TURN. A client begins with indications and goes on with a channel.
    pub fn wrap(&mut self, via: Via) {
        match &mut self.relay {
            Some(relay) => relay.via.channel = relay.via.channel.or(via.channel),
            None => {
                self.relay = Some(Box::new(Relay {
                    via,
                    ends: Ends::default(),
                }));
            }
        }
    }

    /// Source and destination as SDP may name them: behind the server where TURN wraps the packets, as far as that is
    /// known at `ts`.
    pub fn ends(&mut self, ts: Timestamp, endpoints: &Endpoints) -> (Endpoint, Endpoint) {
        let Key { src, dst, .. } = self.key;
        let Some(relay) = &mut self.relay else {
            return (src, dst);
        };
        let tcp = relay.via.tcp;
        relay.ends = endpoints.behind(ts, Path { src, dst, tcp }, relay.via);
        let Ends {
            relayed,
            peer,
            from_client,
        } = relay.ends;
        if from_client {
            (relayed.unwrap_or(src), peer.unwrap_or(dst))
        } else {
            (peer.unwrap_or(src), relayed.unwrap_or(dst))
        }
    }

    /// The call it belongs to.
    pub const fn joined(&self) -> Option<&Join> {
        self.join.as_ref()
    }

    /// Remembers the generation of the endpoint table; returns whether it is another than at the last look.
    pub const fn look(&mut self, generation: u64) -> bool {
        let moved = self.generation != generation;
        self.generation = generation;
        moved
    }

    /// Whether this is RTP beyond doubt: a call announced it, or it behaves like nothing else does.
    pub const fn is_certain(&self) -> bool {
        self.hot.has(CERTAIN)
    }

    /// RTP goes to even ports (RFC 3550 section 11), its payload type is assigned or dynamic (RFC 3551 section 3), and of the
    /// numbers it spans at most one in five is missing. Their order says nothing.
    fn is_plausible(&self) -> bool {
        let sequence = &self.hot.sequence;
        let arrived = sequence.expected() - sequence.lost();
        arrived >= CONFIRMED
            && sequence.lost() * 4 <= arrived
            && self.key.dst.port().is_multiple_of(2)
            && (codec::assigned(self.first).is_some() || self.first >= codec::DYNAMIC)
    }

    /// The payload type whose clock matters most: the media's, as far as there is any.
    pub fn payload_type(&self) -> u8 {
        self.media.unwrap_or(self.first)
    }

    /// What is to be told about the stream.
    pub fn report(&self) -> report::Stream {
        let payload_type = self.payload_type();
        let announced = self.formats().iter().find(|f| f.payload_type == payload_type);
        let codec = codec::assigned(payload_type)
            .map(|(name, _)| name)
            .or(announced.map(|format| &*format.encoding));
        let clock_rate = match Kind::of(payload_type, self.formats()) {
            Kind::Media(rate) | Kind::Noise(rate) => Some(rate),
            Kind::Event => announced.map(|format| format.clock_rate),
            Kind::Unknown => None,
        };
        let Hot {
            sequence,
            meter,
            rhythm,
            end,
            ..
        } = &self.hot;
        report::Stream {
            ssrc: format!("0x{:08x}", self.key.ssrc),
            src: self.key.src.to_string(),
            dst: self.key.dst.to_string(),
            payload_type,
            codec: codec.map(str::to_owned),
            clock_rate,
            packets: sequence.packets(),
            expected: sequence.expected(),
            lost: sequence.lost(),
            reordered: sequence.late(),
            duplicates: sequence.copies(),
            jitter_mean_ms: clock_rate.map(|_| meter.mean(rhythm.regular())),
            jitter_max_ms: clock_rate.map(|_| meter.max()),
            start: self.start,
            end: *end,
            call_id: self.join.as_ref().map(|join| join.call_id.to_string()),
            linked_by: self.join.as_ref().map(|join| join.link.by),
            direction: self.join.as_ref().and_then(|join| join.sender).map(report::Way::from),
            encrypted: self.is_encrypted().then_some(report::Encryption::Srtp),
            via: self.relay.as_ref().map(|relay| relay.report()),
        }
    }
}

impl Relay {
    fn report(&self) -> report::Via {
        let text = |endpoint: Option<Endpoint>| endpoint.map(|endpoint| endpoint.to_string());
        report::Via {
            kind: match self.via.channel {
                Some(_) => "turn_channel",
                None => "turn_indication",
            }
            .to_owned(),
            channel: self.via.channel.map(|number| format!("{number:#06x}")),
            relayed: text(self.ends.relayed),
            peer: text(self.ends.peer),
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
