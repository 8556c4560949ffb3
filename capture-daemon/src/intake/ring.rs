//! The lane of host mode: a BPF ring buffer for each CPU, into which the kernel programs copy what is wanted.
//!
//! Each CPU has its own, as two that reserve room in one wait for each other (the spinlock of __bpf_ringbuf_reserve): 50 ns a frame became
//! 160 to 270 when two CPUs did. They have one worker, as a program that sends moves from CPU to CPU and its streams with it.
//!
//! The programs wake nobody, as a wake-up costs the host more than a frame does: the reader comes by in naps, which grow
//! while there is nothing and are short again with the first frame.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use capture_common::{Direction, Record};

use super::offload::{Captured, Offloads};
use super::order::{LAG, Order};
use super::{Arrival, Intake, count, hand_on};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use crate::xsk::records::Records;
use crate::xsk::{Clock, LaneCounters, LaneError};

/// Frames that are handed on together, as many as the engine looks ahead.
const TOGETHER: usize = 64;

/// The place of a frame.
const NOTHING: Frame<'static> = Frame {
    ts: Timestamp::ZERO,
    link: LinkType::Ethernet,
    wire_len: 0,
    bytes: &[],
};

/// The first nap of a quiet lane.
const SHORTEST_NAP: Duration = Duration::from_micros(250);

/// Bytes a second that may begin to come while a quiet lane naps: a 10 Gbit/s link's.
const FULL_LINK: u64 = 1_250_000_000;

/// The longest nap lets a full link fill this part of a ring.
const NAP_PART: u64 = 4;

/// No ring is smaller than this, unless all together are to be: it has to hold what comes during a nap.
const LEAST: u32 = 4 << 20;

/// The ring buffers and what is made of their records.
#[derive(Debug)]
pub struct RingLane {
    rings: Vec<Records>,
    order: Order,
    offloads: Offloads,
    counters: Arc<LaneCounters>,
    queue: u32,
    nap: Duration,
    longest_nap: Duration,
}

impl RingLane {
    /// Bytes of each of `rings` ring buffers that have `all` together: a power of two, and no less than 4 MiB, or `all` where that is
    /// less.
    pub fn share(all: u32, rings: usize) -> u32 {
        let share = u32::try_from(rings).ok().and_then(|rings| all.checked_div(rings));
        let exponent = share.and_then(u32::checked_ilog2).unwrap_or_default();
        (1 << exponent).max(all.min(LEAST))
    }

    /// Maps the ring buffers of `size` bytes each that are the maps behind `maps`; the lane's number is `queue`.
    ///
    /// # Errors
    /// The errno of mmap(2), with the interface and the lane.
    pub fn open<M: AsFd>(
        interface: &str,
        queue: u32,
        maps: impl IntoIterator<Item = M>,
        size: u32,
    ) -> Result<Self, LaneError> {
        let map = |map| Records::new(map, size);
        let rings: io::Result<Vec<_>> = maps.into_iter().map(map).collect();
        let rings = rings.map_err(|source| LaneError::Io {
            interface: interface.to_owned(),
            queue,
            operation: "map the ring buffer",
            source,
        })?;
        let counters = Arc::<LaneCounters>::default();
        counters.ring_size.set(rings.iter().map(Records::size).sum());
        let longest_nap = Duration::from_nanos(u64::from(size) * 1_000_000_000 / FULL_LINK / NAP_PART);
        Ok(Self {
            order: Order::new(rings.len()),
            rings,
            offloads: Offloads::default(),
            counters,
            queue,
            nap: SHORTEST_NAP,
            longest_nap: longest_nap.max(SHORTEST_NAP),
        })
    }
}

impl Intake for RingLane {
    fn queue(&self) -> u32 {
        self.queue
    }

    fn counters(&self) -> Arc<LaneCounters> {
        Arc::clone(&self.counters)
    }

    #[inline]
    fn take(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&Frame<'_>)) -> u32 {
        self.take_together(max, clock, |frames| frames.iter().for_each(&mut each))
    }

    #[inline]
    fn take_together(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&[Frame<'_>])) -> u32 {
        self.order.look(&self.rings, Clock::monotonic());
        let mut frames = [NOTHING; TOGETHER];
        let mut waiting = 0;
        let mut taken = 0;
        while taken < max {
            let Some(record) = self.order.take(&self.rings) else {
                break;
            };
            // No program writes a record that is shorter than its head or says more than it holds.
            let Some((head, bytes)) = read(record) else {
                self.counters.bad_descriptors.add(1);
                continue;
            };
            let captured = Captured {
                wire_len: head.wire_len,
                bytes,
                segment: head.segment,
                keep: head.keep,
            };
            let arrival = Arrival {
                ts: clock.wall(head.arrival),
                outgoing: head.direction == Direction::Out as u32,
            };
            taken += 1;
            let Some(bytes) = Offloads::plain(&captured) else {
                // In the order in which they came.
                each(frames.get(..waiting).unwrap_or_default());
                waiting = 0;
                let mut alone = |frame: &Frame<'_>| each(std::slice::from_ref(frame));
                hand_on(&self.counters, &mut self.offloads, arrival, captured, &mut alone);
                continue;
            };
            count(&self.counters, arrival, &captured);
            self.counters.packets.add(1);
            if let Some(place) = frames.get_mut(waiting) {
                *place = Frame {
                    ts: arrival.ts,
                    link: LinkType::Ethernet,
                    wire_len: captured.wire_len,
                    bytes,
                };
                waiting += 1;
            }
            if waiting == frames.len() {
                each(&frames);
                waiting = 0;
            }
        }
        each(frames.get(..waiting).unwrap_or_default());
        if taken > 0 {
            self.nap = SHORTEST_NAP;
        }
        taken
    }

    #[inline]
    fn refill(&mut self) {
        self.rings.iter_mut().for_each(Records::release);
    }

    fn poll(&mut self, timeout: Duration) -> Result<bool, LaneError> {
        thread::sleep(self.nap.min(timeout));
        self.nap = (self.nap * 2).min(self.longest_nap);
        Ok(!self.rings.iter().all(Records::is_empty))
    }

    fn lag(&self) -> Duration {
        LAG
    }

    fn read_statistics(&self) -> Result<(), LaneError> {
        self.counters.ring_used.set(self.rings.iter().map(Records::used).sum());
        Ok(())
    }
}

/// A record's head and the bytes of its frame.
fn read(record: &[u8]) -> Option<(Record, &[u8])> {
    let (head, rest) = record.split_at_checked(Record::SIZE)?;
    let head: Record = bytemuck::try_pod_read_unaligned(head).ok()?;
    Some((head, rest.get(..head.captured as usize)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_what_there_is_and_none_is_too_small() {
        const MIB: u32 = 1 << 20;
        for (all, rings, each) in [
            (64 * MIB, 1, 64 * MIB),
            (64 * MIB, 2, 32 * MIB),
            (64 * MIB, 3, 16 * MIB),
            (64 * MIB, 16, 4 * MIB),
            (64 * MIB, 64, 4 * MIB),
            (MIB, 8, MIB),
            (256 << 10, 2, 256 << 10),
        ] {
            assert_eq!(RingLane::share(all, rings), each, "{all} by {rings}");
        }
    }
}
