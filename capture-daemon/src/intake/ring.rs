//! A lane of host mode: one BPF ring buffer, into which the kernel programs copy what is wanted.
//!
//! The programs wake nobody, as a wake-up costs the host more than a frame does: the reader comes by in naps, which grow
//! while there is nothing and are short again with the first frame.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use capture_common::{Direction, Record};

use super::offload::{Captured, Offloads};
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

/// The longest nap lets a full link fill this part of the ring.
const NAP_PART: u64 = 4;

/// One ring buffer and what is made of its records.
#[derive(Debug)]
pub struct RingLane {
    records: Records,
    offloads: Offloads,
    counters: Arc<LaneCounters>,
    queue: u32,
    nap: Duration,
    longest_nap: Duration,
}

impl RingLane {
    /// Maps the ring buffer of `size` bytes that is the map behind `map`; the lane's number is `queue`.
    ///
    /// # Errors
    /// The errno of mmap(2), with the interface and the lane.
    pub fn open(interface: &str, queue: u32, map: impl AsFd, size: u32) -> Result<Self, LaneError> {
        let records = Records::new(map, size).map_err(|source| LaneError::Io {
            interface: interface.to_owned(),
            queue,
            operation: "map the ring buffer",
            source,
        })?;
        let counters = Arc::<LaneCounters>::default();
        counters.ring_size.set(records.size());
        let longest_nap = Duration::from_nanos(u64::from(size) * 1_000_000_000 / FULL_LINK / NAP_PART);
        Ok(Self {
            records,
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
        let mut records = self.records.walk();
        let mut frames = [NOTHING; TOGETHER];
        let mut waiting = 0;
        let mut taken = 0;
        while taken < max {
            let Some(record) = records.next_record() else {
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
        self.records.release();
    }

    fn poll(&mut self, timeout: Duration) -> Result<bool, LaneError> {
        thread::sleep(self.nap.min(timeout));
        self.nap = (self.nap * 2).min(self.longest_nap);
        Ok(!self.records.is_empty())
    }

    fn read_statistics(&self) -> Result<(), LaneError> {
        self.counters.ring_used.set(self.records.used());
        Ok(())
    }
}

/// A record's head and the bytes of its frame.
fn read(record: &[u8]) -> Option<(Record, &[u8])> {
    let (head, rest) = record.split_at_checked(Record::SIZE)?;
    let head: Record = bytemuck::try_pod_read_unaligned(head).ok()?;
    Some((head, rest.get(..head.captured as usize)?))
}
