//! What a fact may be: a minimum, a maximum or a bounded set over messages, so that the order messages are recorded in
//! does not matter, and two halves of a call that turn out to be one can be joined.

use crate::text::fingerprint;

/// Something that can be told of messages in any order and in parts.
pub trait Fact: Default {
    /// Takes in what another part knows. Commutative and associative.
    fn join(&mut self, other: Self);
}

/// The least of what was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earliest<T>(Option<T>);

/// The greatest of what was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest<T>(Option<T>);

impl<T> Default for Earliest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Ord> Earliest<T> {
    /// Takes in one sight of it.
    pub fn note(&mut self, seen: T) {
        if self.0.as_ref().is_none_or(|known| seen < *known) {
            self.0 = Some(seen);
        }
    }
}

impl<T> Earliest<T> {
    /// The least, if anything was noted.
    pub const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Ord> Latest<T> {
    /// Takes in one sight of it.
    pub fn note(&mut self, seen: T) {
        if self.0.as_ref().is_none_or(|known| seen > *known) {
            self.0 = Some(seen);
        }
    }
}

impl<T> Latest<T> {
    /// The greatest, if anything was noted.
    pub const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T: Ord> Fact for Earliest<T> {
    fn join(&mut self, other: Self) {
        if let Some(seen) = other.0 {
            self.note(seen);
        }
    }
}

impl<T: Ord> Fact for Latest<T> {
    fn join(&mut self, other: Self) {
        if let Some(seen) = other.0 {
            self.note(seen);
        }
    }
}

impl Fact for () {
    fn join(&mut self, (): Self) {}
}

impl Fact for bool {
    fn join(&mut self, other: Self) {
        *self |= other;
    }
}

/// Facts by key, of the `N` smallest keys. Which ones these are is a matter of the keys alone: a key that was turned away
/// once is turned away ever after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smallest<K, V, const N: usize> {
    entries: Vec<(K, V)>,
    overflowed: bool,
}

impl<K, V, const N: usize> Default for Smallest<K, V, N> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            overflowed: false,
        }
    }
}

impl<K: Ord, V: Fact, const N: usize> Smallest<K, V, N> {
    /// The facts of this key, unless `N` smaller ones are known.
    pub fn entry(&mut self, key: K) -> Option<&mut V> {
        let place = self.entries.partition_point(|(known, _)| *known < key);
        if self.entries.get(place).is_none_or(|(known, _)| *known != key) {
            if place == N {
                self.overflowed = true;
                return None;
            }
            if self.entries.len() == N {
                self.overflowed = true;
                self.entries.pop();
            }
            self.entries.reserve_exact(1);
            self.entries.insert(place, (key, V::default()));
        }
        self.entries.get_mut(place).map(|(_, facts)| facts)
    }
}

impl<K: Ord, V, const N: usize> Smallest<K, V, N> {
    /// What is known of this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.entries.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        self.entries.get(place).map(|(_, facts)| facts)
    }
}

impl<K, V, const N: usize> Smallest<K, V, N> {
    /// Every key with its facts, in order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, facts)| (key, facts))
    }

    /// Whether there were more keys than are kept.
    pub const fn overflowed(&self) -> bool {
        self.overflowed
    }
}

impl<K: Ord, V: Fact, const N: usize> Fact for Smallest<K, V, N> {
    fn join(&mut self, other: Self) {
        self.overflowed |= other.overflowed;
        for (key, facts) in other.entries {
            if let Some(known) = self.entry(key) {
                known.join(facts);
            }
        }
    }
}

/// Facts by key, of the `N` lowest and the `N` highest keys: of a long row, its beginning and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends<K, V, const N: usize> {
    entries: Vec<(K, V)>,
}

impl<K, V, const N: usize> Default for Ends<K, V, N> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Ord, V: Fact, const N: usize> Ends<K, V, N> {
    /// The facts of this key, unless it lies between those that are kept.
    pub fn entry(&mut self, key: K) -> Option<&mut V> {
        let mut place = self.entries.partition_point(|(known, _)| *known < key);
        if self.entries.get(place).is_none_or(|(known, _)| *known != key) {
            if self.entries.len() == 2 * N {
                match place {
                    place if place == N => return None,
                    // The new one is among the lowest: the highest of these leaves, or the other way around.
                    place if place < N => drop(self.entries.remove(N - 1)),
                    _ => {
                        self.entries.remove(N);
                        place -= 1;
                    }
                }
            }
            self.entries.reserve_exact(1);
            self.entries.insert(place, (key, V::default()));
        }
        self.entries.get_mut(place).map(|(_, facts)| facts)
    }
}

impl<K: Ord, V, const N: usize> Ends<K, V, N> {
    /// What is known of this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.entries.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        self.entries.get(place).map(|(_, facts)| facts)
    }
}

impl<K, V, const N: usize> Ends<K, V, N> {
    /// Every key with its facts, in order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, facts)| (key, facts))
    }
}

impl<K: Ord, V: Fact, const N: usize> Fact for Ends<K, V, N> {
    fn join(&mut self, other: Self) {
        for (key, facts) in other.entries {
            if let Some(known) = self.entry(key) {
                known.join(facts);
            }
        }
    }
}

/// A From or To tag by its fingerprint; zero for none (RFC 2543 senders, and To outside a dialog).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// Of a tag as on the wire.
    pub fn of(tag: Option<&[u8]>) -> Self {
        Self(tag.map_or(0, |tag| (fingerprint(tag) as u32).max(1)))
    }

    /// Whether there is one.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// The two tags of a dialog, whichever of them is From in a message (RFC 3261 section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(Tag, Tag);

impl Pair {
    /// Of a message's From and To tag.
    pub fn of(from: Tag, to: Tag) -> Self {
        Self(from.min(to), from.max(to))
    }

    /// Whether both sides have a tag.
    pub const fn is_whole(self) -> bool {
        self.0.is_some() && self.1.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_smallest_keys_are_kept_whatever_the_order(keys in prop::collection::vec(0u8..12, 0..40), cut in 0usize..40) {
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let (head, tail) = keys.split_at(cut.min(keys.len()));
            let part = |keys: &[u8]| {
                let mut kept = Smallest::<u8, Earliest<u8>, 4>::default();
                for key in keys {
                    if let Some(facts) = kept.entry(*key) {
                        facts.note(*key);
                    }
                }
                kept
            };
            let mut joined = part(tail);
            joined.join(part(head));
            let is: Vec<u8> = joined.iter().map(|(key, _)| *key).collect();
            prop_assert_eq!(&is[..], &sorted[..sorted.len().min(4)]);
            prop_assert_eq!(joined.overflowed(), sorted.len() > 4);
            prop_assert_eq!(joined.get(&is.first().copied().unwrap_or(99)).is_some(), !is.is_empty());
        }

        #[test]
        fn both_ends_are_kept_whatever_the_order(keys in prop::collection::vec(0u8..20, 0..60)) {
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            sorted.dedup();
            if sorted.len() > 6 {
                sorted.drain(3..sorted.len() - 3);
            }
            let mut kept = Ends::<u8, (), 3>::default();
            for key in keys {
                kept.entry(key);
            }
            prop_assert_eq!(kept.iter().map(|(key, ())| *key).collect::<Vec<_>>(), sorted);
        }
    }
}
