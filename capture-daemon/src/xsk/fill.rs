//! The fill ring, kept warm.
//!
//! The kernel reads the ring in order. With one as deep as the longest time a worker may be kept from it, every frame would go through the
//! whole umem, and each copy into memory that no cache and no TLB holds any more: with 131,072 frames the bare receive loop has 3.4 million
//! frames a second where it has 8.7 with 16,384. So a frame that comes back does not go behind all others: it takes the place of one that
//! the kernel will read soon, and that one goes behind. A few thousand frames are always the same; what lies deeper is touched when
//! the worker is late, and then it is there.
//!
//! The kernel reads an entry when a frame comes in (`xskq_cons_peek_addr_unchecked` in `__xp_alloc`, net/xdp/xsk_buff_pool.c), and says that it
//! has with its index, at the end of its NAPI poll at the latest (`xsk_flush`, net/xdp/xsk.c). An entry far enough behind that index is ours to
//! change. Whether it was is looked at afterwards: a worker may lose its CPU in between. Where it is not sure which of two frames the kernel
//! has read, both count as the kernel's until the one that stood there comes back, or the one that was put there; then the other is ours.
//!
//! So it is where the kernel copies. A driver in zero-copy mode reads entries many at a time, and has its own memory warm.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "indices come from shared memory"
)]

use std::num::Wrapping;

use super::ring::Producer;
use super::umem::{Token, Umem};

/// Frames that are given back at once.
const AT_ONCE: usize = 64;

/// Doubts there may be; with more, frames go behind all others.
const MOST_DOUBTS: usize = 1_024;

/// How far behind the entry that the kernel reads next, in entries, frames are put.
#[derive(Clone, Copy, Debug)]
pub struct Distances {
    /// No nearer: so many the kernel reads in a third of a millisecond at six million frames a second, and the exchange takes much less.
    pub nearest: u32,
    /// No farther: where so many are warm, what more there is goes behind all others. A worker's nap is a thousand frames or two.
    pub farthest: u32,
    /// The kernel may have read so many and not said so: the frames of a NAPI poll (64), of sixteen buffers each.
    pub unsaid: u32,
}

impl Distances {
    /// Those of a kernel that copies.
    pub const COPY: Self = Self {
        nearest: 2_048,
        farthest: 8_192,
        unsaid: 1_024,
    };
}

/// The fill ring of a queue.
#[derive(Debug)]
pub struct Fill {
    ring: Producer<u64>,
    warm: Option<Warm>,
}

/// Where warm frames are.
#[derive(Debug)]
struct Warm {
    distances: Distances,
    /// Up to here, warm frames were put.
    front: Wrapping<u32>,
    /// Has room for all there may be from the start.
    doubts: Vec<Doubt>,
}

/// The kernel has read, or will read, one of two.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// What stood there.
    stood: u64,
    /// What was put in its place.
    put: u64,
}

impl Fill {
    /// Frames go behind all others, until [`keep_warm`](Self::keep_warm).
    pub fn new(ring: Producer<u64>) -> Self {
        Self { ring, warm: None }
    }

    /// From now on frames that come back are put where they are read soon.
    pub fn keep_warm(&mut self, distances: Distances) {
        self.warm = Some(Warm {
            distances,
            front: Wrapping(0),
            doubts: Vec::with_capacity(MOST_DOUBTS),
        });
    }

    /// Whether the kernel wants to be woken to look at the ring.
    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }

    /// Gives frames to the kernel, as many as there is room for.
    #[inline]
    pub fn refill(&mut self, umem: &mut Umem, free: &mut Vec<Token>) {
        let wanted = u32::try_from(free.len()).unwrap_or(u32::MAX);
        let mut left = self.ring.free(wanted).min(wanted) as usize;
        if left == 0 {
            return;
        }
        while left > 0 {
            let count = left.min(AT_ONCE);
            left = left.saturating_sub(count);
            let first = free.len().saturating_sub(count);
            let mut addresses = [0; AT_ONCE];
            for (address, token) in addresses.iter_mut().zip(free.get(first..).unwrap_or_default()) {
                *address = umem.place_of(token);
            }
            let mut behind = addresses.get_mut(..count).unwrap_or_default();
            if let Some(warm) = &mut self.warm {
                behind = warm.put(&mut self.ring, umem, behind);
            }
            for token in free.drain(first..) {
                umem.lend(token);
            }
            for address in behind {
                if self.ring.push(*address).is_err() {
                    // There was room, and nobody else writes.
                    debug_assert!(false, "fill ring full");
                }
            }
        }
        self.ring.publish();
    }

    /// The frame at `came` has come back from the kernel. Where that settles a doubt, the frame that the kernel never had.
    #[inline]
    pub fn settle(&mut self, came: impl FnOnce() -> u64) -> Option<u64> {
        let warm = self.warm.as_mut()?;
        if warm.doubts.is_empty() {
            return None;
        }
        warm.settle(came())
    }
}

impl Warm {
    /// Puts frames, which are still ours, where the kernel reads them soon. Returned is what is to go behind all others.
    #[inline]
    fn put<'a>(&mut self, ring: &mut Producer<u64>, umem: &Umem, addresses: &'a mut [u64]) -> &'a mut [u64] {
        let Distances {
            nearest,
            farthest,
            unsaid,
        } = self.distances;
        let count = addresses.len().min(AT_ONCE) as u32;
        let (next, unread) = ring.unread();
        let mut ahead = (self.front - next).0;
        if ahead < nearest || ahead > farthest {
            // The kernel has read what was warm, or nothing was yet.
            ahead = nearest;
        }
        let end = ahead.saturating_add(count);
        if end > farthest.min(unread) || self.doubts.len().saturating_add(addresses.len()) > MOST_DOUBTS {
            return addresses;
        }
        let mut put = [0; AT_ONCE];
        for (kept, address) in put.iter_mut().zip(&*addresses) {
            *kept = *address;
        }
        let read = ring.exchange(ahead, addresses);
        self.front = next + Wrapping(end);
        let doubtful = read.saturating_add(unsaid).saturating_sub(ahead).min(count) as usize;
        if doubtful == 0 {
            addresses
        } else {
            self.doubt(doubtful, &put, umem, addresses)
        }
    }

    /// The first `doubtful` of the exchanged entries may have been read before, and `addresses` be what the kernel has.
    #[cold]
    fn doubt<'a>(&mut self, doubtful: usize, put: &[u64], umem: &Umem, addresses: &'a mut [u64]) -> &'a mut [u64] {
        let mut kept = 0_usize;
        for at in 0..addresses.len() {
            let (Some(&stood), Some(&put)) = (addresses.get(at), put.get(at)) else {
                break;
            };
            let behind = if at >= doubtful {
                stood
            } else if umem.is_lent(stood) {
                self.doubts.push(Doubt { stood, put });
                continue;
            } else {
                // It has even come back: what was put there is not read.
                put
            };
            if let Some(place) = addresses.get_mut(kept) {
                *place = behind;
                kept = kept.saturating_add(1);
            }
        }
        addresses.get_mut(..kept).unwrap_or_default()
    }

    #[cold]
    fn settle(&mut self, came: u64) -> Option<u64> {
        let doubt = self
            .doubts
            .iter()
            .position(|doubt| doubt.stood == came || doubt.put == came)?;
        let Doubt { stood, put } = self.doubts.swap_remove(doubt);
        Some(if stood == came { put } else { stood })
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may panic where it is wrong")]
mod tests;
