//! The ring of a packet socket: blocks in memory shared with the kernel, each the kernel's or ours by its status word.
//!
//! A block is read with acquire before its frames are, and given back with release when all of them were taken and none is
//! looked at any more; until then the kernel cannot write there.

#![expect(unsafe_code, reason = "bytes and status words in memory that the kernel writes too")]
#![deny(clippy::indexing_slicing, reason = "lengths come from shared memory")]

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::socket::Shape;
use super::types::STATUS;
use super::walk::{Step, Walk};
use crate::xsk::mmap::Mapping;

/// The ring as its reader has it.
#[derive(Debug)]
pub struct PacketRing {
    blocks: Blocks,
    /// The block that is or will be read next.
    next: u32,
    /// Where in it; `None` before it was found to be ours.
    walk: Option<Walk>,
    /// Blocks before it that were read and not given back.
    read: u32,
}

/// The blocks.
#[derive(Debug)]
struct Blocks {
    mapping: Mapping,
    shape: Shape,
}

impl PacketRing {
    /// Maps the ring of `socket`, which was made with this shape.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn new(socket: impl AsFd, shape: Shape) -> io::Result<Self> {
        Ok(Self::over(Mapping::ring(socket, 0, shape.bytes())?, shape))
    }

    fn over(mapping: Mapping, shape: Shape) -> Self {
        Self {
            blocks: Blocks { mapping, shape },
            next: 0,
            walk: None,
            read: 0,
        }
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u64 {
        self.blocks.shape.bytes() as u64
    }

    /// What stands at the next place, if the kernel has handed one over. Frames before it stay where they are until
    /// [`PacketRing::release`].
    #[inline]
    pub fn step(&mut self) -> Option<Step<'_>> {
        let Self {
            blocks,
            next,
            walk: current,
            read,
        } = self;
        loop {
            let walk = match current {
                Some(walk) => walk,
                // With all blocks read and none given back, the next one is one that was read already.
                None if *read == blocks.shape.blocks || !blocks.is_ours(*next) => return None,
                None => current.insert(Walk::new(blocks.bytes(*next))),
            };
            if let Some(step) = walk.step(blocks.bytes(*next)) {
                return Some(step);
            }
            *current = None;
            *next = blocks.shape.after(*next);
            *read += 1;
        }
    }

    /// Gives back the blocks of which all frames were taken.
    #[inline]
    pub fn release(&mut self) {
        // No frame is borrowed any more, or this could not be called: a block whose last frame was taken may go too.
        if self.walk.is_some_and(|walk| walk.is_over()) {
            self.walk = None;
            self.next = self.blocks.shape.after(self.next);
            self.read += 1;
        }
        while self.read > 0 {
            self.blocks.give_back(self.blocks.shape.before(self.next, self.read));
            self.read -= 1;
        }
    }

    /// Whether the kernel has handed over nothing that was not taken.
    pub fn is_empty(&self) -> bool {
        self.walk.is_none_or(|walk| walk.is_over()) && !self.blocks.is_ours(self.next)
    }

    /// Bytes of the blocks that the kernel has handed over and that were not given back.
    pub fn used(&self) -> u64 {
        let ours = (0..self.blocks.shape.blocks).filter(|block| self.blocks.is_ours(*block));
        ours.count() as u64 * u64::from(self.blocks.shape.block_size)
    }
}

impl Blocks {
    /// A block's status.
    fn status(&self, block: u32) -> &AtomicU32 {
        let at = self.shape.offset(block) + STATUS;
        assert!(
            at + size_of::<u32>() <= self.mapping.len(),
            "block {block} of {:?}",
            self.shape
        );
        // SAFETY: inside the mapping, as just checked.
        let word = unsafe { self.mapping.start().add(at) };
        // SAFETY: blocks begin at pages and their status at a multiple of 4; the mapping lives as long as the borrow, and
        // the kernel too writes the word in one piece (prb_flush_block, net/packet/af_packet.c).
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// Whether the kernel has handed the block over.
    #[inline]
    fn is_ours(&self, block: u32) -> bool {
        // Acquire: pairs with the barrier of prb_flush_block, before which the frames were written.
        self.status(block).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Makes the block the kernel's.
    fn give_back(&self, block: u32) {
        // Release: the frames were read before the kernel sees that it may write there.
        self.status(block).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// The bytes of a block that is ours.
    #[inline]
    fn bytes(&self, block: u32) -> &[u8] {
        let (at, length) = (self.shape.offset(block), self.shape.block_size as usize);
        if at + length > self.mapping.len() {
            return &[];
        }
        // SAFETY: inside the mapping, as just checked.
        let start = unsafe { self.mapping.start().add(at) };
        // SAFETY: the kernel writes no more into a block that it has handed over before that is given back, for which
        // `release` needs this borrow to have ended.
        unsafe { std::slice::from_raw_parts(start, length) }
    }
}

#[cfg(test)]
mod tests;
