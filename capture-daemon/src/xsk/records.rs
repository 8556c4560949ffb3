//! The reading end of a BPF ring buffer (kernel/bpf/ringbuf.c): records of many lengths, one after the other, in memory that
//! is mapped twice in a row, so that each lies in one piece.
//!
//! The kernel's position is read with acquire, each record's header too: a record is busy until its program has submitted
//! it. Ours is stored with release, and only when the records before it are no longer looked at; until then the kernel
//! cannot write there.

#![expect(unsafe_code, reason = "bytes and positions in memory that the kernel writes too")]
#![deny(clippy::indexing_slicing, reason = "lengths come from shared memory")]

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::mmap::Mapping;

/// In front of each record: its length with two flags, and a word for the kernel (BPF_RINGBUF_HDR_SZ).
const HEADER: u64 = 8;
/// Not yet submitted (BPF_RINGBUF_BUSY_BIT).
const BUSY: u32 = 1 << 31;
/// Given up by its program (BPF_RINGBUF_DISCARD_BIT).
const DISCARDED: u32 = 1 << 30;

/// A ring buffer as its reader has it.
#[derive(Debug)]
pub struct Records {
    memory: Memory,
    /// Up to here records were taken; the kernel knows it after [`Records::release`].
    taken: Cell<u64>,
    /// The kernel's position as last read.
    brought: Cell<u64>,
}

/// What is shared with the kernel.
#[derive(Debug)]
struct Memory {
    /// The reader's position, in a page of its own.
    consumer: Mapping,
    /// The kernel's position in a page, then the records, twice.
    producer: Mapping,
    /// Bytes of the kernel's page.
    page: usize,
    /// Bytes of the ring less one; a power of two.
    mask: u64,
}

impl Records {
    /// Maps the ring buffer of `size` bytes behind the descriptor of a map.
    ///
    /// # Errors
    /// The errno of mmap(2); `InvalidInput` for a size that no ring buffer has.
    pub fn new(map: impl AsFd, size: u32) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let size = size as usize;
        if !size.is_power_of_two() || size < page {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a ring buffer of {size} bytes"),
            ));
        }
        let consumer = Mapping::ring(&map, 0, page)?;
        // Never written: the kernel refuses a mapping that could be (ringbuf_map_mmap_kern).
        let producer = Mapping::read_only(&map, page as u64, page + 2 * size)?;
        let memory = Memory {
            consumer,
            producer,
            page,
            mask: size as u64 - 1,
        };
        let taken = memory.position(&memory.consumer).load(Ordering::Relaxed);
        Ok(Self {
            memory,
            taken: Cell::new(taken),
            brought: Cell::new(taken),
        })
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u64 {
        self.memory.mask + 1
    }

    /// Whether the kernel has brought nothing that was not taken.
    pub fn is_empty(&self) -> bool {
        self.used() == 0
    }

    /// Bytes that the kernel has brought and that were not taken.
    pub fn used(&self) -> u64 {
        let Memory { producer, .. } = &self.memory;
        self.memory
            .position(producer)
            .load(Ordering::Acquire)
            .wrapping_sub(self.taken.get())
    }

    /// Takes the next record, if the kernel has brought one. It stays where it is until [`Records::release`].
    #[inline]
    pub fn take(&self) -> Option<&[u8]> {
        let (record, next) = self.next_record()?;
        self.taken.set(next);
        Some(record)
    }

    /// The record that is taken next.
    #[inline]
    pub fn peek(&self) -> Option<&[u8]> {
        self.next_record().map(|(record, _)| record)
    }

    /// The next record, and the position behind it. What programs gave up in front of it is taken.
    #[inline]
    fn next_record(&self) -> Option<(&[u8], u64)> {
        let memory = &self.memory;
        loop {
            let taken = self.taken.get();
            if taken == self.brought.get() {
                // Acquire: pairs with smp_store_release of producer_pos in __bpf_ringbuf_reserve, behind which the record's
                // header is written.
                self.brought
                    .set(memory.position(&memory.producer).load(Ordering::Acquire));
                if taken == self.brought.get() {
                    return None;
                }
            }
            let at = memory.page + (taken & memory.mask) as usize;
            let length = memory.length(at)?;
            if length & BUSY != 0 {
                return None;
            }
            let is_discarded = length & DISCARDED != 0;
            let length = length & !DISCARDED;
            // Records begin at multiples of 8.
            let next = taken + (u64::from(length) + HEADER).next_multiple_of(8);
            if next > self.brought.get() {
                // No kernel says so; nothing behind it can be believed.
                self.taken.set(self.brought.get());
                return None;
            }
            if !is_discarded {
                return Some((memory.bytes(at + HEADER as usize, length as usize), next));
            }
            self.taken.set(next);
        }
    }

    /// Gives the places of all records that were taken back to the kernel.
    #[inline]
    pub fn release(&mut self) {
        // Release: the records were read before the kernel sees that it may write there (smp_load_acquire of consumer_pos
        // in __bpf_ringbuf_reserve). No record is borrowed any more, or this could not be called.
        let Memory { consumer, .. } = &self.memory;
        self.memory
            .position(consumer)
            .store(self.taken.get(), Ordering::Release);
    }
}

impl Memory {
    /// The position at the beginning of a page.
    fn position<'a>(&self, page: &'a Mapping) -> &'a AtomicU64 {
        // SAFETY: a mapping begins at a page, is longer than 8 bytes and lives as long as the borrow; the kernel too touches
        // the word with atomic accesses only. That of the kernel, whose mapping cannot be written, is only loaded.
        unsafe { AtomicU64::from_ptr(page.start().cast()) }
    }

    /// A record's length with its flags.
    fn length(&self, at: usize) -> Option<u32> {
        if at + HEADER as usize > self.producer.len() {
            return None;
        }
        // SAFETY: inside the mapping, as just checked.
        let word = unsafe { self.producer.start().add(at) };
        // SAFETY: records begin at multiples of 8 behind a page; the kernel exchanges the word atomically when it submits the
        // record (bpf_ringbuf_commit), and here it is only loaded.
        let word = unsafe { AtomicU32::from_ptr(word.cast()) };
        // Acquire: pairs with that xchg, before which the record's bytes were written.
        Some(word.load(Ordering::Acquire))
    }

    /// A record's bytes.
    fn bytes(&self, at: usize, length: usize) -> &[u8] {
        if at.saturating_add(length) > self.producer.len() {
            return &[];
        }
        // SAFETY: inside the mapping, as just checked.
        let start = unsafe { self.producer.start().add(at) };
        // SAFETY: the record is submitted, so its program writes no more, and the kernel gives its place to no other before the
        // reader's position has passed it, for which `release` needs this borrow to have ended.
        unsafe { std::slice::from_raw_parts(start, length) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
