//! Where a worker's frames come from: what every kind of kernel ring can do. The worker is compiled once for each kind,
//! so that none pays for the others.

pub mod offload;
mod order;
mod packet;
mod policy;
mod ring;
mod transport;

pub use packet::{PacketLane, Verdicts};
pub use policy::Levels;
pub use ring::RingLane;

use std::sync::Arc;
use std::time::Duration;

use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use crate::xsk::{Clock, Lane, LaneCounters, LaneError};
use offload::{Captured, Offloads};

/// A lane's end of the rings it shares with the kernel. A frame is lent to the worker where it lies, for as long as the
/// worker looks at it; its place is the kernel's again with the next [`refill`](Self::refill).
pub trait Intake: Send + 'static {
    /// The lane's number.
    fn queue(&self) -> u32;

    /// The counters, for the control thread.
    fn counters(&self) -> Arc<LaneCounters>;

    /// Takes at most `max` frames that the kernel has brought, one after the other; how many there were.
    fn take(&mut self, max: u32, clock: &Clock, each: impl FnMut(&Frame<'_>)) -> u32;

    /// The same with many frames at once, where the kind of ring can lend them so.
    fn take_together(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&[Frame<'_>])) -> u32 {
        self.take(max, clock, |frame| each(std::slice::from_ref(frame)))
    }

    /// Gives the places of the frames that were taken back to the kernel.
    fn refill(&mut self);

    /// Wakes the driver where it says that it waits for room; most rings have nobody to wake.
    ///
    /// # Errors
    /// When the interface is down or gone.
    #[inline]
    fn wake_if_needed(&mut self) -> Result<(), LaneError> {
        Ok(())
    }

    /// Waits until frames are there or `timeout` has passed, or less where the kernel wakes nobody; whether they are.
    ///
    /// # Errors
    /// When the interface is down or gone.
    fn poll(&mut self, timeout: Duration) -> Result<bool, LaneError>;

    /// Takes the kernel's own statistics of the rings into the counters. A system call: about once a second, and at the
    /// end.
    ///
    /// # Errors
    /// The errno of the call.
    fn read_statistics(&self) -> Result<(), LaneError>;

    /// Whether the kernel wakes who waits in [`poll`](Self::poll) for many frames at once, so that looking by oneself gains nothing.
    fn wakes_for_many(&self) -> bool {
        false
    }

    /// How long the kernel may keep a frame that it has taken in to itself.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }
}

/// The lanes of a daemon, all of one kind.
#[derive(Debug)]
pub enum Lanes {
    /// Mirror mode: AF_XDP sockets.
    Sockets(Vec<Lane>),
    /// Host mode: BPF ring buffers.
    Rings(Vec<RingLane>),
    /// Packet mode: the rings of packet sockets.
    Packets(Vec<PacketLane>),
}

impl Lanes {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Sockets(lanes) => lanes.len(),
            Self::Rings(lanes) => lanes.len(),
            Self::Packets(lanes) => lanes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// When a frame came that was copied beside the host's own, and which way it went.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    ts: Timestamp,
    outgoing: bool,
}

/// Counts such a frame.
#[inline]
fn count(counters: &LaneCounters, arrival: Arrival, captured: &Captured<'_>) {
    counters.frames.add(1);
    counters.bytes.add(captured.wire_len.into());
    if arrival.outgoing {
        counters.outgoing.add(1);
    }
    if captured.segment != 0 {
        counters.super_frames.add(1);
    }
}

/// Counts such a frame and hands on the packets that it stands for.
#[inline]
fn hand_on(
    counters: &LaneCounters,
    offloads: &mut Offloads,
    arrival: Arrival,
    captured: Captured<'_>,
    each: &mut impl FnMut(&Frame<'_>),
) {
    let ts = arrival.ts;
    count(counters, arrival, &captured);
    offloads.packets(captured, |wire_len, bytes| {
        // Before the engine counts it: whoever reads finds no more behind than before.
        counters.packets.add(1);
        each(&Frame {
            ts,
            link: LinkType::Ethernet,
            wire_len,
            bytes,
        });
    });
}

impl Intake for Lane {
    fn queue(&self) -> u32 {
        Self::queue(self)
    }

    fn counters(&self) -> Arc<LaneCounters> {
        Self::counters(self)
    }

    #[inline]
    fn take(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&Frame<'_>)) -> u32 {
        let mut taken = 0;
        let mut batch = self.peek(max);
        while let Some(packet) = batch.next_packet() {
            each(&packet.frame(clock));
            packet.release();
            taken += 1;
        }
        batch.release();
        taken
    }

    #[inline]
    fn take_together(&mut self, max: u32, clock: &Clock, each: impl FnMut(&[Frame<'_>])) -> u32 {
        Self::take_together(self, max, clock, each)
    }

    #[inline]
    fn refill(&mut self) {
        Self::refill(self);
    }

    #[inline]
    fn wake_if_needed(&mut self) -> Result<(), LaneError> {
        Self::wake_if_needed(self)
    }

    fn poll(&mut self, timeout: Duration) -> Result<bool, LaneError> {
        Self::poll(self, timeout)
    }

    fn read_statistics(&self) -> Result<(), LaneError> {
        Self::read_statistics(self)
    }
}
