//! IP fragments: pieces of datagrams in, whole datagrams out.
//!
//! Fragments have no ports to hash, so RSS may put those of one datagram on several queues. All lanes share the table;
//! the lane that brings the last missing piece goes on with the datagram. The order of the pieces makes no difference to
//! what comes out, nor does it matter how often they come.

#![deny(
    clippy::indexing_slicing,
    reason = "holds what anyone may send: a slice is asked for, never assumed"
)]

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::pieces::Pieces;
use super::{Decoded, Domain, Endpoint, whole};
use crate::outcome::{Loss, Losses, Outcome};
use crate::time::Timestamp;

/// A piece of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// What tells its datagram from others.
    pub datagram: Datagram,
    /// IP protocol, or the first header of the fragmentable part of IPv6.
    pub protocol: u8,
    /// Where the piece stands, in bytes.
    pub offset: u16,
    /// Whether it is the last one.
    pub last: bool,
    /// The piece, as far as captured.
    pub bytes: &'a [u8],
    /// Whether the header announces more bytes than were captured.
    pub cut: bool,
}

/// What tells the fragments of one datagram from those of others (RFC 791 section 2.3, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// Source address, port 0.
    pub src: Endpoint,
    /// Destination address, port 0.
    pub dst: Endpoint,
    /// Identification.
    pub id: u32,
    /// IPv4's protocol; `None` for IPv6, where it is no part of the key.
    pub protocol: Option<u8>,
    /// The network the addresses are of.
    pub domain: Domain,
}

/// A datagram put together again.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Time of the latest of its fragments, when its receiver could first read it. It is the same in whatever order they
    /// are taken in.
    pub ts: Timestamp,
    datagram: Datagram,
    protocol: u8,
    bytes: Arc<[u8]>,
}

impl Whole {
    /// Takes the datagram apart as [`decode`](super::decode) does a frame. It may be a fragment again, inside a tunnel.
    ///
    /// # Errors
    /// As of `decode`, and `UdpChecksum`.
    pub fn decode(&self) -> Result<Decoded<'_>, Outcome> {
        whole(&self.datagram, self.protocol, &self.bytes)
    }
}

/// A datagram that is incomplete for this long is given up: as in Linux (IP_FRAG_TIME, include/net/ip.h), between the 15 s
/// of RFC 791 section 3.2 and the 60 s of RFC 8200 section 4.5.
const LIFE: Duration = Duration::from_secs(30);

/// How long a whole datagram is remembered, to know copies of its fragments by, as a mirror of two ports brings. Below T1
/// (RFC 3261 section 17.1.1.1), after which the sender itself sends again.
const COPIES: Duration = Duration::from_millis(300);

/// Parts the table is locked in, where it is large.
const SHARDS: usize = 16;
/// Datagrams that are worth a part.
const SHARD_WORTH: usize = 256;

/// Datagrams being put together, of all lanes.
#[derive(Debug)]
pub struct Fragments {
    shards: Box<[Mutex<Shard>]>,
    // SipHash: who sends fragments chooses the keys.
    hasher: RandomState,
}

impl Fragments {
    /// Holds at most `max` incomplete datagrams, which with those just completed take up at most `buffer` bytes.
    pub fn new(max: usize, buffer: usize) -> Self {
        let shards = (max / SHARD_WORTH).clamp(1, SHARDS);
        let shard = || {
            Mutex::new(Shard {
                max: (max / shards).max(1),
                buffer: buffer / shards,
                ..Shard::default()
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a fragment; returns the datagram if it was the last one missing.
    ///
    /// Where fragments overlap, IPv4 keeps the bytes that came first and counts bytes that differ: the same ones may come cut in
    /// two ways, before and behind a router. A datagram of IPv6, which no router cuts, is discarded with all that is still to
    /// come of it (RFC 5722), but for a copy of a fragment that is there (RFC 8200 section 4.5).
    pub fn take(&self, ts: Timestamp, fragment: &Fragment<'_>, losses: &Losses) -> Option<Whole> {
        let hash = self.hasher.hash_one(fragment.datagram);
        let shard = self.shards.get(hash as usize % self.shards.len())?;
        lock(shard).take(ts, fragment, losses)
    }

    /// Gives up what has been incomplete for too long at `now`.
    pub fn tick(&self, now: Timestamp, losses: &Losses) {
        for shard in &self.shards {
            lock(shard).expire(now, losses);
        }
    }

    /// Gives up all that is incomplete: no more frames will come.
    pub fn finish(&self, losses: &Losses) {
        for shard in &self.shards {
            lock(shard).expire(Timestamp::from_nanos(u64::MAX), losses);
        }
    }

    /// Incomplete datagrams held now.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).open.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Counters and trees are consistent between two calls, also if a worker died in one.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A time, and a number that makes it unique: of the first fragment of an incomplete datagram; for the others, when they
/// are forgotten.
type Age = (Timestamp, u64);

#[derive(Debug, Default)]
struct Shard {
    datagrams: HashMap<Datagram, Held>,
    /// Incomplete ones, oldest first.
    open: BTreeMap<Age, Datagram>,
    /// The others, by when they are forgotten.
    closed: BTreeMap<Age, Datagram>,
    /// Memory that all of them take up.
    cost: usize,
    max: usize,
    buffer: usize,
    /// Number of the next datagram.
    number: u64,
}

#[derive(Debug)]
struct Held {
    age: Age,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(Parts),
    /// Given to a lane.
    Whole(Arc<[u8]>),
    /// Discarded, RFC 5722.
    Refused,
}

/// An incomplete datagram.
#[derive(Debug, Default)]
struct Parts {
    pieces: Pieces,
    /// Bytes held.
    bytes: u64,
    /// Length, once the last fragment has come.
    end: Option<u64>,
    /// Of the fragment at offset 0, which is the one that counts (RFC 8200 section 4.5).
    protocol: Option<u8>,
}

/// What a datagram costs beside its pieces: its places in the table and in the order of age.
const OVERHEAD: usize = 256;

impl Held {
    fn cost(&self) -> usize {
        OVERHEAD
            + match &self.state {
                State::Open(parts) => parts.pieces.cost(),
                State::Whole(bytes) => bytes.len(),
                State::Refused => 0,
            }
    }

    /// Whether a fragment that came at `ts` belongs to what is held; if not, it begins another datagram with the same
    /// identification.
    fn concerns(&self, ts: Timestamp, fragment: &Fragment<'_>) -> bool {
        match &self.state {
            State::Open(_) => ts.since(self.age.0) < LIFE,
            State::Refused => ts < self.age.0,
            State::Whole(bytes) => {
                let from = usize::from(fragment.offset);
                let there = bytes.get(from..from + fragment.bytes.len());
                ts < self.age.0 && there == Some(fragment.bytes)
            }
        }
    }
}

impl Shard {
    fn take(&mut self, ts: Timestamp, fragment: &Fragment<'_>, losses: &Losses) -> Option<Whole> {
        let key = fragment.datagram;
        if self
            .datagrams
            .get(&key)
            .is_some_and(|held| !held.concerns(ts, fragment))
        {
            self.remove(&key, Loss::FragmentTimeout, losses);
        }
        let held = match self.datagrams.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let age = (ts, self.number);
                self.number += 1;
                self.open.insert(age, key);
                self.cost += OVERHEAD;
                entry.insert(Held {
                    age,
                    state: State::Open(Parts::default()),
                })
            }
        };
        let before = held.cost();
        let State::Open(parts) = &mut held.state else {
            return None;
        };
        // The earliest time, whichever fragment comes first.
        if ts < held.age.0 {
            self.open.remove(&held.age);
            held.age.0 = ts;
            self.open.insert(held.age, key);
        }
        let accepted = parts.add(ts, fragment);
        if !accepted {
            losses.count(Loss::FragmentOverlap);
        }
        let mut whole = None;
        if !accepted && key.protocol.is_none() {
            held.state = State::Refused;
        } else if let Some((ts, protocol, bytes)) = parts.whole() {
            whole = Some(Whole {
                ts,
                datagram: key,
                protocol,
                bytes: Arc::clone(&bytes),
            });
            held.state = State::Whole(bytes);
        }
        let (age, after) = (held.age, held.cost());
        if !matches!(held.state, State::Open(_)) {
            self.open.remove(&age);
            held.age.0 = whole.as_ref().map_or(ts.plus(LIFE), |whole| whole.ts.plus(COPIES));
            self.closed.insert(held.age, key);
        }
        self.cost = self.cost - before + after;
        self.make_room(losses);
        whole
    }

    /// Lets the oldest go while there are too many or they take too much: first those that are done with.
    fn make_room(&mut self, losses: &Losses) {
        while self.cost > self.buffer || self.closed.len() > self.max {
            let Some((_, &key)) = self.closed.first_key_value() else {
                break;
            };
            self.remove(&key, Loss::FragmentEvicted, losses);
        }
        while self.cost > self.buffer || self.open.len() > self.max {
            let Some((_, &key)) = self.open.first_key_value() else {
                break;
            };
            self.remove(&key, Loss::FragmentEvicted, losses);
        }
    }

    fn expire(&mut self, now: Timestamp, losses: &Losses) {
        while let Some((&(since, _), &key)) = self.open.first_key_value()
            && now.since(since) >= LIFE
        {
            self.remove(&key, Loss::FragmentTimeout, losses);
        }
        while let Some((&(until, _), &key)) = self.closed.first_key_value()
            && now >= until
        {
            self.remove(&key, Loss::FragmentTimeout, losses);
        }
    }

    /// Forgets a datagram; an incomplete one is a loss.
    fn remove(&mut self, key: &Datagram, loss: Loss, losses: &Losses) {
        let Some(held) = self.datagrams.remove(key) else { return };
        self.cost -= held.cost();
        match held.state {
            State::Open(_) => {
                self.open.remove(&held.age);
                losses.count(loss);
            }
            State::Whole(_) | State::Refused => {
                self.closed.remove(&held.age);
            }
        }
    }
}

impl Parts {
    /// Adds a fragment; false where it contradicts what is there: other bytes, another end, and in IPv6 any overlap that
    /// is not a copy.
    fn add(&mut self, ts: Timestamp, fragment: &Fragment<'_>) -> bool {
        let start = u64::from(fragment.offset);
        let end = start + fragment.bytes.len() as u64;
        let ends = fragment.last && !fragment.cut;
        let beyond = match self.end {
            Some(known) => end > known || ends && end != known,
            None => ends && self.pieces.end().is_some_and(|held| held > end),
        };
        if beyond {
            return false;
        }
        let placed = self.pieces.insert(start, ts, fragment.bytes);
        if ends {
            self.end = Some(end);
        }
        if start == 0 {
            self.protocol.get_or_insert(fragment.protocol);
        }
        self.bytes += placed.new as u64;
        let overlaps = fragment.datagram.protocol.is_none() && placed.met && !placed.again;
        !placed.differs && !overlaps
    }

    /// The datagram, if all of it is there: the time of its latest piece, what it carries, and its bytes.
    fn whole(&mut self) -> Option<(Timestamp, u8, Arc<[u8]>)> {
        // Pieces are disjoint and none goes beyond the end.
        if self.end? != self.bytes {
            return None;
        }
        let protocol = self.protocol?;
        let mut latest = Timestamp::ZERO;
        let mut bytes = Vec::new();
        while let Some(piece) = self.pieces.take(bytes.len() as u64) {
            latest = latest.max(piece.ts);
            bytes.extend_from_slice(&piece.bytes);
        }
        Some((latest, protocol, bytes.into()))
    }
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
