//! Packets lent to the worker many at a time, so that it can look ahead: what the engine touches for one is then on its way
//! from memory while it takes in another.

use super::{Arrived, Receive, Taken, frame};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use crate::xsk::Clock;
use crate::xsk::umem::Piece;

/// Packets lent at once.
pub(super) const TOGETHER: usize = 64;

/// Stands where there is no packet.
const NOTHING: Frame<'static> = Frame {
    ts: Timestamp::ZERO,
    link: LinkType::Ethernet,
    wire_len: 0,
    bytes: &[],
};

/// A packet of one buffer, and its stamp.
pub(super) type Held = (Piece, Option<Arrived>);

impl Receive {
    /// Lends at most `max` packets that the kernel has brought, in order and as many at once as may be; how many there were.
    pub fn take_together(&mut self, max: u32, clock: &Clock, mut each: impl FnMut(&[Frame<'_>])) -> u32 {
        // A packet may take several entries; looking for more of them is cheap.
        self.rx.available(max);
        let now = Clock::monotonic();
        let mut taken = 0_u32;
        while taken < max {
            let room = TOGETHER.min(max.saturating_sub(taken) as usize);
            let mut joined = None;
            let mut is_empty = false;
            while self.held.len() < room && joined.is_none() && !is_empty {
                match self.take(now) {
                    Some(Taken::Single(piece)) => {
                        self.umem.fetch_stamp(&piece);
                        self.held.push((piece, None));
                    }
                    Some(Taken::Joined(len, meta)) => joined = Some((len, meta)),
                    None => is_empty = true,
                }
            }
            self.read_stamps(now);
            taken = taken.saturating_add(self.lend_held(clock, &mut each));
            if let Some((len, meta)) = joined {
                self.counters.multi_buffer.add(1);
                let bytes = self.scratch.get(..len).unwrap_or_default();
                let packet = [frame(bytes, meta, clock)];
                self.count(&packet, usize::from(meta.is_none()));
                each(&packet);
                taken = taken.saturating_add(1);
            }
            if is_empty {
                break;
            }
        }
        self.rx.publish();
        taken
    }

    /// Reads what the program wrote in front of the frames that are held. Another core wrote it, and it has been on its way since they were
    /// taken from the ring.
    fn read_stamps(&mut self, now: u64) {
        for (piece, meta) in &mut self.held {
            *meta = self.umem.stamp(piece, now);
        }
    }

    /// Lends what is held, and gives it back.
    fn lend_held(&mut self, clock: &Clock, each: &mut impl FnMut(&[Frame<'_>])) -> u32 {
        let held = self.held.len();
        if held > 0 {
            let mut pieces = self.held.iter();
            let frames: [Frame<'_>; TOGETHER] = std::array::from_fn(|_| {
                let next = pieces.next();
                next.map_or(NOTHING, |(piece, meta)| frame(self.umem.bytes(piece), *meta, clock))
            });
            let frames = frames.get(..held).unwrap_or_default();
            self.count(frames, self.held.iter().filter(|(_, meta)| meta.is_none()).count());
            each(frames);
            self.free
                .extend(self.held.drain(..).map(|(piece, _)| piece.into_token()));
        }
        // At most TOGETHER.
        held as u32
    }

    fn count(&self, frames: &[Frame<'_>], no_timestamp: usize) {
        self.counters.frames.add(frames.len() as u64);
        let bytes = frames.iter().map(|frame| frame.bytes.len() as u64);
        self.counters.bytes.add(bytes.fold(0, u64::saturating_add));
        self.counters.no_timestamp.add(no_timestamp as u64);
    }
}
