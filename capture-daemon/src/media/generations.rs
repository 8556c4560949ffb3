//! When a stream has to ask again whose it is: a number for each of many groups of places, that goes up with what is known of them.
//!
//! A stream looks at its own places' numbers from time to time, which are two loads from a table that fits a core's cache. One number
//! for all places would send every stream to its places, a handful of cache misses each, whenever any call says anything.

use std::sync::atomic::{AtomicU32, Ordering};

/// Groups, a power of two. A thousand calls a second change some six thousand places, and a stream of 50 packets a second asks each
/// 64 of them: of twenty that ask, four then look for another group member's sake.
const GROUPS: usize = 1 << 16;

/// A number for each group of places. Numbers only grow, and wrap: between two looks nothing changes 2^32 times.
#[derive(Debug)]
pub struct Generations {
    groups: Box<[AtomicU32]>,
    /// Counts for all groups.
    all: AtomicU32,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            groups: std::iter::repeat_with(AtomicU32::default).take(GROUPS).collect(),
            all: AtomicU32::new(1),
        }
    }
}

// What a number stands for is written before the number goes up and read after the number was: a reader that sees the new number
// sees the new facts, and one that sees the old looks again a few packets later.
impl Generations {
    /// What is known of the place with this hash has changed.
    pub fn moved(&self, hash: u64) {
        self.groups[Self::group(hash)].fetch_add(1, Ordering::Release);
    }

    /// What is known of any place may have changed.
    pub fn all_moved(&self) {
        self.all.fetch_add(1, Ordering::Release);
    }

    /// A number that is another when what is known of one of the places with these hashes has changed.
    pub fn of(&self, hashes: impl Iterator<Item = u64>) -> u32 {
        hashes.fold(self.all.load(Ordering::Acquire), |sum, hash| {
            sum.wrapping_add(self.groups[Self::group(hash)].load(Ordering::Acquire))
        })
    }

    /// From bits that do not choose the part of the table as well.
    const fn group(hash: u64) -> usize {
        (hash >> 32) as usize % GROUPS
    }
}
