//! Where media is expected: addresses and ports out of SDP, and sources, with the calls that announced them.
//!
//! All lanes share the table. It is written where SIP is understood and read where a stream begins or pauses. Ports are used
//! again, so a place is claimed by one call after the other, and which one a packet belongs to is a question of
//! the packet's time, not of the order in which lanes came to see things.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use capture_common::Level;
use foldhash::quality::RandomState;

use super::announcement::{self, Announcement, Basis, Claim, Grounds, Lease, NEVER, Place, Purpose, Terms};
use super::codec::Format;
use super::generations::Generations;
use super::learn::{self, Learn};
use super::udptl_ports::UdptlPorts;
use crate::config::{Follow, Nat};
use crate::outcome::{Loss, Losses};
use crate::sampled::{SAMPLE, Sampled};
use crate::shared_lists::SharedLists;
use crate::time::Timestamp;
use crate::turn::{Ends, Path, Turn, Via};

/// Parts the table is locked in.
const SHARDS: usize = 64;

/// Entries of a shard looked at in one [`tick`](Endpoints::tick).
const SWEEP: usize = 128;

/// Announcements of one place; the oldest leave.
const CLAIMS: usize = 4;

/// An announcement this soon after the call's end is a repeated 200 or a late ACK (64 T1, RFC 3261 section 13.3.1.4); one that
/// comes later is another call with the same Call-ID.
const REPEATS: Duration = Duration::from_secs(32);

pub(super) type Shard = Sampled<Place, Vec<Announcement>>;
pub(super) type Leases = Sampled<Arc<str>, Arc<Lease>>;

/// Media endpoints of all calls.
#[derive(Debug)]
pub struct Endpoints {
    shards: Vec<RwLock<Shard>>,
    pub(super) leases: Vec<Mutex<Leases>>,
    /// With a random key: who sends SDP chooses the places.
    hasher: RandomState,
    /// Announcements in the table.
    len: AtomicUsize,
    max: usize,
    generations: Generations,
    /// Shard to be cleared of expired entries next.
    sweep: AtomicUsize,
    udptl: Arc<UdptlPorts>,
    grounds: Grounds,
    /// Calls that say the same of payload types share the list.
    formats: SharedLists<Format>,
    /// Some SDP had sources in it.
    ssrcs: AtomicBool,
    /// Where relayed packets belong.
    turn: Option<Arc<Turn>>,
    /// Who is told of endpoints.
    pub(super) learn: Option<Arc<dyn Learn>>,
    /// Level of calls under no rule.
    pub(super) default_level: Level,
    /// Some call was under a rule.
    pub(super) has_levels: AtomicBool,
}

impl Endpoints {
    /// A table of at most `max` announcements of places, one for each call that names a place, with the guesses of the default configuration.
    pub fn new(max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            leases: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::default(),
            len: AtomicUsize::new(0),
            max: max.max(1),
            generations: Generations::default(),
            sweep: AtomicUsize::new(0),
            udptl: Arc::default(),
            grounds: Grounds::new(&Follow::default().nat),
            formats: SharedLists::default(),
            ssrcs: AtomicBool::new(false),
            turn: None,
            learn: None,
            default_level: Level::Full,
            has_levels: AtomicBool::new(false),
        }
    }

    /// The same, with the allocations that tell the inner ends of what TURN relays.
    pub fn relayed_by(self, turn: Arc<Turn>) -> Self {
        Self {
            turn: Some(turn),
            ..self
        }
    }

    /// The same, with guesses in this order.
    #[must_use]
    pub fn guessing(self, nat: &[Nat]) -> Self {
        Self {
            grounds: Grounds::new(nat),
            ..self
        }
    }

    /// The same, and calls under no rule have this level; without this all of them is kept.
    #[must_use]
    pub fn keeping(self, default_level: Level) -> Self {
        Self { default_level, ..self }
    }

    /// What calls say of payload types.
    pub const fn formats(&self) -> &SharedLists<Format> {
        &self.formats
    }

    /// The same, and `learn` is told of every endpoint, under the lock that it is written under here.
    #[must_use]
    pub fn told_to(self, learn: Arc<dyn Learn>) -> Self {
        Self {
            learn: Some(learn),
            ..self
        }
    }

    /// What each basis of a claim is worth.
    pub const fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// The inner ends of a packet of time `ts` that TURN wrapped; nothing of them where nothing is known.
    pub fn behind(&self, ts: Timestamp, path: Path, via: Via) -> Ends {
        self.turn
            .as_ref()
            .map(|turn| turn.ends(ts, path, via))
            .unwrap_or_default()
    }

    /// A number that is another when what is known of one of these places has changed, or of calls that announced them.
    pub fn generation(&self, places: impl Iterator<Item = Place>) -> u32 {
        self.generations.of(places.map(|place| self.hasher.hash_one(place)))
    }

    /// Announcements in the table: places, as often as calls claim them.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A call's SDP of time `ts` says this of a place. An eviction is counted in the caller's `losses`.
    pub fn announce(&self, place: impl Into<Place>, call_id: &Arc<str>, ts: Timestamp, terms: &Terms, losses: &Losses) {
        self.announce_for(place, &self.lease(call_id, ts, losses), ts, terms, losses);
    }

    /// The same of the call with this lease.
    pub fn announce_for(
        &self,
        place: impl Into<Place>,
        lease: &Arc<Lease>,
        ts: Timestamp,
        terms: &Terms,
        losses: &Losses,
    ) {
        let place = place.into();
        if matches!(place, Place::Ssrc(_)) {
            self.ssrcs.store(true, Ordering::Relaxed);
        }
        let hash = self.hasher.hash_one(place);
        let at = hash as usize % SHARDS;
        let mut shard = self.write(at);
        let known_at = shard.place(&place);
        if known_at.is_none() && self.len() >= self.max {
            self.make_room(at, &mut shard, losses);
        }
        let (_, announcements) = match known_at {
            Some(known_at) => shard.at(known_at).expect("it was found under this lock"),
            None => shard.insert(place, Vec::new()),
        };
        match announcements.iter_mut().find(|a| a.is(lease, terms)) {
            Some(known) => known.again(ts, terms),
            None => {
                let mark = match (place, terms.purpose) {
                    (Place::At(endpoint), Purpose::Udptl) => Some(self.udptl.mark(endpoint.port())),
                    _ => None,
                };
                // No stream asks for a place of RTCP's alone.
                let is_noted = terms.purpose == Purpose::Rtcp || lease.note_place(place);
                let mut announcement = Announcement::new(Arc::clone(lease), ts, terms, mark);
                announcement.is_told_again = is_noted || self.learn.is_none();
                if !announcement.is_told_again {
                    // It is told as of a level of its own.
                    self.has_levels.store(true, Ordering::Relaxed);
                }
                // No more room than is needed: there are many places, and nearly all are one call's.
                announcements.reserve_exact(1);
                announcements.push(announcement);
                // In a full table a call that takes a place over has the room of one that had it.
                let is_over = announcements.len() > 1 && self.len() >= self.max;
                if is_over || announcements.len() > CLAIMS {
                    give_up_oldest(announcements, &self.grounds, losses);
                } else {
                    self.len.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if terms.purpose != Purpose::Rtcp {
            self.tell(place, announcements, learn::seen_by_sdp(ts, terms));
        }
        drop(shard);
        self.generations.moved(hash);
    }

    /// The party with this tag (its hash, not 0) began the call, as its INVITE of time `ts` says.
    pub fn begun_by(&self, tag: u64, call_id: &Arc<str>, ts: Timestamp, losses: &Losses) {
        let lease = self.lease(call_id, ts, losses);
        if lease.begun_by(tag, ts) {
            self.moved(&lease);
        }
    }

    /// The call ended at `ts`; of several such messages the earliest counts. Its endpoints stay until [`Self::tick`] finds
    /// them old, for packets may still be on their way.
    pub fn release(&self, call_id: &Arc<str>, ts: Timestamp, losses: &Losses) {
        let lease = self.lease(call_id, ts, losses);
        lease.release(ts);
        self.moved(&lease);
    }

    /// The call that a packet of time `ts` belongs to by this place: among calls under way the one with the best grounds,
    /// then `holder` if it is one of them, else the one that announced the place last; with none under way, the one
    /// nearest in time.
    pub fn claim(
        &self,
        place: impl Into<Place>,
        purpose: Purpose,
        ts: Timestamp,
        holder: Option<&str>,
    ) -> Option<Claim> {
        let place = place.into();
        let shard = self.read(self.at(place));
        announcement::claim(shard.get(&place)?, purpose, ts, holder, &self.grounds)
    }

    /// The call that media of time `ts` belongs to by this place, and whether time alone will make that another.
    pub(super) fn claim_media(&self, place: Place, ts: Timestamp, holder: Option<&str>) -> (Option<Claim>, bool) {
        let shard = self.read(self.at(place));
        let Some(announcements) = shard.get(&place) else {
            return (None, false);
        };
        let claim = announcement::claim(announcements, Purpose::Media, ts, holder, &self.grounds);
        (claim, announcements.iter().any(|a| a.is_pending(ts)))
    }

    /// Whether it is any use to ask for an SSRC.
    pub fn has_ssrcs(&self) -> bool {
        self.ssrcs.load(Ordering::Relaxed)
    }

    /// Whether fax may be expected anywhere. Takes no lock.
    #[inline]
    pub fn expects_fax(&self) -> bool {
        !self.udptl.is_empty()
    }

    /// Whether fax may be expected on one of these ports, of some address. Takes no lock.
    #[inline]
    pub fn may_be_fax(&self, ports: [u16; 2]) -> bool {
        self.udptl.contains(ports)
    }

    /// Forgets what ended more than `linger` before `ts`: a part of one shard at a call, so that it keeps no frame waiting.
    pub fn tick(&self, ts: Timestamp, linger: Duration) {
        let before = ts.minus(linger);
        let at = self.sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.write(at);
        let mut forgotten = 0;
        shard.sweep(SWEEP, |place, announcements| {
            let known = announcements.len();
            let had_media = learn::has_media(announcements);
            announcements.retain(|a| a.lease.released() >= before);
            forgotten += known - announcements.len();
            if had_media && announcements.len() < known {
                self.tell(*place, announcements, None);
            }
            announcements.is_empty()
        });
        self.len.fetch_sub(forgotten, Ordering::Relaxed);
        drop(shard);
        // A lease without an end and without an endpoint lost the last one to the cap, or has none yet: an INVITE without SDP.
        self.lock_leases(at).sweep(SWEEP, |_, lease| {
            let waits = lease.begun() >= before && lease.begun() != Timestamp::ZERO;
            lease.released() < before || (lease.released() == NEVER && !waits && Arc::strong_count(lease) == 1)
        });
    }

    /// The lease of a call, opened where there is none, and anew where the Call-ID is used again.
    pub fn lease(&self, call_id: &Arc<str>, ts: Timestamp, losses: &Losses) -> Arc<Lease> {
        let mut leases = self.lock_leases(self.at(call_id));
        if let Some(lease) = leases.get(call_id)
            && ts <= lease.released().plus(REPEATS)
        {
            return Arc::clone(lease);
        }
        let lease = Arc::new(Lease::new(call_id));
        if let Some((_, known)) = leases.entry(call_id) {
            *known = Arc::clone(&lease);
            return lease;
        }
        if leases.len() >= (self.max / SHARDS).max(SAMPLE) {
            // One that places hold on to is not freed by leaving.
            let order =
                |_: &Arc<str>, lease: &Arc<Lease>| (lease.released(), Arc::strong_count(lease) > 1, lease.begun());
            let is_over = |order: &(Timestamp, _, _)| order.0 != NEVER;
            leases
                .take_least(order, is_over)
                .for_each(|_| losses.count(Loss::EndpointEvicted));
        }
        leases.insert(Arc::clone(call_id), Arc::clone(&lease));
        lease
    }

    /// Gives up the entries that are over for the longest, or else the oldest, of a sample: in this shard, or in the next
    /// that has any and is not in use.
    fn make_room(&self, at: usize, shard: &mut Shard, losses: &Losses) {
        let mut evicted = self.evict(shard);
        if evicted == 0 {
            evicted = (1..SHARDS)
                .filter_map(|by| self.shards.get((at + by) % SHARDS)?.try_write().ok())
                .map(|mut other| self.evict(&mut other))
                .find(|evicted| *evicted > 0)
                .unwrap_or(0);
        }
        (0..evicted).for_each(|_| losses.count(Loss::EndpointEvicted));
    }

    /// Returns how many places were given up: a few where their calls are over.
    fn evict(&self, shard: &mut Shard) -> usize {
        let oldest = shard.take_least(
            |_, announcements| {
                let released = announcements.iter().map(|a| a.lease.released()).max();
                let since = announcements.iter().map(Announcement::since).max();
                (released, since)
            },
            |(released, _)| *released != Some(NEVER),
        );
        let mut evicted = 0;
        for (place, gone, _) in oldest {
            evicted += 1;
            self.len.fetch_sub(gone.len(), Ordering::Relaxed);
            if learn::has_media(&gone) {
                self.tell(place, &[], None);
            }
        }
        evicted
    }

    /// Tells what the announcements of a place come to now. Called under the lock of its shard, so that what is told last is
    /// what holds.
    pub(super) fn tell(&self, place: Place, announcements: &[Announcement], seen: Option<Timestamp>) {
        if let (Some(learn), Place::At(endpoint)) = (&self.learn, place) {
            learn::tell(&**learn, endpoint, announcements, seen);
        }
    }

    /// Something has changed of the call with this lease.
    pub(super) fn moved(&self, lease: &Lease) {
        let (endpoints, are_all) = lease.places();
        if !are_all {
            self.generations.all_moved();
        }
        for endpoint in endpoints {
            self.generations.moved(self.hasher.hash_one(Place::At(endpoint)));
        }
    }

    pub(super) fn at(&self, key: impl std::hash::Hash) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    pub(super) fn read(&self, at: usize) -> RwLockReadGuard<'_, Shard> {
        self.shards[at].read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, at: usize) -> RwLockWriteGuard<'_, Shard> {
        // A lane that panicked left the map whole: nothing in here panics between two changes that belong together.
        self.shards[at].write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_leases(&self, at: usize) -> MutexGuard<'_, Leases> {
        self.leases[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes away the announcement that is over for the longest; where none is over, the one with the least grounds, and of those the
/// oldest.
fn give_up_oldest(announcements: &mut Vec<Announcement>, grounds: &Grounds, losses: &Losses) {
    let oldest = announcements
        .iter()
        .enumerate()
        .min_by_key(|(_, a)| (a.lease.released(), grounds.worth(a.basis), a.since()))
        .map(|(at, _)| at);
    if let Some(at) = oldest {
        let gone = announcements.swap_remove(at);
        if gone.lease.released() == NEVER && gone.basis == Basis::Described {
            losses.count(Loss::EndpointEvicted);
        }
    }
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
