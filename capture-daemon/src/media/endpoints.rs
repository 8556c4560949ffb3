//! Where media is expected: addresses and ports out of SDP, with the calls that announced them.
//!
//! All lanes share the table. It is written where SIP is understood and read where a stream begins or pauses. Ports are used
//! again, so an endpoint is claimed by one call after the other, and which one a packet belongs to is a question of
//! the packet's time, not of the order in which lanes came to see things.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use super::codec::Format;
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::time::Timestamp;
use crate::turn::{Ends, Path, Turn, Via};

/// Parts the table is locked in.
const SHARDS: usize = 64;

/// Calls that may claim one endpoint; the oldest leave.
const CLAIMS: usize = 4;

/// RTP may come this long before the SDP that announces it: early media, a lost or slow answer.
pub const LEAD: Duration = Duration::from_secs(10);

/// An announcement this soon after the call's end is a repeated 200 or a late ACK (64 T1, RFC 3261 section 13.3.1.4); one that
/// comes later is another call with the same Call-ID.
const REPEATS: Duration = Duration::from_secs(32);

/// Entries looked at to find one to give up.
const SAMPLE: usize = 16;

/// Stands for an end that has not come.
const NEVER: Timestamp = Timestamp::from_nanos(u64::MAX);

/// A call that announces endpoints. Shared by its claims, so that its end is one store.
#[derive(Debug)]
struct Lease {
    call_id: Arc<str>,
    /// Packet time of the end in nanoseconds; that of [`NEVER`] while it lasts.
    released: AtomicU64,
}

impl Lease {
    fn released(&self) -> Timestamp {
        // One value with nothing behind it: no ordering needed.
        Timestamp::from_nanos(self.released.load(Ordering::Relaxed))
    }
}

/// One call's announcement of one endpoint.
#[derive(Debug)]
struct Announcement {
    lease: Arc<Lease>,
    /// Time of the first SDP that names the endpoint.
    since: Timestamp,
    /// Time of the latest SDP.
    formats_at: Timestamp,
    /// Of the latest SDP, and what earlier ones said of other payload types: packets of theirs were measured.
    formats: Arc<[Format]>,
}

impl Announcement {
    fn contains(&self, ts: Timestamp) -> bool {
        self.since <= ts && ts < self.lease.released()
    }

    /// How far `ts` is from the time of this announcement; `None` where it is too long before.
    fn distance(&self, ts: Timestamp) -> Option<Duration> {
        if ts < self.since {
            Some(self.since.since(ts)).filter(|&ahead| ahead <= LEAD)
        } else {
            Some(ts.since(self.lease.released()))
        }
    }
}

/// The call an endpoint belongs to at some time.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Call-ID.
    pub call_id: Arc<str>,
    /// What the latest SDP says of payload types.
    pub formats: Arc<[Format]>,
    /// Time of the first SDP that names the endpoint.
    pub since: Timestamp,
    /// Whether the call had announced the endpoint and had not ended at the time asked for.
    pub active: bool,
}

type Shard = HashMap<Endpoint, Vec<Announcement>>;
type Leases = HashMap<Arc<str>, Arc<Lease>>;

/// Media endpoints of all calls.
#[derive(Debug)]
pub struct Endpoints {
    // SipHash in all of these: who sends SDP chooses the keys.
    shards: Vec<RwLock<Shard>>,
    leases: Vec<Mutex<Leases>>,
    hasher: RandomState,
    /// Endpoints in the table.
    len: AtomicUsize,
    max: usize,
    /// Goes up with every change.
    generation: AtomicU64,
    /// Shard to be cleared of expired entries next.
    sweep: AtomicUsize,
    /// Where relayed packets belong.
    turn: Option<Arc<Turn>>,
}

impl Endpoints {
    /// A table of at most `max` endpoints.
    pub fn new(max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            leases: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            len: AtomicUsize::new(0),
            max: max.max(1),
            generation: AtomicU64::new(1),
            sweep: AtomicUsize::new(0),
            turn: None,
        }
    }

    /// The same, with the allocations that tell the inner ends of what TURN relays.
    pub fn relayed_by(self, turn: Arc<Turn>) -> Self {
        Self {
            turn: Some(turn),
            ..self
        }
    }

    /// The inner ends of a packet of time `ts` that TURN wrapped; nothing of them where nothing is known.
    pub fn behind(&self, ts: Timestamp, path: Path, via: Via) -> Ends {
        self.turn
            .as_ref()
            .map(|turn| turn.ends(ts, path, via))
            .unwrap_or_default()
    }

    /// A number that changes with the table.
    pub fn generation(&self) -> u64 {
        // A reader that sees the old number looks again a few packets later. Both only grow, and so does the sum.
        let of_turn = self.turn.as_ref().map_or(0, |turn| turn.generation());
        self.generation.load(Ordering::Relaxed).wrapping_add(of_turn)
    }

    /// Endpoints in the table.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A call's SDP of time `ts` says that it receives media at `endpoint`, in these formats. An eviction is counted in
    /// the caller's `losses`.
    pub fn announce(
        &self,
        endpoint: Endpoint,
        call_id: &Arc<str>,
        ts: Timestamp,
        formats: &Arc<[Format]>,
        losses: &Losses,
    ) {
        let lease = self.lease(call_id, ts, losses);
        let at = self.at(endpoint);
        let mut shard = self.write(at);
        if !shard.contains_key(&endpoint) && self.len() >= self.max {
            self.make_room(at, &mut shard, losses);
        }
        let announcements = match shard.entry(endpoint) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.len.fetch_add(1, Ordering::Relaxed);
                entry.insert(Vec::with_capacity(1))
            }
        };
        match announcements.iter_mut().find(|a| Arc::ptr_eq(&a.lease, &lease)) {
            Some(known) => {
                known.since = known.since.min(ts);
                if known.formats_at <= ts {
                    known.formats_at = ts;
                    known.formats = merged(formats, &known.formats);
                } else {
                    known.formats = merged(&known.formats, formats);
                }
            }
            None => {
                announcements.push(Announcement {
                    lease,
                    since: ts,
                    formats_at: ts,
                    formats: Arc::clone(formats),
                });
                if announcements.len() > CLAIMS {
                    give_up_oldest(announcements, losses);
                }
            }
        }
        drop(shard);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// The call ended at `ts`; of several such messages the earliest counts. Its endpoints stay until [`Self::tick`] finds
    /// them old, for packets may still be on their way.
    pub fn release(&self, call_id: &Arc<str>, ts: Timestamp, losses: &Losses) {
        let lease = self.lease(call_id, ts, losses);
        lease.released.fetch_min(ts.as_nanos(), Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// The call that `endpoint` belonged to at `ts`: among those under way `holder` if it is one of them, else the one
    /// that announced the endpoint last; with none under way, the one nearest in time.
    pub fn claim(&self, endpoint: Endpoint, ts: Timestamp, holder: Option<&str>) -> Option<Claim> {
        let shard = self.shards.get(self.at(endpoint))?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        let announcements = shard.get(&endpoint)?;
        let active = announcements
            .iter()
            .filter(|a| a.contains(ts))
            // The Call-ID settles a tie, so that the answer does not depend on who came first.
            .max_by_key(|a| (holder == Some(&*a.lease.call_id), a.since, &a.lease.call_id));
        let chosen = active.or_else(|| {
            let near = announcements.iter().filter_map(|a| Some((a.distance(ts)?, a)));
            near.min_by_key(|(distance, a)| (*distance, &a.lease.call_id))
                .map(|(_, a)| a)
        })?;
        Some(Claim {
            call_id: Arc::clone(&chosen.lease.call_id),
            formats: Arc::clone(&chosen.formats),
            since: chosen.since,
            active: active.is_some(),
        })
    }

    /// Forgets what ended more than `linger` before `ts`. One shard at a call.
    pub fn tick(&self, ts: Timestamp, linger: Duration) {
        let before = ts.minus(linger);
        let at = self.sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.write(at);
        let len = shard.len();
        shard.retain(|_, announcements| {
            announcements.retain(|a| a.lease.released() >= before);
            !announcements.is_empty()
        });
        self.len.fetch_sub(len - shard.len(), Ordering::Relaxed);
        drop(shard);
        // A lease without an end and without an endpoint lost the last one to the cap.
        self.lock_leases(at).retain(|_, lease| {
            lease.released() >= before && (lease.released() != NEVER || Arc::strong_count(lease) > 1)
        });
    }

    /// The lease of a call, opened where there is none, and anew where the Call-ID is used again.
    fn lease(&self, call_id: &Arc<str>, ts: Timestamp, losses: &Losses) -> Arc<Lease> {
        let mut leases = self.lock_leases(self.at(call_id));
        if let Some(lease) = leases.get(call_id)
            && ts <= lease.released().plus(REPEATS)
        {
            return Arc::clone(lease);
        }
        if leases.len() >= (self.max / SHARDS).max(SAMPLE) {
            let oldest = leases.values().take(SAMPLE).min_by_key(|lease| lease.released());
            if let Some(gone) = oldest.map(|lease| Arc::clone(&lease.call_id)) {
                leases.remove(&gone);
                losses.count(Loss::EndpointEvicted);
            }
        }
        let lease = Arc::new(Lease {
            call_id: Arc::clone(call_id),
            released: AtomicU64::new(NEVER.as_nanos()),
        });
        leases.insert(Arc::clone(call_id), Arc::clone(&lease));
        lease
    }

    /// Gives up the entry that is over for the longest, or else the oldest, of a sample: in this shard, or in the next
    /// that has any and is not in use.
    fn make_room(&self, at: usize, shard: &mut Shard, losses: &Losses) {
        let evicted = evict(shard)
            || (1..SHARDS)
                .filter_map(|by| self.shards.get((at + by) % SHARDS)?.try_write().ok())
                .any(|mut other| evict(&mut other));
        if evicted {
            self.len.fetch_sub(1, Ordering::Relaxed);
            losses.count(Loss::EndpointEvicted);
        }
    }

    fn at(&self, key: impl std::hash::Hash) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    fn write(&self, at: usize) -> RwLockWriteGuard<'_, Shard> {
        // A lane that panicked left the map whole: nothing in here panics between two changes that belong together.
        self.shards[at].write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_leases(&self, at: usize) -> MutexGuard<'_, Leases> {
        self.leases[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The formats of one SDP, and those of an older one for the payload types it does not name.
fn merged(newer: &Arc<[Format]>, older: &Arc<[Format]>) -> Arc<[Format]> {
    let named = |format: &&Format| newer.iter().any(|f| f.payload_type == format.payload_type);
    if Arc::ptr_eq(newer, older) || older.iter().all(|format| named(&format)) {
        return Arc::clone(newer);
    }
    let unnamed = older.iter().filter(|format| !named(format));
    newer.iter().chain(unnamed).cloned().collect()
}

/// Takes away the announcement that is over for the longest, or the oldest where none is over.
fn give_up_oldest(announcements: &mut Vec<Announcement>, losses: &Losses) {
    let oldest = announcements
        .iter()
        .enumerate()
        .min_by_key(|(_, a)| (a.lease.released(), a.since))
        .map(|(at, _)| at);
    if let Some(at) = oldest {
        let gone = announcements.swap_remove(at);
        if gone.lease.released() == NEVER {
            losses.count(Loss::EndpointEvicted);
        }
    }
}

fn evict(shard: &mut Shard) -> bool {
    let oldest = shard.iter().take(SAMPLE).min_by_key(|(_, announcements)| {
        let released = announcements.iter().map(|a| a.lease.released()).max();
        let since = announcements.iter().map(|a| a.since).max();
        (released, since)
    });
    let Some((&endpoint, _)) = oldest else {
        return false;
    };
    shard.remove(&endpoint).is_some()
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
