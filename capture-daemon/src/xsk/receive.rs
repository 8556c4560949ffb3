//! Frames out of the rings. The worker peeks a [`Batch`], takes its [`Packet`]s one after the other, and gives the frames
//! back; what is borrowed from a packet cannot outlive it, nor a packet its batch.
//!
//! No system call here: all of it works over anonymous memory, and is tested there.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "descriptors come from shared memory"
)]

mod together;

use std::sync::Arc;

use capture_common::{Stamp, Verdict};

use self::together::{Held, TOGETHER};
use super::clock::Clock;
use super::fill::{Distances, Fill};
use super::ring::{Consumer, Producer};
use super::stats::LaneCounters;
use super::types::Desc;
use super::umem::{Claim, Piece, Token, Umem};
use crate::frame::{Frame, LinkType};

/// Buffers of one packet at most: the first and MAX_SKB_FRAGS (17, or up to 45 by the kernel's configuration) more.
const MAX_BUFFERS: u32 = 64;

/// Bytes of one packet at most that came in several buffers: an IP packet behind Ethernet with a few tags or labels.
const MAX_PACKET: usize = 65_535 + 64;

/// Rings and frames of one queue. Every frame is in one place: in the fill ring or the kernel's hands, in the rx ring, in
/// `free`, in `held`, or in the one packet the worker looks at. Of the frames of a doubt ([`fill`](super::fill)) one is with the kernel.
#[derive(Debug)]
pub struct Receive {
    rx: Consumer<Desc>,
    fill: Fill,
    umem: Umem,
    /// Frames on their way back into the fill ring. Has room for all of them from the start.
    free: Vec<Token>,
    /// Where a packet of several buffers is put together.
    scratch: Box<[u8]>,
    counters: Arc<LaneCounters>,
    /// Packets about to be lent together. Has room for all of them from the start.
    held: Vec<Held>,
}

/// A packet's stamp and, where the program cut it, its bytes on the wire.
type Arrived = (Stamp, Option<u32>);

/// A packet out of the rx ring, before the worker has it.
enum Taken {
    /// One buffer, borrowed where it lies.
    Single(Piece),
    /// Several, put together in the scratch memory: that many bytes, and the stamp of the first.
    Joined(usize, Option<Arrived>),
}

/// What became of a packet of several buffers.
enum Joined {
    Packet(usize, Option<Arrived>),
    Lost,
    Incomplete,
}

impl Receive {
    /// Puts rings and frames together and fills the fill ring.
    pub fn new(rx: Consumer<Desc>, fill: Producer<u64>, umem: Umem, tokens: Vec<Token>) -> Self {
        let mut receive = Self {
            rx,
            fill: Fill::new(fill),
            umem,
            free: tokens,
            scratch: vec![0; MAX_PACKET].into_boxed_slice(),
            counters: Arc::default(),
            held: Vec::with_capacity(TOGETHER),
        };
        receive.refill();
        receive
    }

    /// For a kernel that copies: frames that come back are put where it reads them soon, while they are in its caches.
    pub fn keep_warm(&mut self, distances: Distances) {
        self.fill.keep_warm(distances);
    }

    /// The counters, for the control thread.
    pub fn counters(&self) -> &Arc<LaneCounters> {
        &self.counters
    }

    /// The frames' memory.
    pub fn umem(&self) -> &Umem {
        &self.umem
    }

    /// Whether the kernel wants to be woken to look at the fill ring.
    pub fn needs_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }

    /// At most `max` packets that the kernel has brought.
    pub fn peek(&mut self, max: u32) -> Batch<'_> {
        // A packet may take several entries; looking for more of them is cheap.
        self.rx.available(max);
        Batch {
            left: max,
            receive: self,
            now: Clock::monotonic(),
        }
    }

    /// Gives the frames that were released back to the kernel.
    #[inline]
    pub fn refill(&mut self) {
        self.fill.refill(&mut self.umem, &mut self.free);
    }

    /// The next packet, or `None` where the ring has no whole one; `now` is CLOCK_MONOTONIC.
    fn take(&mut self, now: u64) -> Option<Taken> {
        loop {
            let first = self.rx.get(0)?;
            if first.options & libc::XDP_PKT_CONTD != 0 {
                match self.join(now) {
                    Joined::Packet(len, meta) => return Some(Taken::Joined(len, meta)),
                    Joined::Lost => continue,
                    Joined::Incomplete => return None,
                }
            }
            self.rx.advance(1);
            match self.claim(first) {
                Some(piece) => return Some(Taken::Single(piece)),
                None => self.counters.bad_descriptors.add(1),
            }
        }
    }

    /// The frame of a descriptor, unless the descriptor is wrong.
    fn claim(&mut self, desc: Desc) -> Option<Piece> {
        match self.umem.claim(desc.addr, desc.len) {
            Claim::Whole(piece) => {
                self.settle(piece.token());
                Some(piece)
            }
            Claim::Outside(token) => {
                self.settle(&token);
                self.free.push(token);
                None
            }
            Claim::Foreign => None,
        }
    }

    /// Takes the frame that the kernel never had, where that is clear now that this one has come back.
    #[inline]
    fn settle(&mut self, came: &Token) {
        if let Some(never_read) = self.fill.settle(|| self.umem.place_of(came))
            && let Claim::Whole(piece) = self.umem.claim(never_read, 0)
        {
            self.free.push(piece.into_token());
        }
    }

    /// Puts the packet together that begins at the first unread entry and goes on in the next ones.
    #[cold]
    fn join(&mut self, now: u64) -> Joined {
        self.rx.available(MAX_BUFFERS);
        let last = (0..MAX_BUFFERS).find(|ahead| {
            self.rx
                .get(*ahead)
                .is_none_or(|desc| desc.options & libc::XDP_PKT_CONTD == 0)
        });
        let (buffers, endless) = match last {
            // The kernel shows a packet's entries at once; should one be missing, it is waited for.
            Some(last) if self.rx.get(last).is_none() => return Joined::Incomplete,
            Some(last) => (last.saturating_add(1), false),
            None => (MAX_BUFFERS, true),
        };
        let mut meta = None;
        let mut len = 0_usize;
        let mut is_bad = false;
        let mut is_oversize = endless;
        for ahead in 0..buffers {
            let Some(piece) = self.rx.get(ahead).and_then(|desc| self.claim(desc)) else {
                is_bad = true;
                continue;
            };
            if ahead == 0 {
                meta = self.umem.stamp(&piece, now);
            }
            let bytes = self.umem.bytes(&piece);
            let end = len.saturating_add(bytes.len());
            match self.scratch.get_mut(len..end) {
                Some(room) => {
                    room.copy_from_slice(bytes);
                    len = end;
                }
                None => is_oversize = true,
            }
            self.free.push(piece.into_token());
        }
        self.rx.advance(buffers);
        if is_bad {
            self.counters.bad_descriptors.add(1);
            Joined::Lost
        } else if is_oversize {
            self.counters.oversize.add(1);
            Joined::Lost
        } else {
            Joined::Packet(len, meta)
        }
    }
}

/// A packet as the engine and the spool take it. One that the program could not stamp is given the time of now.
#[inline(always)]
fn frame<'a>(bytes: &'a [u8], meta: Option<Arrived>, clock: &Clock) -> Frame<'a> {
    Frame {
        ts: meta.map_or_else(|| clock.now(), |(stamp, _)| clock.wall(stamp.arrival)),
        link: LinkType::Ethernet,
        // At most MAX_PACKET; what the program has not stamped it has not cut either.
        wire_len: meta
            .and_then(|(_, wire_len)| wire_len)
            .unwrap_or(0)
            .max(bytes.len() as u32),
        bytes,
    }
}

/// Packets the kernel has brought, borrowed from their lane. Dropped, it gives the rx ring's places back; packets not
/// taken stay in the ring.
#[derive(Debug)]
pub struct Batch<'lane> {
    receive: &'lane mut Receive,
    left: u32,
    /// CLOCK_MONOTONIC when it was peeked, in nanoseconds.
    now: u64,
}

impl Batch<'_> {
    /// The next packet, once the one before is gone.
    #[inline]
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        self.left = self.left.checked_sub(1)?;
        let (content, meta) = match self.receive.take(self.now)? {
            Taken::Single(piece) => {
                let meta = self.receive.umem.stamp(&piece, self.now);
                (Content::Single(piece), meta)
            }
            Taken::Joined(len, meta) => {
                self.receive.counters.multi_buffer.add(1);
                (Content::Joined(len), meta)
            }
        };
        let packet = Packet {
            receive: self.receive,
            content: Some(content),
            meta,
        };
        let counters = &packet.receive.counters;
        counters.frames.add(1);
        counters.bytes.add(packet.bytes().len() as u64);
        if meta.is_none() {
            counters.no_timestamp.add(1);
        }
        Some(packet)
    }

    /// Ends the batch; what dropping it does, by name.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.receive.rx.publish();
    }
}

/// Where a packet's bytes lie.
#[derive(Debug)]
enum Content {
    Single(Piece),
    Joined(usize),
}

/// One packet. It holds the right to its frame and gives it back when it is released or dropped; it can be neither
/// copied nor kept beyond the next one.
#[derive(Debug)]
pub struct Packet<'batch> {
    receive: &'batch mut Receive,
    /// `None` only while it is dropped.
    content: Option<Content>,
    meta: Option<Arrived>,
}

impl Packet<'_> {
    /// The packet's bytes, from the Ethernet header on.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Some(Content::Single(piece)) => self.receive.umem.bytes(piece),
            Some(Content::Joined(len)) => self.receive.scratch.get(..*len).unwrap_or_default(),
            None => &[],
        }
    }

    /// The packet as the engine and the spool take it. One that the program could not stamp is given the time of now.
    #[inline]
    pub fn frame(&self, clock: &Clock) -> Frame<'_> {
        frame(self.bytes(), self.meta, clock)
    }

    /// Why the kernel program captured it, if it said so.
    pub fn verdict(&self) -> Option<Verdict> {
        self.meta.map(|(stamp, _)| stamp.verdict)
    }

    /// Gives the frame back; what dropping the packet does, by name.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        if let Some(Content::Single(piece)) = self.content.take() {
            self.receive.free.push(piece.into_token());
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic where it is wrong"
)]
mod tests;
