//! The faxes of all calls. All lanes share the table: fax is rare, and who is no fax does not come here
//! ([`Endpoints::may_be_fax`]).

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::announcement::Purpose;
use super::endpoints::Endpoints;
use super::fax::Fax;
use super::t38;
use crate::net::Endpoint;
use crate::outcome::{Loss, Losses};
use crate::report::{self, Party, Way};
use crate::time::Timestamp;

/// Parts the table is locked in.
const SHARDS: usize = 16;

/// Entries looked at to find one to give up.
const SAMPLE: usize = 16;

/// A call's packets from one place to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    call_id: Arc<str>,
    src: Endpoint,
    dst: Endpoint,
}

/// The table.
#[derive(Debug)]
pub struct Faxes {
    shards: Vec<Mutex<HashMap<Key, Fax>>>,
    hasher: RandomState,
    /// Of each shard.
    max: usize,
    /// Shard to be cleared of old entries next.
    sweep: AtomicUsize,
}

impl Faxes {
    /// A table of about `max` directions.
    pub fn new(max: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            max: max.div_ceil(SHARDS),
            sweep: AtomicUsize::new(0),
        }
    }

    /// Takes a datagram that goes to or comes from a port that fax is announced on; returns whether it is fax. One that reads as
    /// RTP too is RTP, unless its number goes on with a fax: a call often has both on one port, one after the other.
    pub fn take(
        &self,
        ts: Timestamp,
        src: Endpoint,
        dst: Endpoint,
        datagram: &[u8],
        endpoints: &Endpoints,
        losses: &Losses,
    ) -> bool {
        let Some(packet) = t38::read(datagram) else {
            return false;
        };
        let claim = |end: Endpoint| endpoints.claim(end, Purpose::Udptl, ts, None);
        let Some(claim) = claim(dst).or_else(|| claim(src)) else {
            return false;
        };
        let key = Key {
            call_id: Arc::clone(claim.call_id()),
            src,
            dst,
        };
        let may_be_rtp = packet.seq >> 14 == 2;
        let mut shard = self.lock(self.hasher.hash_one(&key) as usize % SHARDS);
        if !shard.contains_key(&key) && shard.len() >= self.max && !may_be_rtp {
            let oldest = shard.iter().take(SAMPLE).min_by_key(|(_, fax)| fax.end());
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                shard.remove(&key);
                losses.count(Loss::FaxEvicted);
            }
        }
        match shard.entry(key) {
            Entry::Occupied(fax) if may_be_rtp && !fax.get().continues(packet.seq) => return false,
            Entry::Occupied(mut fax) => fax.get_mut().take(ts, &packet),
            Entry::Vacant(_) if may_be_rtp => return false,
            Entry::Vacant(entry) => drop(entry.insert(Fax::begin(ts, &packet))),
        }
        true
    }

    /// Forgets what has been silent for `linger` at `ts`. One shard at a call.
    pub fn tick(&self, ts: Timestamp, linger: Duration) {
        let at = self.sweep.fetch_add(1, Ordering::Relaxed) % SHARDS;
        self.lock(at).retain(|_, fax| ts.since(fax.end()) < linger);
    }

    /// Every direction with the Call-ID of its call, in order of start.
    pub fn report(&self, endpoints: &Endpoints) -> Vec<(Arc<str>, report::Fax)> {
        let mut faxes = Vec::new();
        for at in 0..SHARDS {
            for (Key { call_id, src, dst }, fax) in &*self.lock(at) {
                let side = |end: Endpoint| {
                    let claim = endpoints.claim(end, Purpose::Udptl, fax.end(), Some(call_id))?;
                    claim.side.filter(|_| claim.call_id() == call_id)
                };
                let sender = side(*dst).map(Party::other).or_else(|| side(*src));
                let told = report::Fax {
                    src: src.to_string(),
                    dst: dst.to_string(),
                    direction: sender.map(Way::from),
                    ..fax.report()
                };
                faxes.push((Arc::clone(call_id), told));
            }
        }
        faxes.sort_by(|(_, a), (_, b)| (a.start, &a.src, &a.dst).cmp(&(b.start, &b.src, &b.dst)));
        faxes
    }

    fn lock(&self, at: usize) -> MutexGuard<'_, HashMap<Key, Fax>> {
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
