//! Every source that RTCP speaks of, with what it says: one table for all lanes.
//!
//! A source is an SSRC on the way its packets take, as far as RTCP's own ends tell it: a sender report goes with the stream, a
//! report block against it. RTCP's ports are those of RTP (RFC 5761) or the next (RFC 3550 section 11), and are kept even, so that both
//! are the same. SSRCs are no names: generators of load use one for all calls, and the same ports for one after the other.
//! So what is said while one call claims the path is kept apart from what is said in another.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::RtcpCounters;
use super::facts::Facts;
use super::packet::{Compound, Packet, Reading, ReportBlock, read};
use super::xr::Block;
use crate::media::{Endpoints, Purpose};
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::time::Timestamp;

/// Parts the table is locked in.
const SHARDS: usize = 64;

/// Calls that may follow one another on one path; the one heard least recently leaves.
const CALLS: usize = 4;

/// After this, SDP that other lanes had still to read has been read.
const SETTLED: Duration = Duration::from_millis(500);

/// Entries looked at to find one to give up.
const SAMPLE: usize = 16;

/// A source on its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub ssrc: u32,
    /// Where its packets come from and go, with even ports.
    pub src: Endpoint,
    pub dst: Endpoint,
}

/// What was said of a source during one call.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The call that claimed the path at the time; `None` where nobody was known to.
    pub call_id: Option<Arc<str>>,
    /// No call was under way then: it was said behind the end of one, or before SDP that another lane is about to read, and
    /// `call_id` is only the nearest known so far.
    pub open: bool,
    pub facts: Box<Facts>,
}

/// A datagram that begins as RTCP does.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When it passed.
    pub ts: Timestamp,
    /// Where it comes from.
    pub src: Endpoint,
    /// Where it goes.
    pub dst: Endpoint,
    /// What is in it.
    pub payload: &'a [u8],
}

type Shard = HashMap<Key, Vec<Part>>;

/// The table.
#[derive(Debug)]
pub struct Sources {
    shards: Box<[Mutex<Shard>]>,
    /// SipHash with a random key: the keys come from the network.
    hasher: RandomState,
    len: AtomicUsize,
    max: usize,
    /// Shard to be cleared of what is old next.
    sweep: AtomicUsize,
}

impl Sources {
    /// A table of at most `max` sources.
    pub fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            max: max.max(1),
            sweep: AtomicUsize::new(0),
        }
    }

    /// Sources in the table.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a datagram. What it holds and what cannot be read of it is counted in the lane's own
    /// counters, and so is a source that has to leave.
    pub fn take(&self, datagram: &Datagram<'_>, endpoints: &Endpoints, counters: &RtcpCounters, losses: &Losses) {
        let Datagram { ts, src, dst, payload } = *datagram;
        let reading = match read(payload) {
            Ok(reading) => reading,
            Err(why) => return counters.malformed(why),
        };
        let report = Report {
            sources: self,
            ts,
            forward: Path::new(src, dst, ts, endpoints),
            backward: Path::new(dst, src, ts, endpoints),
            endpoints,
            counters,
            losses,
        };
        match reading {
            Reading::Plain(compound) => report.compound(&compound),
            Reading::Encrypted { packet_type, ssrc } => {
                counters.packet(packet_type);
                counters.encrypted.add(1);
                report.of(&report.forward, ssrc, |facts| facts.encrypted += 1);
            }
        }
    }

    /// Runs `with` on the facts of a source during a call; they are made where there are none.
    fn with(&self, report: &Report<'_>, key: Key, call: Option<&Claimed>, with: impl FnOnce(&mut Facts)) {
        let (ts, losses) = (report.ts, report.losses);
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        let mut shard = self.lock(at);
        if !shard.contains_key(&key) {
            if self.len() >= self.max {
                self.make_room(at, &mut shard, losses);
            }
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        let parts = shard.entry(key).or_default();
        let settled = |part: &Part| part.open && part.facts.last().plus(SETTLED) < ts;
        if let Some(at) = parts.iter().position(settled) {
            let Part { facts, .. } = parts.swap_remove(at);
            let call = facts
                .span
                .and_then(|(first, _)| call_of(key.src, key.dst, first, report.endpoints));
            part(parts, call.map(|call| call.call_id), false, losses).add(&facts);
        }
        let open = call.is_some_and(|call| !call.active);
        let facts = part(parts, call.map(|call| Arc::clone(&call.call_id)), open, losses);
        facts.heard(ts);
        with(facts);
    }

    /// Gives up the source of a sample that was not heard of for the longest: in this shard, or in the next that has any and is not in
    /// use.
    fn make_room(&self, at: usize, shard: &mut Shard, losses: &Losses) {
        let evicted = evict(shard)
            || (1..SHARDS)
                .filter_map(|by| self.shards.get((at + by) % SHARDS)?.try_lock().ok())
                .any(|mut other| evict(&mut other));
        if evicted {
            self.len.fetch_sub(1, Ordering::Relaxed);
            losses.count(Loss::RtcpSourceEvicted);
        }
    }

    /// Forgets what was last heard of more than `linger` before `ts`, unless its call is still under way: some ends stop
    /// reporting long before they stop talking. One shard at a call.
    pub fn tick(&self, ts: Timestamp, linger: Duration, endpoints: &Endpoints) {
        let before = ts.minus(linger);
        let at = self.sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.lock(at);
        let len = shard.len();
        shard.retain(|key, parts| {
            parts.retain(|part| part.facts.last() >= before || is_under_way(key, part, ts, endpoints));
            !parts.is_empty()
        });
        self.len.fetch_sub(len - shard.len(), Ordering::Relaxed);
    }

    /// What was said of a source during a call, else while nobody was known to claim the path.
    pub(super) fn facts_of(&self, key: &Key, call_id: Option<&str>) -> Option<Facts> {
        let shard = self.lock(self.hasher.hash_one(key) as usize % SHARDS);
        let parts = shard.get(key)?;
        let of = |call_id: Option<&str>| parts.iter().find(|part| part.call_id.as_deref() == call_id);
        of(call_id).or_else(|| of(None)).map(|part| Facts::clone(&part.facts))
    }

    /// Runs `with` on everything there is, shard by shard, in no order.
    pub(super) fn for_each(&self, mut with: impl FnMut(&Key, &Part)) {
        for at in 0..SHARDS {
            for (key, parts) in self.lock(at).iter() {
                parts.iter().for_each(|part| with(key, part));
            }
        }
    }

    fn lock(&self, at: usize) -> MutexGuard<'_, Shard> {
        // A lane that panicked left the map whole: facts are changed by sums and maxima alone.
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the call in which this was said still claims the path.
fn is_under_way(key: &Key, part: &Part, ts: Timestamp, endpoints: &Endpoints) -> bool {
    part.call_id.as_ref().is_some_and(|call_id| {
        let holds = |end| endpoints.claim(end, Purpose::Rtcp, ts, Some(call_id));
        [key.dst, key.src]
            .into_iter()
            .filter_map(holds)
            .any(|claim| claim.active && claim.call_id() == call_id)
    })
}

/// The facts of one call, or the open ones, of which there is one set at most; made where there are none.
fn part<'a>(parts: &'a mut Vec<Part>, call_id: Option<Arc<str>>, open: bool, losses: &Losses) -> &'a mut Facts {
    let known = parts
        .iter()
        .position(|part| part.open == open && (open || part.call_id == call_id));
    let at = known.unwrap_or_else(|| {
        if parts.len() >= CALLS {
            let oldest = (0..parts.len()).min_by_key(|&part| parts[part].facts.last());
            parts.swap_remove(oldest.unwrap_or(0));
            losses.count(Loss::RtcpSourceEvicted);
        }
        parts.push(Part {
            call_id,
            open,
            facts: Box::default(),
        });
        parts.len() - 1
    });
    &mut parts[at].facts
}

fn evict(shard: &mut Shard) -> bool {
    let last = |parts: &[Part]| parts.iter().map(|part| part.facts.last()).max();
    let oldest = shard.iter().take(SAMPLE).min_by_key(|(_, parts)| last(parts));
    let Some((&key, _)) = oldest else {
        return false;
    };
    shard.remove(&key).is_some()
}

/// A way that streams take, and the call that claims it.
struct Path {
    src: Endpoint,
    dst: Endpoint,
    call: Option<Claimed>,
}

/// The call a path belongs to.
pub(super) struct Claimed {
    pub call_id: Arc<str>,
    /// It was under way.
    active: bool,
}

impl Path {
    fn new(src: Endpoint, dst: Endpoint, ts: Timestamp, endpoints: &Endpoints) -> Self {
        Self {
            src: even(src),
            dst: even(dst),
            call: call_of(src, dst, ts, endpoints),
        }
    }
}

/// The same place with RTP's port, where RTCP has the next.
pub(super) const fn even(endpoint: Endpoint) -> Endpoint {
    endpoint.with_port(endpoint.port() & !1)
}

/// The call that claims a path at `ts`, as streams are joined: by the destination, unless only the source's call is under way.
pub(super) fn call_of(src: Endpoint, dst: Endpoint, ts: Timestamp, endpoints: &Endpoints) -> Option<Claimed> {
    let claim = |end: Endpoint| {
        endpoints
            .claim(end, Purpose::Rtcp, ts, None)
            .or_else(|| endpoints.claim(even(end), Purpose::Rtcp, ts, None))
    };
    let chosen = match (claim(dst), claim(src)) {
        (Some(dst), Some(src)) if src.active && !dst.active => src,
        (Some(dst), _) => dst,
        (None, src) => src?,
    };
    Some(Claimed {
        call_id: Arc::clone(chosen.call_id()),
        active: chosen.active,
    })
}

/// One datagram on its way into the table.
struct Report<'a> {
    sources: &'a Sources,
    ts: Timestamp,
    /// The way of the datagram, which its sender's streams take too.
    forward: Path,
    /// The way of the streams it reports on.
    backward: Path,
    endpoints: &'a Endpoints,
    counters: &'a RtcpCounters,
    losses: &'a Losses,
}

impl Report<'_> {
    fn of(&self, path: &Path, ssrc: u32, with: impl FnOnce(&mut Facts)) {
        let key = Key {
            ssrc,
            src: path.src,
            dst: path.dst,
        };
        self.sources.with(self, key, path.call.as_ref(), with);
    }

    fn compound(&self, compound: &Compound<'_>) {
        for packet in compound.packets() {
            match packet {
                Ok(packet) => {
                    self.counters.packet(packet.packet_type());
                    self.packet(&packet);
                }
                Err(why) => self.counters.malformed(why),
            }
        }
    }

    fn packet(&self, packet: &Packet<'_>) {
        let Self { ts, counters, .. } = *self;
        match packet {
            Packet::SenderReport { ssrc, info, blocks } => {
                self.of(&self.forward, *ssrc, |facts| {
                    facts.sender_report(ts, *info, |time| counters.round_trip(time));
                });
                blocks.iter().for_each(|block| self.report_block(*ssrc, block));
            }
            Packet::ReceiverReport { ssrc, blocks } => {
                blocks.iter().for_each(|block| self.report_block(*ssrc, block));
            }
            Packet::Description(description) => {
                for item in description.items() {
                    self.of(&self.forward, item.ssrc, |facts| facts.item(ts, &item));
                }
            }
            Packet::Goodbye { sources, reason } => {
                for ssrc in sources.iter() {
                    self.of(&self.forward, ssrc, |facts| facts.goodbye(ts, reason));
                }
            }
            Packet::Feedback { kind, about, .. } => {
                counters.feedback(*kind);
                self.of(&self.backward, *about, |facts| facts.feedback[*kind as usize] += 1);
            }
            Packet::Extended { ssrc, blocks } => blocks.iter().for_each(|block| self.extended(*ssrc, &block)),
            Packet::Application { .. } | Packet::Other => {}
        }
    }

    /// A source's report on itself, which some send, is no receiver's.
    fn report_block(&self, reporter: u32, block: ReportBlock) {
        if block.ssrc == reporter {
            return;
        }
        self.counters.share_lost(block.fraction_lost);
        self.of(&self.backward, block.ssrc, |facts| {
            facts.report_block(self.ts, reporter, block, |time| self.counters.round_trip(time));
        });
    }

    fn extended(&self, reporter: u32, block: &Block<'_>) {
        let Self { ts, counters, .. } = *self;
        counters.block(block.block_type());
        match block {
            Block::ReferenceTime(clock) => {
                let middle = (clock >> 16) as u32;
                self.of(&self.forward, reporter, |facts| {
                    facts.round_trips.sent(ts, middle, |time| counters.round_trip(time));
                });
            }
            Block::Dlrr(times) => {
                for [ssrc, middle, delay] in times.iter() {
                    self.of(&self.backward, ssrc, |facts| {
                        facts
                            .round_trips
                            .echo(ts, middle, delay, |time| counters.round_trip(time));
                    });
                }
            }
            Block::Summary(summary) => self.of(&self.backward, summary.ssrc, |facts| facts.block(ts, block)),
            Block::Voip(metrics) => self.of(&self.backward, metrics.ssrc, |facts| facts.block(ts, block)),
            Block::Named(_) => {}
        }
    }
}
