//! Streams in numbered slots, of which there are never more than configured.

use std::sync::Arc;

use super::stream::Stream;
use crate::frontier::Frontier;

/// Streams looked at to find one to give up.
const SAMPLE: usize = 16;

/// Slots whose address space is reserved at the start.
const RESERVED: usize = 1 << 20;

/// The slots.
#[derive(Debug)]
pub struct Slots {
    /// A slot nobody sits in holds a [husk](Stream::husk).
    slots: Vec<Stream>,
    /// Whether anybody sits there. Apart, so that a packet, which knows, need not touch it.
    taken: Vec<bool>,
    /// How far the slots have come in their memory.
    frontier: Arc<Frontier>,
    free: Vec<u32>,
    max: usize,
    /// Slot where the next sweep goes on.
    sweep: usize,
    /// Slot where the next search for one to give up begins.
    hand: usize,
}

impl Slots {
    /// At most `max`, at least one and less than 2^31.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, (1 << 31) - 1);
        // Address space, not memory, until it is used: growing later would stop the lane to move what is there.
        let slots = Vec::with_capacity(max.min(RESERVED));
        Self {
            frontier: Arc::new(Frontier::of(&slots)),
            slots,
            taken: Vec::with_capacity(max.min(RESERVED)),
            free: Vec::new(),
            max,
            sweep: 0,
            hand: 0,
        }
    }

    /// How far they have come in their memory, for other threads to read.
    pub fn frontier(&self) -> Arc<Frontier> {
        Arc::clone(&self.frontier)
    }

    /// Puts a stream into a slot. Where all are taken, the longest idle of a sample leaves, one that is not even certain to be
    /// RTP first.
    pub fn insert(&mut self, stream: Stream) -> (u32, Option<Stream>) {
        let at = match self.free.pop() {
            Some(at) => at as usize,
            None if self.slots.len() < self.max => {
                self.slots.push(stream);
                self.taken.push(true);
                self.frontier.advance(size_of_val(&*self.slots));
                return ((self.slots.len() - 1) as u32, None);
            }
            None => self.least_needed(),
        };
        let before = std::mem::replace(&mut self.slots[at], stream);
        let left = std::mem::replace(&mut self.taken[at], true);
        (at as u32, left.then_some(before))
    }

    fn least_needed(&mut self) -> usize {
        let len = self.slots.len();
        let sample = (self.hand..self.hand + SAMPLE.min(len)).map(|at| at % len);
        let idle = |&at: &usize| (self.taken[at], self.slots[at].is_certain(), self.slots[at].end());
        let at = sample.min_by_key(idle).unwrap_or(0);
        self.hand = (self.hand + SAMPLE) % len;
        at
    }

    /// The stream in a slot where one is known to sit.
    #[inline(always)]
    pub fn seated(&mut self, at: u32) -> Option<&mut Stream> {
        debug_assert!(self.taken[at as usize]);
        self.slots.get_mut(at as usize)
    }

    /// Has fetched what a packet touches of the stream in a slot.
    #[inline(always)]
    pub fn fetch(&self, at: u32) {
        if let Some(stream) = self.slots.get(at as usize) {
            stream.fetch();
        }
    }

    /// Whether the first packets of the stream in a slot are being kept.
    #[inline(always)]
    pub fn is_young(&self, at: u32) -> bool {
        self.slots.get(at as usize).is_some_and(Stream::is_young)
    }

    /// The same of where its first packets are kept, as long as they are.
    #[inline(always)]
    pub fn fetch_kept(&self, at: u32) {
        if let Some(stream) = self.slots.get(at as usize) {
            stream.fetch_kept();
        }
    }

    /// The stream in a slot.
    pub fn get_mut(&mut self, at: u32) -> Option<&mut Stream> {
        let taken = self.taken.get(at as usize).copied().unwrap_or_default();
        self.slots.get_mut(at as usize).filter(|_| taken)
    }

    /// Empties a slot.
    pub fn remove(&mut self, at: u32) -> Option<Stream> {
        let stream = std::mem::replace(self.get_mut(at)?, Stream::husk());
        self.taken[at as usize] = false;
        self.free.push(at);
        Some(stream)
    }

    /// The next slot of a sweep that goes round and round; `None` where there are none.
    pub fn next_swept(&mut self) -> Option<u32> {
        let at = self.sweep.checked_rem(self.slots.len())?;
        self.sweep = at + 1;
        Some(at as u32)
    }

    /// Slots that there are, empty ones included.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Streams in them.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
