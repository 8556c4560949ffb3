//! Counters that one thread writes and another reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer. The writer's addition is a plain load and store, no locked instruction; a reader on
/// another thread sees some recent value, never a torn one.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread calls this: two writers would lose counts.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets the figure, for those that are read from elsewhere (the kernel's own statistics).
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The figure as it stands.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
