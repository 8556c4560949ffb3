//! Streams in numbered slots, of which there are never more than configured.

use super::stream::Stream;

/// Streams looked at to find one to give up.
const SAMPLE: usize = 16;

/// Slots whose address space is reserved at the start.
const RESERVED: usize = 1 << 20;

/// The slots.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Option<Stream>>,
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
        Self {
            // Address space, not memory, until it is used: growing later would stop the lane to move what is there.
            slots: Vec::with_capacity(max.min(RESERVED)),
            free: Vec::new(),
            max,
            sweep: 0,
            hand: 0,
        }
    }

    /// Puts a stream into a slot. Where all are taken, the longest idle of a sample leaves, one that is not even certain to be
    /// RTP first.
    pub fn insert(&mut self, stream: Stream) -> (u32, Option<Stream>) {
        let at = match self.free.pop() {
            Some(at) => at as usize,
            None if self.slots.len() < self.max => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => self.least_needed(),
        };
        let left = self.slots.get_mut(at).and_then(|slot| slot.replace(stream));
        (at as u32, left)
    }

    fn least_needed(&mut self) -> usize {
        let len = self.slots.len();
        let sample = (self.hand..self.hand + SAMPLE.min(len)).map(|at| at % len);
        let idle = |&at: &usize| self.slots[at].as_ref().map(|s| (s.is_certain(), s.end()));
        let at = sample.min_by_key(idle).unwrap_or(0);
        self.hand = (self.hand + SAMPLE) % len;
        at
    }

    /// The stream in a slot.
    #[inline]
    pub fn get_mut(&mut self, at: u32) -> Option<&mut Stream> {
        self.slots.get_mut(at as usize)?.as_mut()
    }

    /// Empties a slot.
    pub fn remove(&mut self, at: u32) -> Option<Stream> {
        let stream = self.slots.get_mut(at as usize)?.take()?;
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
