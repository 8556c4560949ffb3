//! The streams of one lane.

use std::collections::HashMap;
use std::time::Duration;

use super::endpoints::{Claim, Endpoints, LEAD};
use super::rtp;
use super::stream::{Due, End, Join, Key, Stream};
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses, Outcome};
use crate::report;
use crate::time::Timestamp;
use crate::turn::{Path, Via};

/// Streams looked at to find one to give up.
const SAMPLE: usize = 16;

/// Slots looked through for idle streams at one tick.
const SWEEP: usize = 1024;

/// Slots whose address space is reserved at the start.
const RESERVED: usize = 1 << 20;

/// A part of the answer to "which streams are there".
#[derive(Debug)]
pub struct Slice {
    /// Streams of this part.
    pub streams: Vec<report::Stream>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<usize>,
}

/// Streams followed at once, by source, destination and SSRC.
#[derive(Debug)]
pub struct Streams {
    /// Slot of the stream that packets with this key belong to. A stream whose call is over may stay in its slot
    /// while another has taken its key.
    index: HashMap<Key, u32, foldhash::fast::RandomState>,
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    max: usize,
    linger: Duration,
    /// Slot where the next tick goes on.
    sweep: usize,
    /// Slot where the next search for one to give up begins.
    hand: usize,
}

impl Streams {
    /// Follows at most `max` streams; one that is idle for `linger` leaves.
    pub fn new(max: usize, linger: Duration) -> Self {
        let max = max.clamp(1, u32::MAX as usize);
        Self {
            // Address space, not memory, until it is used: growing later would stop the lane to move what is there.
            index: HashMap::with_capacity_and_hasher(max.min(RESERVED), foldhash::fast::RandomState::default()),
            slots: Vec::with_capacity(max.min(RESERVED)),
            free: Vec::new(),
            max,
            linger,
            sweep: 0,
            hand: 0,
        }
    }

    /// Takes what reads as an RTP packet. One whose endpoints nobody announced is followed, but is `OtherUdp` until it is
    /// certain that it is RTP.
    pub fn packet(
        &mut self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Outcome {
        let ssrc = packet.ssrc;
        self.take(ts, Key { src, dst, ssrc }, None, packet, endpoints, losses)
    }

    /// Takes an RTP packet that TURN wrapped between `src` and `dst`. It is a stream of its own beside the one between
    /// server and peer, and belongs to the call that announced the inner ends.
    pub fn wrapped_packet(
        &mut self,
        ts: Timestamp,
        path: Path,
        via: Via,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Outcome {
        let Path { src, dst, .. } = path;
        let ssrc = packet.ssrc;
        self.take(ts, Key { src, dst, ssrc }, Some(via), packet, endpoints, losses)
    }

    #[inline]
    fn take(
        &mut self,
        ts: Timestamp,
        key: Key,
        via: Option<Via>,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> Outcome {
        let known = self
            .index
            .get(&key)
            .and_then(|&at| self.slots.get_mut(at as usize)?.as_mut());
        let stream = match known {
            Some(stream) => {
                if let Some(via) = via {
                    stream.wrap(via);
                }
                let due = stream.due(ts, packet.seq);
                if due == Due::No || look(stream, ts, endpoints, due) == Look::Same {
                    stream.take(ts, packet);
                    return outcome(stream);
                }
                self.begin(ts, key, via, packet, endpoints, losses)
            }
            None => self.begin(ts, key, via, packet, endpoints, losses),
        };
        outcome(stream)
    }

    /// Begins a stream, which takes the key from an earlier one.
    #[cold]
    fn begin(
        &mut self,
        ts: Timestamp,
        key: Key,
        via: Option<Via>,
        packet: &rtp::Packet<'_>,
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> &Stream {
        let at = match self.free.pop() {
            Some(at) => at as usize,
            None if self.slots.len() < self.max => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => self.make_room(losses),
        };
        let stream = self.slots[at].insert(Stream::begin(ts, key, packet));
        self.index.insert(key, at as u32);
        if let Some(via) = via {
            stream.wrap(via);
        }
        look(stream, ts, endpoints, Due::Pause);
        stream
    }

    /// Gives up the longest idle of a sample, one that is not even certain to be RTP first. Returns its slot.
    fn make_room(&mut self, losses: &Losses) -> usize {
        let len = self.slots.len();
        let sample = (self.hand..self.hand + SAMPLE.min(len)).map(|at| at % len);
        let idle = |&at: &usize| self.slots[at].as_ref().map(|s| (s.is_certain(), s.end()));
        let at = sample.min_by_key(idle).unwrap_or(0);
        self.hand = (self.hand + SAMPLE) % len;
        self.remove(at);
        losses.count(Loss::StreamEvicted);
        at
    }

    /// Empties a slot.
    fn remove(&mut self, at: usize) {
        if let Some(stream) = self.slots[at].take() {
            let holds_key = self.index.get(stream.key()).is_some_and(|&slot| slot as usize == at);
            if holds_key {
                self.index.remove(stream.key());
            }
        }
    }

    /// Lets idle streams go, a bounded number of slots at a time, and lets streams without a call look for one.
    pub fn tick(&mut self, ts: Timestamp, endpoints: &Endpoints) {
        for _ in 0..SWEEP.min(self.slots.len()) {
            let at = self.sweep % self.slots.len();
            self.sweep = at + 1;
            let Some(stream) = &mut self.slots[at] else {
                continue;
            };
            settle(stream, endpoints);
            // What is not certain to be RTP waits only as long as SDP may take.
            let stay = if stream.is_certain() {
                self.linger
            } else {
                self.linger.min(LEAD)
            };
            if ts.since(stream.end()) >= stay {
                self.remove(at);
                self.free.push(at as u32);
            }
        }
    }

    /// The streams in the next `max` slots from `cursor`, 0 at first: so that a lane can answer between two batches.
    pub fn slice(&mut self, cursor: usize, max: usize, endpoints: &Endpoints) -> Slice {
        let end = cursor.saturating_add(max.max(1)).min(self.slots.len());
        let slots = self.slots.get_mut(cursor..end).unwrap_or_default();
        let mut streams = Vec::new();
        for stream in slots.iter_mut().flatten() {
            settle(stream, endpoints);
            if stream.is_certain() {
                streams.push(stream.report());
            }
        }
        Slice {
            streams,
            next: Some(end).filter(|&end| end < self.slots.len()),
        }
    }

    /// All streams.
    pub fn report(&mut self, endpoints: &Endpoints) -> Vec<report::Stream> {
        self.slice(0, self.slots.len(), endpoints).streams
    }

    /// Streams in the table, those that are not certain included.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no stream is followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn outcome(stream: &Stream) -> Outcome {
    if stream.is_certain() {
        Outcome::Rtp
    } else {
        Outcome::OtherUdp
    }
}

/// What the endpoint table says of a stream's next packet.
#[derive(PartialEq, Eq)]
enum Look {
    /// It belongs to the stream.
    Same,
    /// It belongs to another call than the stream's packets so far.
    OtherCall,
}

/// Lets a stream at rest find its call.
fn settle(stream: &mut Stream, endpoints: &Endpoints) {
    let at_rest = stream.end();
    stream.ends(at_rest, endpoints);
    let firm = stream
        .joined()
        .is_some_and(|join| join.firm && join.end == End::Destination);
    if !firm {
        look(stream, at_rest, endpoints, Due::Change);
    }
}

/// Asks the endpoint table about the stream's packet of time `ts`.
#[cold]
fn look(stream: &mut Stream, ts: Timestamp, endpoints: &Endpoints, due: Due) -> Look {
    let moved = stream.look(endpoints.generation());
    if !moved && due == Due::Change {
        return Look::Same;
    }
    let (src, dst) = stream.ends(ts, endpoints);
    let holder = stream.joined().map(|join| &*join.call_id);
    // SDP may name the client's own address where TURN relays for it: ICE leaves that to the candidates (RFC 8839).
    let claim = |inner: Endpoint, outer: Endpoint| {
        let by_inner = endpoints.claim(inner, ts, holder);
        by_inner.or_else(|| endpoints.claim(outer, ts, holder).filter(|_| inner != outer))
    };
    let by_dst = claim(dst, stream.key().dst);
    let by_src = claim(src, stream.key().src);
    let chosen = choose(by_dst, by_src, stream.payload_type());
    let active = chosen.as_ref().is_some_and(|(claim, _)| claim.active);
    if stream.joined().is_some() && !active {
        if due == Due::Restart {
            // The call is over and the sender started over: the next call, whose SDP another lane is about to read.
            return Look::OtherCall;
        }
        stream.stay_alert();
    }
    let Some((claim, end)) = chosen else {
        return Look::Same;
    };
    let mut join = Join {
        call_id: claim.call_id,
        end,
        formats: claim.formats,
        firm: claim.active,
    };
    if let Some(held) = stream.joined() {
        if held.call_id == join.call_id {
            if held.end > end {
                return Look::Same;
            }
            join.firm |= held.firm;
        } else {
            // Another call. It takes over what the held one has only by being near, or by the lesser end, if its SDP
            // can be late by so much.
            let covers_start = claim.since <= stream.start().plus(LEAD);
            if !covers_start || (held.firm && held.end >= end) {
                // Where the source's call is chosen before the destination's, that one is over. Its last packets may
                // still come, but not after a pause.
                let begins = claim.active && (end >= held.end || due != Due::Change);
                return if begins { Look::OtherCall } else { Look::Same };
            }
        }
    }
    stream.join(join);
    Look::Same
}

/// The destination's claim before the source's, a call under way before one that is only near. The destination says what
/// payload types it receives; where it has no word for the one at hand the other side of the same call may.
fn choose(by_dst: Option<Claim>, by_src: Option<Claim>, payload_type: u8) -> Option<(Claim, End)> {
    let (dst, src) = match (by_dst, by_src) {
        (Some(dst), Some(src)) => (dst, src),
        (Some(dst), None) => return Some((dst, End::Destination)),
        (None, src) => return src.map(|claim| (claim, End::Source)),
    };
    if src.active && !dst.active {
        return Some((src, End::Source));
    }
    let knows = |claim: &Claim| claim.formats.iter().any(|format| format.payload_type == payload_type);
    let formats = if dst.call_id == src.call_id && !knows(&dst) && knows(&src) {
        src.formats
    } else {
        dst.formats
    };
    Some((Claim { formats, ..dst }, End::Destination))
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
