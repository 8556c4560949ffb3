//! A map for tables that are full: whoever must leave is found among a few entries, other ones each time, so that none stays only
//! because it is never looked at, and none is searched for.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::pieces::Pieces;

/// Entries looked at to find those that are needed least.
pub const SAMPLE: usize = 16;

/// Of these, how many leave a map of `MANY` at once where they are not needed at all: looking is the dear part, as entries lie far apart.
const AT_ONCE: usize = 8;
const MANY: usize = 64;

/// The map. Its entries lie side by side, and the hash table has their places only: four bytes for each of its slots, of which some
/// are free.
#[derive(Debug)]
pub struct Sampled<K, V> {
    places: HashTable<u32>,
    entries: Pieces<(K, V)>,
    /// With a random key, as the keys come from the network; who sends them sees nothing of what it comes to.
    hasher: RandomState,
    /// Where the next sample or sweep begins.
    hand: usize,
}

impl<K, V> Default for Sampled<K, V> {
    fn default() -> Self {
        Self {
            places: HashTable::new(),
            entries: Pieces::default(),
            hasher: RandomState::default(),
            hand: 0,
        }
    }
}

impl<K: Eq + Hash, V> Sampled<K, V> {
    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The value of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries.get(self.place(key)?).map(|(_, value)| value)
    }

    /// The entry of `key`.
    pub fn entry<Q>(&mut self, key: &Q) -> Option<(&K, &mut V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.at(self.place(key)?)
    }

    /// The entry at this [`place`](Self::place).
    pub fn at(&mut self, place: usize) -> Option<(&K, &mut V)> {
        self.entries.get_mut(place).map(|(key, value)| (&*key, value))
    }

    /// Where the entry of `key` lies, as long as nothing is inserted or taken out.
    pub fn place<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let is_it = |place: &u32| {
            let entry = self.entries.get(*place as usize);
            entry.is_some_and(|(known, _)| known.borrow() == key)
        };
        let place = self.places.find(self.hasher.hash_one(key), is_it)?;
        Some(*place as usize)
    }

    /// Takes in an entry whose key is not there.
    pub fn insert(&mut self, key: K, value: V) -> (&K, &mut V) {
        // Slots that were used stay taken where they are many in a row: a table in which entries come and go would think itself full
        // of them, and grow.
        if self.places.len() == self.places.capacity() && self.places.len() < self.places.num_buckets() / 4 * 3 {
            self.clear_slots();
        }
        let place = u32::try_from(self.entries.len()).expect("entries are bounded by configuration");
        let (entries, hasher) = (&self.entries, &self.hasher);
        // Those that are moved have their keys in the entries.
        let rehash = |place: &u32| entries.get(*place as usize).map_or(0, |(key, _)| hasher.hash_one(key));
        self.places.insert_unique(hasher.hash_one(&key), place, rehash);
        let (key, value) = self.entries.push((key, value));
        (key, value)
    }

    /// Fills the slots anew.
    #[cold]
    fn clear_slots(&mut self) {
        self.places.clear();
        for (place, (key, _)) in (0..).zip(self.entries.iter()) {
            let no_move = |_: &u32| unreachable!("there was room for all of them");
            self.places.insert_unique(self.hasher.hash_one(key), place, no_move);
        }
    }

    fn remove(&mut self, place: usize) -> (K, V) {
        let last = self.entries.len() - 1;
        let removed = self.entries.swap_remove(place);
        let is_at = |place: usize| move |known: &u32| *known as usize == place;
        if let Ok(slot) = self.places.find_entry(self.hasher.hash_one(&removed.0), is_at(place)) {
            slot.remove();
        }
        if let Some((moved, _)) = self.entries.get(place)
            && let Some(known) = self.places.find_mut(self.hasher.hash_one(moved), is_at(last))
        {
            *known = place as u32;
        }
        removed
    }

    /// Takes out the least, by `order`, of the next few entries; and where there are many, a few of those that come after it
    /// which are not needed, as `is_spare` says. None only where there is no entry.
    pub fn take_least<O: Ord>(
        &mut self,
        order: impl Fn(&K, &V) -> O,
        is_spare: impl Fn(&O) -> bool,
    ) -> impl Iterator<Item = (K, V, O)> {
        let len = self.entries.len();
        let mut sample: [Option<(O, usize)>; SAMPLE] = Default::default();
        for (at, looked_at) in sample.iter_mut().take(len).enumerate() {
            let place = (self.hand + at) % len;
            *looked_at = self.entries.get(place).map(|(key, value)| (order(key, value), place));
        }
        self.hand = (self.hand + SAMPLE).checked_rem(len).unwrap_or(0);
        // Those that are none come last.
        sample.sort_unstable_by(|one, other| other.is_some().cmp(&one.is_some()).then_with(|| one.cmp(other)));
        let mut is_first = true;
        let mut chosen: [Option<(O, usize)>; AT_ONCE] = Default::default();
        let most = if len < MANY { 1 } else { AT_ONCE };
        for (chosen, looked_at) in chosen.iter_mut().take(most).zip(sample) {
            *chosen = looked_at.filter(|(order, _)| std::mem::take(&mut is_first) || is_spare(order));
        }
        // From the last place on: the entry that moves into a place comes from behind it, and none of these is there any more.
        chosen.sort_unstable_by_key(|chosen| std::cmp::Reverse(chosen.as_ref().map(|(_, place)| *place)));
        chosen
            .map(|chosen| {
                let (order, place) = chosen?;
                let (key, value) = self.remove(place);
                Some((key, value, order))
            })
            .into_iter()
            .flatten()
    }

    /// Takes out those of the next `most` entries of which `over` says yes.
    pub fn sweep(&mut self, most: usize, mut over: impl FnMut(&K, &mut V) -> bool) -> Vec<(K, V)> {
        let mut removed = Vec::new();
        for _ in 0..most.min(self.entries.len()) {
            let place = if self.hand < self.entries.len() { self.hand } else { 0 };
            self.hand = place + 1;
            if self.entries.get_mut(place).is_some_and(|(key, value)| over(key, value)) {
                removed.push(self.remove(place));
                self.hand = place;
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What is done to a map of few keys.
    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u8),
        TakeLeast,
        Sweep(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (any::<u8>(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
            2 => Just(Step::TakeLeast),
            2 => any::<u8>().prop_map(Step::Sweep),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(steps in prop::collection::vec(step(), 0..400)) {
            let (mut map, mut tree) = (Sampled::<u8, u8>::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        match map.entry(&key) {
                            Some((known, kept)) => {
                                prop_assert_eq!(*known, key);
                                *kept = value;
                            }
                            None => drop(map.insert(key, value)),
                        }
                        tree.insert(key, value);
                    }
                    Step::TakeLeast => {
                        let is_spare = |value: &u8| *value < 100;
                        let taken: Vec<_> = map.take_least(|_, value| *value, is_spare).collect();
                        prop_assert_eq!(taken.is_empty(), tree.is_empty());
                        let most = if tree.len() < MANY { 1 } else { AT_ONCE };
                        prop_assert!(taken.len() <= most);
                        prop_assert!(taken.len() < 2 || taken.iter().all(|(_, _, order)| is_spare(order)));
                        let most = taken.iter().map(|(_, value, _)| *value).max();
                        for (key, value, order) in taken {
                            prop_assert_eq!(tree.remove(&key), Some(value));
                            prop_assert_eq!(order, value);
                        }
                        if tree.len() < SAMPLE {
                            prop_assert!(tree.values().all(|left| Some(*left) >= most), "all were looked at");
                        }
                    }
                    Step::Sweep(most) => {
                        for (key, value) in map.sweep(most.into(), |_, value| *value % 3 == 0) {
                            prop_assert_eq!((tree.remove(&key), value % 3), (Some(value), 0));
                        }
                    }
                }
                prop_assert_eq!(map.len(), tree.len());
                let held: BTreeMap<u8, u8> = map.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&held, &tree);
                prop_assert!((0..=u8::MAX).all(|key| map.get(&key) == tree.get(&key)));
            }
        }
    }

    /// Whoever is first in a hash map would be looked at again and again, and the rest never.
    #[test]
    fn in_a_full_map_every_entry_has_its_turn() {
        let mut map = Sampled::default();
        let full = 1_000;
        for n in 0..full {
            map.insert(n, n);
        }
        for n in full..10 * full {
            assert_eq!(map.take_least(|_, value| *value, |_| false).count(), 1);
            map.insert(n, n);
        }
        let oldest = map.iter().map(|(_, value)| *value).min();
        assert!(map.len() == full && oldest > Some(5 * full), "{oldest:?}");
    }

    #[test]
    fn a_full_map_has_no_more_slots_in_the_end_than_when_it_was_filled() {
        let mut map = Sampled::default();
        // Of 4,096 slots: half of them, as in a table whose shards share out a power of two.
        let full = 2_048_u32;
        for n in 0..full {
            map.insert(n, n);
        }
        let slots = map.places.num_buckets();
        for n in full..100 * full {
            assert_eq!(map.take_least(|_, value| *value, |_| false).count(), 1);
            map.insert(n, n);
        }
        assert_eq!((map.len(), map.places.num_buckets()), (full as usize, slots));
    }
}
