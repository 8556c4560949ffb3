//! The streams of one lane: those that are told of, and a waiting room for what looks like RTP and whose SDP may still come.

use std::sync::Arc;
use std::time::Duration;

use capture_common::Level;

use super::announcement::LEAD;
use super::endpoints::Endpoints;
use super::index::{Index, Print, Seeds};
use super::join::{self, Look};
use super::probation::Header;
use super::rtcp::Sources;
use super::rtp;
use super::slots::Slots;
use super::stream::{Due, Key, Stream};
use super::summary::converse;
use super::totals::{SUMS, StreamTotals};
use crate::config::Follow;
use crate::frontier::Frontier;
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses, Outcome};
use crate::report::{self, Party};
use crate::time::Timestamp;
use crate::turn::{Path, Via};

/// Parts of the slots that are looked through in a look at what has grown old.
pub const PARTS: u8 = 8;

/// Slots of each room looked through for idle streams at once.
const SWEEP: usize = 128;

/// Streams let go at once: what is said of one at its end takes some microseconds.
const LEAVE: usize = 16;

/// Packet time from one time that is told what came of streams to the next, where they are so few that it could be oftener: whoever
/// asks does so every few seconds.
const TELL: Duration = Duration::from_secs(1);

/// What was heard of a call: its Call-ID, who sent it, first and latest packet.
pub type News = (Arc<str>, Option<Party>, Timestamp, Timestamp);

/// A part of the answer to "which streams are there".
#[derive(Debug)]
pub struct Slice {
    /// Streams of this part.
    pub streams: Vec<report::Stream>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<usize>,
}

/// What came of an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is of a stream that is told of.
    pub outcome: Outcome,
    /// How much is kept of its call; `None` where it has none, or no rule says.
    pub level: Option<Level>,
    /// It is a telephone event (RFC 4733) and not encrypted.
    pub is_event: bool,
}

/// Where a stream is: a slot of one of the two rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat(u32);

impl Seat {
    /// Where nobody sits.
    pub const NOBODY: Self = Self(u32::MAX);

    const WAITS: u32 = 1 << 31;

    const fn told(at: u32) -> Self {
        Self(at)
    }

    const fn waiting(at: u32) -> Self {
        Self(at | Self::WAITS)
    }

    const fn waits(self) -> bool {
        self.0 & Self::WAITS != 0
    }

    const fn at(self) -> u32 {
        self.0 & !Self::WAITS
    }
}

/// One look after the other at all slots.
#[derive(Debug, Default)]
struct Round {
    /// Slots that this one has still to come to.
    left: usize,
    /// Whether what came of streams is told in it.
    tells: bool,
    /// When the last one began that did.
    told: Timestamp,
}

impl Round {
    /// Comes to the next of so many slots, and says whether what came of its stream is to be told.
    fn tells(&mut self, ts: Timestamp, slots: usize) -> bool {
        if self.left == 0 {
            self.left = slots;
            // Time that goes back further is a clock that was set.
            self.tells = ts.since(self.told) >= TELL || self.told.since(ts) >= TELL;
            if self.tells {
                self.told = ts;
            }
        }
        self.left = self.left.saturating_sub(1);
        self.tells
    }
}

/// Streams followed at once, by source, destination and SSRC.
#[derive(Debug)]
pub struct Streams {
    /// Seat of the stream that packets with this key belong to. A stream whose call is over may stay in its slot
    /// while another has taken its key.
    index: Index,
    seeds: Seeds,
    /// Streams that belong to calls, and those told of without.
    told: Slots,
    /// What no SDP has announced yet.
    waiting: Slots,
    round: Round,
    linger: Duration,
    /// What behaves like RTP is told of though no SDP announced it.
    without_sip: bool,
    /// Sums over all streams that were ever told of, and where others read them.
    sums: [i64; SUMS],
    totals: Arc<StreamTotals>,
    /// What RTCP says of streams, where anybody listens to it.
    rtcp: Option<Arc<Sources>>,
}

impl Streams {
    /// Follows as many streams as `follow` says; one that is idle for its `linger` leaves.
    pub fn new(follow: &Follow) -> Self {
        let max = follow.max_streams.saturating_add(follow.waiting_room);
        Self {
            index: Index::new(max),
            seeds: Seeds::draw(),
            told: Slots::new(follow.max_streams),
            waiting: Slots::new(follow.waiting_room),
            round: Round::default(),
            linger: follow.linger,
            without_sip: follow.rtp_without_sip,
            sums: [0; SUMS],
            totals: Arc::default(),
            rtcp: None,
        }
    }

    /// The same with what RTCP says of them.
    pub fn beside(self, rtcp: Arc<Sources>) -> Self {
        Self {
            rtcp: Some(rtcp),
            ..self
        }
    }

    /// Where the next of them will lie, for other threads to read.
    pub fn frontier(&self) -> Arc<Frontier> {
        self.told.frontier()
    }

    /// What the streams come to, for other threads to read.
    pub fn totals(&self) -> Arc<StreamTotals> {
        Arc::clone(&self.totals)
    }

    /// Takes what reads as an RTP packet. One whose endpoints nobody announced waits, and is `OtherUdp` until someone does.
    #[inline(always)]
    pub fn packet(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Heard {
        let (ssrc, print) = (packet.ssrc, self.print(src, dst, packet.ssrc));
        self.take(ts, &Key { src, dst, ssrc }, print, None, packet, endpoints, losses)
    }

    /// What packets of an SSRC between these ends are known by.
    #[inline(always)]
    pub fn print(&self, src: Endpoint, dst: Endpoint, ssrc: u32) -> Print {
        self.seeds.print(&Key { src, dst, ssrc })
    }

    /// The same of addresses of IPv4, source first, as one number; `rest` is the ports, source first, and the SSRC.
    #[inline(always)]
    pub const fn print_v4(&self, addresses: u64, rest: u64) -> Print {
        self.seeds.print_v4(addresses, rest)
    }

    /// Has fetched where a print's seat is looked up.
    #[inline(always)]
    pub fn fetch_entry(&self, print: Print) {
        self.index.fetch(print);
    }

    /// Where the stream with this print sits, as long as there are no [`changes`](Self::changes).
    #[inline(always)]
    pub fn seat_of(&self, print: Print) -> Seat {
        self.index.get(print).map_or(Seat::NOBODY, Seat)
    }

    /// How often a seat was given or taken.
    #[inline(always)]
    pub const fn changes(&self) -> u64 {
        self.index.changes()
    }

    /// Has the two cache lines fetched that a packet touches of the stream that sits there. Of one that waits more is touched, and
    /// there are few.
    #[inline(always)]
    pub fn fetch(&self, seat: Seat) {
        if !seat.waits() {
            self.told.fetch(seat.at());
        }
    }

    /// Whether the first packets of the stream that sits there are being kept: there is [more](Self::fetch_kept) to be fetched.
    #[inline(always)]
    pub fn is_young(&self, seat: Seat) -> bool {
        !seat.waits() && self.told.is_young(seat.at())
    }

    /// Has fetched, after that, what a young stream's packet touches besides.
    #[inline(always)]
    pub fn fetch_kept(&self, seat: Seat) {
        if !seat.waits() {
            self.told.fetch_kept(seat.at());
        }
    }

    /// Takes a packet that nobody has to look at, of a stream that sits where [`seat_of`](Self::seat_of) said, and gives its call's
    /// level. `None` where it is none of these: nothing has changed then.
    #[inline(always)]
    pub fn flow(&mut self, seat: Seat, header: &Header) -> Option<Option<Level>> {
        if seat.waits() {
            return None;
        }
        let stream = self.told.seated(seat.at())?;
        stream.flow(header).then(|| stream.level())
    }

    /// Takes an RTP packet that TURN wrapped between `src` and `dst`. It is a stream of its own beside the one between
    /// server and peer, and belongs to the call that announced the inner ends.
    #[inline(never)]
    pub fn wrapped_packet(
        &mut self,
        ts: Timestamp,
        path: Path,
        via: Via,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Heard {
        let Path { src, dst, .. } = path;
        let (ssrc, print) = (packet.ssrc, self.print(src, dst, packet.ssrc));
        self.take(ts, &Key { src, dst, ssrc }, print, Some(via), packet, endpoints, losses)
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one function with its callers")]
    fn take(
        &mut self,
        ts: Timestamp,
        key: &Key,
        print: Print,
        via: Option<Via>,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Heard {
        let Some(seat) = self.index.get(print).map(Seat) else {
            return self.begin(ts, key, via, *packet, endpoints, losses);
        };
        let room = if seat.waits() {
            &mut self.waiting
        } else {
            &mut self.told
        };
        let Some(stream) = room.seated(seat.at()) else {
            return self.begin(ts, key, via, *packet, endpoints, losses);
        };
        if via.is_none() && !seat.waits() && stream.flow(&Header::of(ts, packet)) {
            return Heard {
                outcome: Outcome::Rtp,
                level: stream.level(),
                is_event: false,
            };
        }
        if let Some(via) = via {
            stream.wrap(via);
        }
        let due = stream.due(ts, packet.seq);
        if due != Due::No && join::look(stream, ts, endpoints, due, losses) == Look::OtherCall {
            return self.begin(ts, key, via, *packet, endpoints, losses);
        }
        let is_event = stream.take(ts, packet);
        let level = stream.level();
        let outcome = if seat.waits() {
            self.admit(seat.at(), losses)
        } else {
            Outcome::Rtp
        };
        Heard {
            outcome,
            level,
            is_event,
        }
    }

    fn assign(&mut self, key: &Key, seat: Seat) {
        let Seat(number) = seat;
        self.index.insert(self.seeds.print(key), number);
    }

    /// Begins a stream, which takes the key from an earlier one.
    #[cold]
    #[inline(never)]
    fn begin(
        &mut self,
        ts: Timestamp,
        &key: &Key,
        via: Option<Via>,
        packet: rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Heard {
        let mut stream = Stream::begin(ts, key, &packet);
        if let Some(via) = via {
            stream.wrap(via);
        }
        join::look(&mut stream, ts, endpoints, Due::Pause, losses);
        let heard = |outcome, stream: &Stream| Heard {
            outcome,
            level: stream.level(),
            is_event: stream.has_events(),
        };
        if is_told(&stream, self.without_sip) {
            let heard = heard(Outcome::Rtp, &stream);
            let seat = self.seat(stream, losses);
            self.assign(&key, seat);
            return heard;
        }
        let heard = heard(Outcome::OtherUdp, &stream);
        let (at, left) = self.waiting.insert(stream);
        if let Some(left) = left {
            self.forget(&left, Seat::waiting(at));
            losses.count(Loss::WaitingEvicted);
        }
        self.assign(&key, Seat::waiting(at));
        heard
    }

    /// Puts a stream that is told of into a slot.
    fn seat(&mut self, stream: Stream, losses: &Losses) -> Seat {
        let (at, left) = self.told.insert(stream);
        let seat = Seat::told(at);
        if let Some(left) = left {
            self.forget(&left, seat);
            self.end(left);
            losses.count(Loss::StreamEvicted);
        }
        seat
    }

    /// Lets a stream out of the waiting room if what it waited for has come.
    #[cold]
    fn admit(&mut self, at: u32, losses: &Losses) -> Outcome {
        let without_sip = self.without_sip;
        let ready = |stream: &mut Stream| is_told(stream, without_sip);
        if !self.waiting.get_mut(at).is_some_and(ready) {
            return Outcome::OtherUdp;
        }
        if let Some(stream) = self.waiting.remove(at) {
            let key = *stream.key();
            let holds_key = self.seat_of(self.seeds.print(&key)) == Seat::waiting(at);
            let seat = self.seat(stream, losses);
            if holds_key {
                self.assign(&key, seat);
            }
        }
        Outcome::Rtp
    }

    /// Takes away the key of a stream that has left this seat.
    fn forget(&mut self, left: &Stream, seat: Seat) {
        let print = self.seeds.print(left.key());
        if self.seat_of(print) == seat {
            self.index.remove(print);
        }
    }

    /// How many [ticks](Self::tick) it takes to see every slot, at most [`PARTS`].
    pub fn parts(&self) -> u8 {
        let slots = self.waiting.slots().max(self.told.slots());
        slots.div_ceil(SWEEP).min(PARTS.into()) as u8
    }

    /// Lets idle streams go, a bounded number of slots at a time, and lets streams without a call look for one. Returns what
    /// was heard of calls: Call-ID, who sent it, first and latest packet.
    pub fn tick(&mut self, ts: Timestamp, endpoints: &Endpoints, losses: &Losses) -> Vec<News> {
        let mut news = Vec::new();
        for _ in 0..SWEEP.min(self.waiting.slots()) {
            let Some(at) = self.waiting.next_swept() else { break };
            self.settle_waiting(at, endpoints, losses);
            // It waits only as long as SDP may take.
            let stay = self.linger.min(LEAD);
            let over = |stream: &mut Stream| ts.since(stream.end()) >= stay;
            if self.waiting.get_mut(at).is_some_and(over)
                && let Some(stream) = self.waiting.remove(at)
            {
                self.forget(&stream, Seat::waiting(at));
                if stream.is_certain() {
                    losses.count(Loss::StreamUnjoined);
                }
            }
        }
        let mut leaving = LEAVE;
        for _ in 0..SWEEP.min(self.told.slots()) {
            let tells = self.round.tells(ts, self.told.slots());
            let Some(at) = self.told.next_swept() else { break };
            let Some(stream) = self.told.get_mut(at) else { continue };
            join::settle(stream, endpoints, losses);
            let is_over = ts.since(stream.end()) >= self.linger;
            if (tells || is_over)
                && stream.tell(&mut self.sums)
                && let Some(join) = stream.joined()
            {
                news.push((Arc::clone(join.call_id()), join.sender, stream.start(), stream.end()));
            }
            if leaving > 0
                && is_over
                && let Some(stream) = self.told.remove(at)
            {
                leaving -= 1;
                self.forget(&stream, Seat::told(at));
                self.end(stream);
            }
        }
        self.totals.show(&self.sums);
        news
    }

    /// Takes the figures of a stream that leaves.
    fn end(&mut self, mut stream: Stream) {
        stream.tell(&mut self.sums);
        let told = concluded(&stream, self.rtcp.as_deref());
        self.totals.end(&told);
    }

    fn settle_waiting(&mut self, at: u32, endpoints: &Endpoints, losses: &Losses) {
        if let Some(stream) = self.waiting.get_mut(at) {
            join::settle(stream, endpoints, losses);
            self.admit(at, losses);
        }
    }

    /// No more packets will come: every stream looks for its call. To be done twice over all lanes: what one stream shows of where
    /// its call's media goes may be what another waits for.
    pub fn settle(&mut self, endpoints: &Endpoints, losses: &Losses) {
        for at in 0..self.waiting.slots() as u32 {
            self.settle_waiting(at, endpoints, losses);
        }
        for at in 0..self.told.slots() as u32 {
            if let Some(stream) = self.told.get_mut(at) {
                join::settle(stream, endpoints, losses);
            }
        }
    }

    /// Every stream has ended, and what behaved like RTP and still waits is counted.
    pub fn close(&mut self, losses: &Losses) {
        for at in 0..self.waiting.slots() as u32 {
            if self.waiting.get_mut(at).is_some_and(|stream| stream.is_certain()) {
                losses.count(Loss::StreamUnjoined);
            }
        }
        for at in 0..self.told.slots() as u32 {
            if let Some(stream) = self.told.get_mut(at) {
                stream.tell(&mut self.sums);
                self.totals.end(&concluded(stream, self.rtcp.as_deref()));
            }
        }
        self.totals.show(&self.sums);
    }

    /// The streams in the next `max` slots from `cursor`, 0 at first: so that a lane can answer between two batches. Those that
    /// wait come first, and those whose SDP has come by now are told of later on.
    pub fn slice(&mut self, cursor: usize, max: usize, endpoints: &Endpoints, losses: &Losses) -> Slice {
        let end = cursor.saturating_add(max.max(1));
        let waiting = self.waiting.slots();
        for at in cursor..end.min(waiting) {
            self.settle_waiting(at as u32, endpoints, losses);
        }
        let mut streams = Vec::new();
        let told = cursor.saturating_sub(waiting)..end.saturating_sub(waiting).min(self.told.slots());
        for at in told {
            if let Some(stream) = self.told.get_mut(at as u32) {
                join::settle(stream, endpoints, losses);
                streams.push(stream.report());
            }
        }
        Slice {
            streams,
            next: Some(end).filter(|&end| end < waiting + self.told.slots()),
        }
    }

    /// All streams.
    pub fn report(&mut self, endpoints: &Endpoints, losses: &Losses) -> Vec<report::Stream> {
        // Twice: what one stream shows of where its call's media goes may be what another waits for.
        for at in 0..self.waiting.slots() as u32 {
            self.settle_waiting(at, endpoints, losses);
        }
        self.slice(0, usize::MAX, endpoints, losses).streams
    }

    /// Streams that are told of.
    pub fn len(&self) -> usize {
        self.told.len()
    }

    /// Whether no stream is told of.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Streams that wait for their SDP.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// Whether a stream is one that siphon speaks of.
fn is_told(stream: &Stream, without_sip: bool) -> bool {
    stream.joined().is_some() || (without_sip && stream.is_certain())
}

/// What is to be counted of a stream that ends: with the delay that RTCP tells, which the opinion of a conversation wants.
fn concluded(stream: &Stream, rtcp: Option<&Sources>) -> report::Stream {
    let mut told = stream.report();
    if told.quality.is_some()
        && let Some(round_trip) = rtcp.and_then(|rtcp| rtcp.round_trip_of(&told))
    {
        told.rtcp = Some(Box::new(report::Rtcp {
            round_trip: Some(round_trip),
            ..report::Rtcp::default()
        }));
        converse(&mut told);
    }
    told
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
