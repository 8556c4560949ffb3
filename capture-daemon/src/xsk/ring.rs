//! The two ends of a ring: one side produces entries, the other consumes them, both through indices in shared memory that
//! only ever grow and wrap at 2^32 (net/xdp/xsk_queue.h). No system call here: a ring works over any memory.
//!
//! Each index has one writer. The writer publishes with a release store, so that what it did with the entries before is
//! seen by the other side, which reads the index with an acquire load: the pairs A to D of the comment at the top of
//! xsk_queue.h.

#![expect(unsafe_code, reason = "entries and indices in memory that the kernel writes too")]

use std::io;
use std::marker::PhantomData;
use std::num::Wrapping;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use bytemuck::Pod;

use super::mmap::Mapping;
use super::types::RingOffset;

/// Where a ring lies in its mapping, checked once.
#[derive(Debug)]
struct Shared<T> {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    flags: usize,
    entries: usize,
    /// Number of entries less one; the number is a power of two.
    mask: u32,
    _entry: PhantomData<T>,
}

impl<T: Pod> Shared<T> {
    fn new(mapping: Mapping, offset: &RingOffset, entries: u32) -> io::Result<Self> {
        let misplaced = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("ring of {entries} entries at {offset:?}"),
            )
        };
        // Inside the mapping and aligned.
        let place = |offset: u64, size: usize, align: usize| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(size)?;
            (end <= mapping.len() && start.is_multiple_of(align)).then_some(start)
        };
        let index = |offset| place(offset, size_of::<u32>(), align_of::<u32>()).ok_or_else(misplaced);
        let size = (entries as usize).checked_mul(size_of::<T>()).ok_or_else(misplaced)?;
        if !entries.is_power_of_two() {
            return Err(misplaced());
        }
        Ok(Self {
            producer: index(offset.producer)?,
            consumer: index(offset.consumer)?,
            flags: index(offset.flags)?,
            entries: place(offset.desc, size, align_of::<T>()).ok_or_else(misplaced)?,
            mask: entries - 1,
            mapping,
            _entry: PhantomData,
        })
    }

    fn capacity(&self) -> u32 {
        self.mask + 1
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `new` found the offset inside the mapping.
        let word = unsafe { self.mapping.start().add(offset) };
        // SAFETY: aligned, as `new` checked and mappings are; the mapping lives as long as self; the kernel too touches
        // the word with atomic accesses only (smp_load_acquire, smp_store_release, READ_ONCE, WRITE_ONCE).
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    fn entry(&self, index: Wrapping<u32>) -> *mut T {
        let offset = self.entries + (index.0 & self.mask) as usize * size_of::<T>();
        // SAFETY: the masked index is below the number of entries, all of which `new` found inside the mapping.
        unsafe { self.mapping.start().add(offset).cast() }
    }
}

/// The producing end: ours of the fill ring.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Shared<T>,
    /// Entries up to here are written; the kernel sees them after [`Producer::publish`].
    written: Wrapping<u32>,
    /// The consumer's index as last read.
    consumer: Wrapping<u32>,
}

impl<T: Pod> Producer<T> {
    /// Takes over the producing end of a ring, wherever its indices stand.
    ///
    /// # Errors
    /// `InvalidData` for offsets outside the mapping or a number of entries that is no power of two.
    pub fn new(mapping: Mapping, offset: &RingOffset, entries: u32) -> io::Result<Self> {
        let shared = Shared::new(mapping, offset, entries)?;
        let written = Wrapping(shared.word(shared.producer).load(Ordering::Relaxed));
        let consumer = Wrapping(shared.word(shared.consumer).load(Ordering::Acquire));
        Ok(Self {
            shared,
            written,
            consumer,
        })
    }

    /// How many entries can be written now. Looks at the consumer's index only when the last look leaves fewer than
    /// `wanted`.
    pub fn free(&mut self, wanted: u32) -> u32 {
        if self.known_free() < wanted {
            // Acquire: the kernel has read the entries it gives back (smp_store_release in __xskq_cons_release, C there,
            // D here) before they are written again.
            self.consumer = Wrapping(self.shared.word(self.shared.consumer).load(Ordering::Acquire));
        }
        self.known_free()
    }

    fn known_free(&self) -> u32 {
        // A consumer ahead of its producer or a ring behind is no ring; 0 is right for one that cannot be trusted.
        self.shared.capacity().saturating_sub((self.written - self.consumer).0)
    }

    /// Writes one entry, to be published; hands it back where the ring is full.
    ///
    /// # Errors
    /// The entry, when there is no room for it.
    pub fn push(&mut self, entry: T) -> Result<(), T> {
        if self.free(1) == 0 {
            return Err(entry);
        }
        // SAFETY: the place is valid for writes and aligned, as `Shared::new` checked; the kernel does not read entries
        // between the producer's index it knows and the consumer's, which is what `free` counts.
        unsafe { self.shared.entry(self.written).write(entry) };
        self.written += 1;
        Ok(())
    }

    /// Shows the entries written so far to the kernel.
    pub fn publish(&mut self) {
        // Release: the entries are written before the kernel sees the index (smp_load_acquire in __xskq_cons_peek; A here, B
        // there).
        self.shared
            .word(self.shared.producer)
            .store(self.written.0, Ordering::Release);
    }

    /// Whether the kernel wants to be woken to look at the ring (XDP_USE_NEED_WAKEUP).
    pub fn needs_wakeup(&self) -> bool {
        let flags = self.shared.word(self.shared.flags).load(Ordering::Relaxed);
        flags & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

impl Producer<u64> {
    /// The index of the entry that the kernel reads next, and how many there are from there on that it has not read, as it says now.
    pub fn unread(&mut self) -> (Wrapping<u32>, u32) {
        // Acquire: as in `free`.
        self.consumer = Wrapping(self.shared.word(self.shared.consumer).load(Ordering::Acquire));
        (
            self.consumer,
            (self.written - self.consumer).0.min(self.shared.capacity()),
        )
    }

    /// Exchanges entries that the kernel has not read with `entries`, the first `ahead` places behind the one it was to read next when
    /// [`unread`](Self::unread) looked; as many as have been written. How many the kernel has read since: what it may have read in the
    /// places that were changed is for the caller to judge.
    pub fn exchange(&mut self, ahead: u32, entries: &mut [u64]) -> u32 {
        let written = (self.written - self.consumer).0.saturating_sub(ahead) as usize;
        for (index, entry) in (0..).zip(entries.iter_mut().take(written)) {
            let place = self.shared.entry(self.consumer + Wrapping(ahead) + Wrapping(index));
            // SAFETY: the place is inside the ring and aligned, as `Shared::new` checked; whoever reads it meanwhile, as the kernel may,
            // reads a whole entry, the one before or the one after.
            let place = unsafe { AtomicU64::from_ptr(place) };
            // Nobody else writes entries.
            let before = place.load(Ordering::Relaxed);
            // Release: what was read of the frame that is put there was read before the kernel can write into it.
            place.store(*entry, Ordering::Release);
            *entry = before;
        }
        // The entries are changed before the kernel's index is looked at: one that it reads after that, it reads changed.
        fence(Ordering::SeqCst);
        let read = Wrapping(self.shared.word(self.shared.consumer).load(Ordering::Acquire)) - self.consumer;
        read.0
    }
}

/// The consuming end: ours of the rx ring.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Shared<T>,
    /// Entries up to here are read; the kernel sees that after [`Consumer::publish`].
    read: Wrapping<u32>,
    /// The producer's index as last read.
    producer: Wrapping<u32>,
}

impl<T: Pod> Consumer<T> {
    /// Takes over the consuming end of a ring, wherever its indices stand.
    ///
    /// # Errors
    /// `InvalidData` for offsets outside the mapping or a number of entries that is no power of two.
    pub fn new(mapping: Mapping, offset: &RingOffset, entries: u32) -> io::Result<Self> {
        let shared = Shared::new(mapping, offset, entries)?;
        let read = Wrapping(shared.word(shared.consumer).load(Ordering::Relaxed));
        let producer = Wrapping(shared.word(shared.producer).load(Ordering::Acquire));
        Ok(Self { shared, read, producer })
    }

    /// How many entries wait to be read. Looks at the producer's index only when the last look shows fewer than `wanted`.
    pub fn available(&mut self, wanted: u32) -> u32 {
        if self.known_available() < wanted {
            // Acquire: the entries are read after the kernel wrote them (smp_store_release in __xskq_prod_submit; A there,
            // B here).
            self.producer = Wrapping(self.shared.word(self.shared.producer).load(Ordering::Acquire));
        }
        self.known_available()
    }

    fn known_available(&self) -> u32 {
        // More than the ring holds is no ring's doing; what is read is bounded whatever the index says.
        (self.producer - self.read).0.min(self.shared.capacity())
    }

    /// The entry `ahead` places from the first unread one, if it is there by the last look.
    pub fn get(&self, ahead: u32) -> Option<T> {
        if ahead >= self.known_available() {
            return None;
        }
        // SAFETY: the place is valid for reads and aligned, as `Shared::new` checked; the kernel does not write entries
        // between the consumer's index it knows and its own, among which `known_available` puts this one. Any bytes are
        // a Pod.
        Some(unsafe { self.shared.entry(self.read + Wrapping(ahead)).read() })
    }

    /// Counts the first `count` unread entries as read, at most those that are there by the last look.
    pub fn advance(&mut self, count: u32) {
        self.read += count.min(self.known_available());
    }

    /// Gives the places of the entries read so far back to the kernel.
    pub fn publish(&mut self) {
        // Release: the entries are read before the kernel may write them again (C here; D is the control dependency in
        // xskq_prod_nb_free).
        self.shared
            .word(self.shared.consumer)
            .store(self.read.0, Ordering::Release);
    }
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
