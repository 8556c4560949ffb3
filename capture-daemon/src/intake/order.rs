//! The ring buffers of several CPUs, read as one: in the order of time, as far as that is known when they are looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem::offset_of;

use capture_common::Record;

use crate::xsk::records::Records;

/// Which ring has the earliest record.
#[derive(Debug)]
pub(super) struct Order {
    /// Rings with a record that was looked at and not taken, by its time; the earliest first.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
    /// Rings that had none.
    quiet: Vec<usize>,
}

impl Order {
    /// Of this many rings.
    pub fn new(rings: usize) -> Self {
        Self {
            ready: BinaryHeap::with_capacity(rings),
            quiet: (0..rings).collect(),
        }
    }

    /// Looks again at rings that had nothing. Between two looks the others are read, and what comes meanwhile into these has to wait.
    #[inline]
    pub fn look(&mut self, rings: &[Records]) {
        self.quiet.retain(|&ring| {
            let record = rings.get(ring).and_then(Records::peek);
            if let Some(record) = record {
                self.ready.push(Reverse((arrival(record), ring)));
            }
            record.is_none()
        });
    }

    /// Takes the earliest record of all that are known.
    #[inline]
    pub fn take<'a>(&mut self, rings: &'a [Records]) -> Option<&'a [u8]> {
        let mut first = self.ready.peek_mut()?;
        let Reverse((_, ring)) = *first;
        let records = rings.get(ring)?;
        let record = records.take();
        if let Some(next) = records.peek() {
            *first = Reverse((arrival(next), ring));
        } else {
            PeekMut::pop(first);
            self.quiet.push(ring);
        }
        record
    }
}

/// When the frame of a record came, by the kernel's clock; of what is no record, at once, so that it is out of the way.
fn arrival(record: &[u8]) -> u64 {
    const AT: usize = offset_of!(Record, arrival);
    let bytes = record.get(AT..AT + size_of::<u64>());
    bytes.map_or(0, bytemuck::pod_read_unaligned)
}
