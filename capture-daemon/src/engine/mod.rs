//! The engine: frames in, facts out. It has no clock, no socket and no thread; one belongs to each lane.

mod batch;
mod carried;
mod counters;
mod descriptions;
mod document;
mod joined;
mod media;
mod plain;
mod portion;
mod ports;
mod rtp_figures;
mod shared;
mod signaling;
mod turn;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use capture_common::Level;

pub use counters::EngineCounters;
pub use document::{document, join, rtcp_counts, sip_counts, turn_figures};
pub use joined::{calls, one_call};
pub use rtp_figures::rtp_figures;
pub use shared::Shared;

use self::carried::Carried;
use self::media::Media;
use self::plain::Plain;
use self::portion::End;
use self::ports::PortSet;
use self::signaling::Signaling;
use self::turn::Relaying;
use crate::config::{Capture, Follow};
use crate::frame::{Frame, Keep};
use crate::frontier::Frontier;
use crate::media::{STREAM_PARTS, Slice, Streams, rtp};
use crate::net::{self, Decoded, Endpoint, Fragment, Limits, Offer, Packet, Segment, Taken, TcpStreams, Transport};
use crate::outcome::{Losses, Outcome};
use crate::report;
use crate::sip;
use crate::time::Timestamp;
use crate::turn::{Path, stun};

/// Packet time between two looks at what has grown old. Each look is at a small part of the tables.
const TICK: Duration = Duration::from_millis(100);

/// The pieces that one look is done in, so that a worker's ring waits for one of them only: TCP and TURN, streams, calls, what is asked
/// and answered outside of calls, and what is known of media.
const STREAMS: u8 = 1;
const CALLS: u8 = STREAMS + STREAM_PARTS;
const REQUESTS: u8 = CALLS + 4;
const MEDIA: u8 = REQUESTS + 4;
const PIECES: u8 = MEDIA + 1;

/// Datagrams that one fragment may complete, one inside the other. More is an attack.
const MAX_REASSEMBLIES: usize = 4;

/// What one lane makes of its frames.
#[derive(Debug)]
pub struct Engine {
    sip_ports: PortSet,
    /// Those, and the ports of tunnels over UDP: a datagram on any other is not looked into before it is read as RTP.
    looked_into: PortSet,
    /// Where TCP may carry SIP, as it is or in WebSocket, or TURN.
    stream_ports: PortSet,
    tcp: TcpStreams<Carried>,
    streams: Streams,
    signaling: Signaling,
    relaying: Relaying,
    shared: Arc<Shared>,
    counters: Arc<EngineCounters>,
    /// What a batch is looked at ahead in.
    ahead: Vec<Plain>,
    ticked: Timestamp,
    /// The next piece of the look that has begun; [`PIECES`] after the last.
    piece: u8,
    /// The level of calls under no rule, and of what is of no call.
    level: Level,
}

impl Engine {
    /// An engine that remembers as much as `follow` says and takes the ports for what `capture` says. What begins as SIP
    /// or STUN does is read on any port, and so is RTP: which ports are captured is decided where frames come from.
    pub fn new(follow: &Follow, capture: &Capture, shared: Arc<Shared>) -> Self {
        let streams = Streams::new(follow).beside(Arc::clone(&shared.rtcp));
        let counters = Arc::new(EngineCounters::of(streams.totals()));
        Self {
            sip_ports: PortSet::new(&capture.sip_ports),
            looked_into: PortSet::new(&[&capture.sip_ports[..], &net::TUNNEL_PORTS].concat()),
            stream_ports: PortSet::new(
                &[&capture.sip_ports[..], &capture.websocket_ports, &capture.turn_ports].concat(),
            ),
            tcp: TcpStreams::new(Limits {
                directions: follow.max_tcp_streams,
                buffer: follow.tcp_buffer,
                total: follow.tcp_memory,
            }),
            streams,
            level: shared.rules.default_level(),
            signaling: Signaling::new(follow, Arc::clone(&shared), Arc::clone(&counters)),
            relaying: Relaying::new(&capture.turn_ports, Arc::clone(&shared), Arc::clone(&counters)),
            shared,
            counters,
            ahead: vec![Plain::NONE; batch::AHEAD],
            ticked: Timestamp::ZERO,
            piece: PIECES,
        }
    }

    /// Takes in one frame, which ends in exactly one [`Outcome`], and says how much of it is to be kept.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Keep {
        let End { outcome, portion } = match net::datagram(frame.link, frame.bytes) {
            Some(packet) => self.packet(frame.ts, &packet),
            None => self.any(frame),
        };
        self.counters.count(frame, outcome);
        portion.of(frame.bytes)
    }

    /// Takes in what is not just UDP in IP in Ethernet.
    #[inline(never)]
    fn any<'a>(&mut self, frame: &Frame<'a>) -> End<'a> {
        match net::decode(frame.link, frame.bytes) {
            Ok(Decoded::Packet(packet)) => self.packet(frame.ts, &packet),
            // Of a datagram whose first pieces were kept the last is not left out.
            Ok(Decoded::Fragment(fragment)) => self.fragment(frame.ts, &fragment).into(),
            Err(outcome) => outcome.into(),
        }
    }

    // One function with `frame`, down to the streams: what each of these hands on stays in registers.
    #[inline(always)]
    fn packet<'a>(&mut self, ts: Timestamp, packet: &Packet<'a>) -> End<'a> {
        match packet.transport {
            Transport::Udp(payload) => self.datagram(ts, packet.src, packet.dst, payload, packet.missing),
            Transport::Tcp(segment) => self.segment(ts, packet.src, packet.dst, &segment).into(),
        }
    }

    /// Takes a fragment, and goes on with the datagram it completes. That may carry a fragment in turn, of a datagram
    /// inside a tunnel.
    #[cold]
    #[inline(never)]
    fn fragment(&mut self, ts: Timestamp, fragment: &Fragment<'_>) -> Outcome {
        let losses = &self.counters.losses;
        let mut whole = self.shared.fragments.take(ts, fragment, losses);
        for _ in 0..MAX_REASSEMBLIES {
            let Some(datagram) = &whole else {
                return Outcome::Fragment;
            };
            whole = match datagram.decode() {
                Ok(Decoded::Packet(packet)) => return self.packet(datagram.ts, &packet).outcome,
                Ok(Decoded::Fragment(fragment)) => self.shared.fragments.take(datagram.ts, &fragment, losses),
                Err(outcome) => return outcome,
            };
        }
        Outcome::IpMalformed
    }

    #[inline(always)]
    fn datagram<'a>(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        payload: &'a [u8],
        missing: usize,
    ) -> End<'a> {
        // What any_datagram would find in the end, after it asked whether it is anything else.
        let endpoints = &self.shared.endpoints;
        if !self.is_sip(src, dst)
            && !endpoints.may_be_fax([src.port(), dst.port()])
            && let rtp::Kind::Rtp(packet) = rtp::read_cut(payload, missing)
        {
            let heard = self
                .streams
                .packet(ts, src, dst, &packet, endpoints, &self.counters.losses);
            return End::of_rtp(heard, packet.payload, self.level);
        }
        self.any_datagram(ts, src, dst, payload, missing)
    }

    #[inline(never)]
    fn any_datagram<'a>(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        payload: &'a [u8],
        missing: usize,
    ) -> End<'a> {
        if sip::begins(payload) {
            return self.signaling.datagram(ts, src, dst, payload).into();
        }
        // STUN keeps a flow open too (RFC 5626 section 3.5.2), and ICE may run on any port.
        if self.is_sip(src, dst) && !stun::begins(payload) {
            return keepalive(payload).into();
        }
        self.media()
            .datagram(ts, Path { src, dst, tcp: false }, payload, missing)
    }

    fn media(&mut self) -> Media<'_> {
        Media {
            streams: &mut self.streams,
            relaying: &mut self.relaying,
            shared: &self.shared,
            counters: &self.counters,
        }
    }

    #[inline(never)]
    fn segment(&mut self, ts: Timestamp, src: Endpoint, dst: Endpoint, segment: &Segment<'_>) -> Outcome {
        let ports = &self.stream_ports;
        let is_followed = ports.contains(dst.port())
            || ports.contains(src.port())
            || carried::begins(segment.payload)
            || self.tcp.follows(src, dst);
        if !is_followed {
            return Outcome::OtherTcp;
        }
        let carried = self.read_tcp(|tcp, losses, read| tcp.push(ts, src, dst, segment, losses, read));
        if carried == Carried::Turn && (segment.flags.fin() || segment.flags.rst()) {
            self.shared.turn.closed(ts, src, dst, &self.counters.losses);
        }
        match carried {
            Carried::Unknown if self.relaying.is_on_port(src, dst) => Outcome::TurnTcp,
            Carried::Unknown | Carried::Sip | Carried::WebSocket => Outcome::SipTcp,
            Carried::Turn => Outcome::TurnTcp,
            Carried::Web | Carried::Tls => Outcome::OtherTcp,
        }
    }

    /// Has TCP directions read by whoever understands what they carry.
    fn read_tcp<R>(
        &mut self,
        with: impl FnOnce(&mut TcpStreams<Carried>, &Losses, &mut dyn FnMut(&Offer<'_>, &mut Carried) -> Taken) -> R,
    ) -> R {
        let signaling = &self.signaling;
        let mut media = Media {
            streams: &mut self.streams,
            relaying: &mut self.relaying,
            shared: &self.shared,
            counters: &self.counters,
        };
        with(&mut self.tcp, &self.counters.losses, &mut |offer, carried| {
            carried::read(offer, carried, signaling, &mut media)
        })
    }

    fn is_sip(&self, src: Endpoint, dst: Endpoint) -> bool {
        self.sip_ports.contains(dst.port()) || self.sip_ports.contains(src.port())
    }

    /// Lets what is over by `now` go. Cheap when called often.
    pub fn tick(&mut self, now: Timestamp) {
        while self.tick_a_little(now) {}
    }

    /// The same, a piece at a time: whether there is more to do now.
    pub fn tick_a_little(&mut self, now: Timestamp) -> bool {
        if self.piece == PIECES {
            // Time that goes back by more than frames of two queues do is a clock that was set.
            if now.since(self.ticked) < TICK && self.ticked.since(now) < TICK {
                return false;
            }
            self.ticked = now;
            self.piece = 0;
        }
        self.tick_piece(self.piece, now);
        self.piece += 1;
        self.piece < PIECES
    }

    fn tick_piece(&mut self, piece: u8, now: Timestamp) {
        match piece {
            ..STREAMS => {
                self.read_tcp(|tcp, losses, read| tcp.tick(now, losses, read));
                self.relaying.flush();
                self.counters.tcp_streams.set(self.tcp.len() as u64);
            }
            STREAMS..CALLS => {
                if piece - STREAMS >= self.streams.parts() {
                    return;
                }
                let losses = &self.counters.losses;
                for (call_id, sender, start, end) in self.streams.tick(now, &self.shared.endpoints, losses) {
                    self.shared.calls.hear(&call_id, sender, start, end);
                }
                self.counters.streams.set(self.streams.len() as u64);
                self.counters.waiting.set(self.streams.waiting() as u64);
            }
            CALLS..REQUESTS => self.shared.sweep_calls(now, &self.counters.losses),
            REQUESTS..MEDIA => self.shared.sweep_requests(now),
            MEDIA.. => self.shared.sweep_media(now, &self.counters.losses),
        }
    }

    /// [Gives up](finish) what waits for more, where this is the only lane.
    pub fn finish(&mut self) {
        finish(std::slice::from_mut(self));
    }

    /// Reads what there is of SIP and TURN that waits for more.
    fn end_signaling(&mut self) {
        self.shared.fragments.finish(&self.counters.losses);
        self.read_tcp(|tcp, losses, read| tcp.finish(losses, read));
        self.relaying.flush();
    }

    /// The counters, for other threads to read.
    pub fn counters(&self) -> Arc<EngineCounters> {
        Arc::clone(&self.counters)
    }

    /// Where its next streams will lie, for other threads to read.
    pub fn frontier(&self) -> Arc<Frontier> {
        self.streams.frontier()
    }

    /// The RTP streams of this lane.
    pub fn streams(&mut self) -> Vec<report::Stream> {
        let mut streams = self.streams.report(&self.shared.endpoints, &self.counters.losses);
        for stream in &mut streams {
            self.shared.disclose(stream.dtmf.as_mut());
        }
        streams
    }

    /// A part of them, from `cursor` (0 at first) and out of at most `max` places, to answer with between two batches.
    pub fn streams_from(&mut self, cursor: usize, max: usize) -> Slice {
        let (endpoints, losses) = (&self.shared.endpoints, &self.counters.losses);
        let mut slice = self.streams.slice(cursor, max, endpoints, losses);
        for stream in &mut slice.streams {
            self.shared.disclose(stream.dtmf.as_mut());
        }
        slice
    }
}

/// Gives up what waits for more: no more frames will come, of any of these lanes, which share what they know. What one of them still
/// has to say of calls and endpoints another's streams may wait for.
pub fn finish(lanes: &mut [Engine]) {
    lanes.iter_mut().for_each(Engine::end_signaling);
    for _ in 0..2 {
        for lane in &mut *lanes {
            lane.streams.settle(&lane.shared.endpoints, &lane.counters.losses);
        }
    }
    for lane in lanes {
        lane.streams.close(&lane.counters.losses);
    }
}

/// A datagram on a SIP port that does not begin as SIP does: what keeps a NAT binding open, or nothing siphon knows.
fn keepalive(payload: &[u8]) -> Outcome {
    if payload.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        Outcome::Keepalive
    } else {
        Outcome::SipMalformed
    }
}
