//! A bounded table shared by all lanes: sharded by key, one short lock for each message that is recorded, and a rule for
//! who leaves when it is full.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use crate::sampled::Sampled;
use crate::time::Timestamp;

/// Locks of the table; two lanes rarely want the same one.
pub const SHARDS: usize = 64;

/// Entries one sweep looks at: some microseconds, so that the worker's ring does not fill meanwhile.
const SWEPT_AT_ONCE: usize = 32;

/// Entries that are looked at under one lock for whoever counts them: a worker may wait for it.
const SEEN_AT_ONCE: usize = 64;

/// Entries that are copied under one lock for whoever tells of them: some tens of microseconds.
const COPIED_AT_ONCE: usize = 16;

/// How much an entry is still needed. The lowest leaves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// It belongs to nothing siphon reports.
    Loose,
    /// It is over.
    Over,
    /// It goes on.
    Live,
}

/// What the table must know of its entries.
pub trait Entry {
    /// Time of the latest message.
    fn last(&self) -> Timestamp;
    /// How much the entry is needed at `now`.
    fn worth(&self, now: Timestamp) -> Worth;
    /// How many things it is that the table's limit counts.
    fn count(&self) -> usize {
        1
    }
}

/// An entry that left to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left<E, K = Arc<str>> {
    /// Its key.
    pub key: K,
    /// The entry.
    pub entry: E,
    /// What it was worth when it left.
    pub worth: Worth,
}

/// The table. Its keys are copied, and looked up by what they lend as.
#[derive(Debug)]
pub struct Table<E, K = Arc<str>> {
    shards: Box<[Mutex<Sampled<K, E>>]>,
    /// With a random key, as the keys come from the network; who sends them sees nothing of what it comes to.
    hasher: RandomState,
    /// What the entries of all shards count for: reserved before they are inserted, and where one grows, another leaves
    /// right behind.
    len: AtomicUsize,
    max: usize,
    /// The shard the next sweep looks at.
    next_swept: AtomicUsize,
}

impl<E: Entry, K: Clone + Eq + Hash> Table<E, K> {
    /// An empty table that will hold entries that count for at most `max` (at least one); while entries grow, each lane's
    /// may be over for a moment.
    pub fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
            max: max.max(1),
            next_swept: AtomicUsize::new(0),
            hasher: RandomState::default(),
        }
    }

    /// What the entries in the table count for.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Runs `with`, which does not make it count for more, on the entry of `key`; `None` where there is none.
    pub fn find<Q, R>(&self, key: &Q, with: impl FnOnce(&K, &mut E) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut shard = self.lock(self.shard_of(key));
        let (key, entry) = shard.entry(key)?;
        Some(self.counting(entry, |entry| with(key, entry)))
    }

    /// Runs `with` on an entry and counts what that made of it.
    fn counting<R>(&self, entry: &mut E, with: impl FnOnce(&mut E) -> R) -> R {
        let before = entry.count();
        let result = with(entry);
        let after = entry.count();
        if after > before {
            self.len.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.len.fetch_sub(before - after, Ordering::Relaxed);
        }
        result
    }

    /// Runs `with` on the entry of `key`, which is made by `make` where there is none and counts for one then. Returns what
    /// left the table to make room.
    pub fn find_or_insert<Q, R>(
        &self,
        key: &Q,
        now: Timestamp,
        make: impl FnOnce() -> E,
        with: impl FnOnce(&K, &mut E) -> R,
    ) -> (R, Vec<Left<E, K>>)
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Eq + Hash + ?Sized,
    {
        let number = self.shard_of(key);
        let mut left = Vec::new();
        let mut shard = self.lock(number);
        let mut place = shard.place(key);
        if place.is_none() {
            // Room is made without this lock, as it may be in another shard.
            drop(shard);
            while !self.reserve() {
                left.extend(self.evict(number, now));
            }
            shard = self.lock(number);
            place = shard.place(key);
            if place.is_some() {
                // Another lane was faster.
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let (key, entry) = match place {
            Some(place) => shard.at(place).expect("it was found under this lock"),
            None => shard.insert(K::from(key), make()),
        };
        let result = self.counting(entry, |entry| with(key, entry));
        drop(shard);
        // The entry itself is looked at last.
        while self.len() > self.max {
            left.extend(self.evict(number + 1, now));
        }
        (result, left)
    }

    /// Removes entries whose latest message is so old that `over` says yes, from a small part of the table; called
    /// again and again it comes around. Returns what it removed. `over` may take away a part of an entry.
    pub fn sweep(&self, mut over: impl FnMut(&mut E) -> bool) -> Vec<(K, E)> {
        let number = self.next_swept.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let removed = self
            .lock(number)
            .sweep(SWEPT_AT_ONCE, |_, entry| self.counting(entry, &mut over));
        self.freed(removed.iter().map(|(_, entry)| entry));
        removed
    }

    fn freed<'a>(&self, removed: impl Iterator<Item = &'a E>)
    where
        E: 'a,
    {
        self.len.fetch_sub(removed.map(Entry::count).sum(), Ordering::Relaxed);
    }

    /// Runs `with` on every entry, in no order: the keys of a shard are taken under one lock, then a few entries each. Of entries that
    /// come or leave meanwhile some are left out; none comes twice.
    pub fn for_each(&self, mut with: impl FnMut(&K, &E)) {
        for number in 0..self.shards.len() {
            for keys in self.keys(number).chunks(SEEN_AT_ONCE) {
                let shard = self.lock(number);
                for key in keys {
                    if let Some(entry) = shard.get(key) {
                        with(key, entry);
                    }
                }
            }
        }
    }

    /// Runs `with`, which does not make it count for more, on every entry of one part, each under a lock of its own; `None` where
    /// there is no part of this number, from 0. Entries that come meanwhile may be left out.
    pub fn for_part(&self, part: usize, mut with: impl FnMut(&K, &mut E)) -> Option<()> {
        self.shards.get(part)?;
        for key in &self.keys(part) {
            if let Some((key, entry)) = self.lock(part).entry(key) {
                self.counting(entry, |entry| with(key, entry));
            }
        }
        Some(())
    }

    /// Runs `with` on a copy of every entry, in no order and under no lock: for what takes long. Of entries that come or leave
    /// meanwhile some are left out; none comes twice.
    pub fn for_each_copy(&self, mut with: impl FnMut(&K, &E))
    where
        E: Clone,
    {
        for number in 0..self.shards.len() {
            for keys in self.keys(number).chunks(COPIED_AT_ONCE) {
                let shard = self.lock(number);
                let copies: Vec<(K, E)> = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), shard.get(key)?.clone())))
                    .collect();
                drop(shard);
                for (key, entry) in &copies {
                    with(key, entry);
                }
            }
        }
    }

    /// The keys of a shard. They stay what they are while entries change their places in it.
    fn keys(&self, number: usize) -> Vec<K> {
        let len = self.lock(number).len();
        // Room for all of them, and a few that come, is made without the lock.
        let mut keys = Vec::with_capacity(len + SEEN_AT_ONCE);
        keys.extend(self.lock(number).iter().map(|(key, _)| key.clone()));
        keys
    }

    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }

    /// A panic under a lock would be one in [`Entry`] or in recording, which leave the shard itself whole.
    fn lock(&self, number: usize) -> MutexGuard<'_, Sampled<K, E>> {
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self) -> bool {
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.max).then_some(len + 1)
            })
            .is_ok()
    }

    /// Takes out the entry least needed among a sample, or a few that do not go on: the lowest worth, then those whose latest message
    /// is the oldest. Looks at the shard `number` and, where that is empty, at the others.
    fn evict(&self, number: usize, now: Timestamp) -> Vec<Left<E, K>> {
        let mut left = (0..SHARDS).map(|step| {
            let mut shard = self.lock((number + step) % SHARDS);
            let least = shard.take_least(
                |_, entry| (entry.worth(now), entry.last()),
                |(worth, _)| *worth < Worth::Live,
            );
            least
                .map(|(key, entry, (worth, _))| Left { key, entry, worth })
                .collect::<Vec<_>>()
        });
        let left = left.find(|left| !left.is_empty()).unwrap_or_default();
        self.freed(left.iter().map(|left| &left.entry));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry for (Worth, u64) {
        fn last(&self) -> Timestamp {
            Timestamp::from_nanos(self.1)
        }
        fn worth(&self, _: Timestamp) -> Worth {
            self.0
        }
    }

    fn insert(table: &Table<(Worth, u64)>, key: &str, worth: Worth, last: u64) -> Option<Arc<str>> {
        let make = || (worth, last);
        let ((), mut left) = table.find_or_insert(key, Timestamp::ZERO, make, |_, _| ());
        assert!(left.len() <= 1 || left.iter().all(|left| left.worth < Worth::Live));
        left.pop().map(|left| left.key)
    }

    fn keys(table: &Table<(Worth, u64)>) -> Vec<String> {
        let mut keys = Vec::new();
        table.for_each(|key, _| keys.push(key.to_string()));
        keys.sort();
        keys
    }

    #[test]
    fn a_full_table_stays_full_and_says_who_left() {
        let table = Table::new(10);
        let mut left = 0;
        for n in 0..1_000 {
            left += usize::from(insert(&table, &n.to_string(), Worth::Live, n).is_some());
            assert!(table.len() <= 10);
        }
        assert_eq!((left, keys(&table).len()), (990, 10));
    }

    #[test]
    fn the_least_needed_of_a_shard_leaves_first() {
        // Two entries and a third: it is enough to find keys that share a shard.
        let table = Table::new(3);
        let shard = table.shard_of("0");
        let mut shared = (0u32..)
            .map(|n| n.to_string())
            .filter(|key| table.shard_of(key.as_str()) == shard);
        let mut next = || shared.next().expect("endless");
        let (live, over_late, over_early) = (next(), next(), next());
        assert_eq!(insert(&table, &live, Worth::Live, 1), None);
        assert_eq!(insert(&table, &over_late, Worth::Over, 9), None);
        assert_eq!(insert(&table, &over_early, Worth::Over, 5), None);
        let out = |left: Option<Arc<str>>| left.map(|key| key.to_string());
        assert_eq!(out(insert(&table, &next(), Worth::Live, 10)), Some(over_early));
        assert_eq!(out(insert(&table, &next(), Worth::Live, 10)), Some(over_late));
        assert_eq!(out(insert(&table, &next(), Worth::Live, 10)), Some(live));
    }

    #[test]
    fn an_entry_that_is_there_is_found_and_nothing_leaves() {
        let table = Table::new(1);
        assert_eq!(insert(&table, "a", Worth::Live, 1), None);
        assert_eq!(insert(&table, "a", Worth::Live, 2), None);
        assert_eq!(table.find("a", |_, entry| entry.1), Some(1));
        assert_eq!(table.find("b", |_, entry| entry.1), None);
    }

    #[test]
    fn sweeping_comes_around_and_removes_all_that_is_old() {
        let table = Table::new(5_000);
        for n in 0..5_000 {
            insert(&table, &n.to_string(), Worth::Live, n);
        }
        let mut removed = 0;
        for _ in 0..SHARDS * 4 {
            removed += table.sweep(|entry| entry.1 % 2 == 0).len();
        }
        assert_eq!((removed, table.len()), (2_500, 2_500));
        assert!(
            keys(&table)
                .iter()
                .all(|key| table.find(key.as_str(), |_, entry| entry.1 % 2) == Some(1))
        );
    }

    #[test]
    fn what_stays_is_counted_once_while_others_come_and_leave() {
        let (stays, leaves) = (0, 1);
        let table = Table::new(10_000);
        for n in 0..3_000 {
            insert(&table, &format!("guest {n}"), Worth::Live, leaves);
            insert(&table, &n.to_string(), Worth::Live, stays);
        }
        let counted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 3_000.. {
                    if counted.load(Ordering::Relaxed) == 10 {
                        return;
                    }
                    insert(&table, &format!("guest {n}"), Worth::Live, leaves);
                    table.sweep(|entry| entry.1 == leaves);
                }
            });
            while counted.load(Ordering::Relaxed) < 10 {
                let mut seen = std::collections::BTreeMap::new();
                table.for_each(|key, _| *seen.entry(key.to_string()).or_insert(0) += 1);
                let once = (0..3_000).all(|n: u32| seen.get(&n.to_string()) == Some(&1));
                counted.fetch_add(1, Ordering::Relaxed);
                assert!(once && seen.values().all(|times| *times == 1));
            }
        });
    }

    #[test]
    fn copies_are_told_of_without_a_lock_and_once_each() {
        let table = Table::new(10_000);
        for n in 0..2_000u64 {
            insert(&table, &n.to_string(), Worth::Live, n);
        }
        let mut seen = Vec::new();
        table.for_each_copy(|key, entry| {
            // With the lock held this would wait for itself. What leaves is not told of any more, or was before.
            if entry.1 < 1_000 {
                table.sweep(|other| other.1 >= 1_000 && (other.1 + entry.1) % 3 == 0);
            }
            table.find(&**key, |key, _| seen.push(key.to_string()));
        });
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), seen.len());
        assert!((0..1_000).all(|n| once.binary_search(&n.to_string()).is_ok()));
    }

    #[test]
    fn lanes_share_the_cap() {
        let table = Table::new(100);
        std::thread::scope(|scope| {
            for lane in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for n in 0..2_000u64 {
                        let key = ((n * 7 + lane) % 300).to_string();
                        table.find_or_insert(key.as_str(), Timestamp::ZERO, || (Worth::Live, n), |_, _| ());
                    }
                });
            }
        });
        assert_eq!((table.len(), keys(&table).len()), (100, 100));
    }
}
