//! What exists on the machine because of this process, so that a signal can clear it away where no guard is dropped.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// Things that exist now; `None` once they have been taken away for good.
#[derive(Debug)]
pub(super) struct Live<T>(Mutex<Option<BTreeSet<T>>>);

impl<T: Ord + Clone> Live<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Some(BTreeSet::new())))
    }

    /// Makes a thing and notes it, as one step: nothing is made unnoticed while [`Self::close`] is at work.
    pub(super) fn add(&self, thing: &T, make: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut live = self.lock();
        let live = live.as_mut().context("interrupted")?;
        make()?;
        live.insert(thing.clone());
        Ok(())
    }

    /// Whether the caller is the one to remove the thing.
    pub(super) fn take(&self, thing: &T) -> bool {
        self.lock().as_mut().is_some_and(|live| live.remove(thing))
    }

    /// Takes all, and lets nothing more be made.
    pub(super) fn close(&self) -> BTreeSet<T> {
        self.lock().take().unwrap_or_default()
    }

    /// The set stays right when a thread panicked while it held the lock: each step is one call.
    fn lock(&self) -> MutexGuard<'_, Option<BTreeSet<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_removed_by_one_and_nothing_is_made_after_the_end() {
        let live = Live::new();
        live.add(&1, || Ok(())).unwrap();
        live.add(&2, || Ok(())).unwrap();
        assert!(live.add(&3, || anyhow::bail!("no room")).is_err());
        assert!(live.take(&1));
        assert!(!live.take(&1));
        assert_eq!(live.close(), BTreeSet::from([2]));
        assert!(!live.take(&2));
        assert!(live.add(&4, || panic!("made after the end")).is_err());
    }
}
