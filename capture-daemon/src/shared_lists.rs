//! Lists that many calls have in common, kept once: a thousand telephones of one make offer the same codecs.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;

/// Different lists that are remembered. Where there are more, all are forgotten: whoever has one keeps it.
const MOST: usize = 1024;

/// The lists remembered.
pub struct SharedLists<T> {
    // With a random key: who sends SDP chooses the lists, and sees nothing of what it comes to.
    known: Mutex<HashSet<Arc<[T]>, RandomState>>,
}

impl<T> Default for SharedLists<T> {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
        }
    }
}

impl<T> fmt::Debug for SharedLists<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLists").finish_non_exhaustive()
    }
}

impl<T: Eq + Hash> SharedLists<T> {
    /// The list, as the one that is remembered where there is one.
    pub fn keep(&self, list: Vec<T>) -> Arc<[T]> {
        // A panic under this lock leaves a set that holds.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = known.get(&list[..]) {
            return Arc::clone(list);
        }
        if known.len() >= MOST {
            known.clear();
        }
        let list: Arc<[T]> = list.into();
        known.insert(Arc::clone(&list));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_are_one_and_no_more_are_remembered_than_so_many() {
        let lists = SharedLists::default();
        let (first, again, other) = (lists.keep(vec![1, 2]), lists.keep(vec![1, 2]), lists.keep(vec![2, 1]));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((&first[..], &other[..]), (&[1, 2][..], &[2, 1][..]));
        for n in 0..10 * MOST {
            lists.keep(vec![n, n]);
            assert!(lists.known.lock().unwrap().len() <= MOST);
        }
        assert_eq!(lists.keep(vec![1, 2]), first);
    }
}
