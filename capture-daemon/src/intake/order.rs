//! The ring buffers of several CPUs, read as one: in the order of time.
//!
//! What a CPU has not brought yet cannot be seen, so nothing is taken that is younger than the last look at all of them: a reader that
//! loses its CPU in the middle of one ring would read on there what came since, before what another had brought long ago.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::mem::offset_of;
use std::time::Duration;

use capture_common::Record;

use crate::xsk::records::Records;

/// How long a program may take from a record's time to its end: looking up its ring, and the copy of a super-frame, some 20 µs.
pub(super) const LAG: Duration = Duration::from_micros(50);

/// Which ring has the earliest record.
#[derive(Debug)]
pub(super) struct Order {
    /// Rings with a record that was looked at and not taken, by its time; the earliest first.
    ready: BinaryHeap<Reverse<(u64, usize)>>,
    /// Rings that had none.
    quiet: Vec<usize>,
    /// What came later may not be all there is of its time.
    until: u64,
}

impl Order {
    /// Of this many rings.
    pub fn new(rings: usize) -> Self {
        Self {
            ready: BinaryHeap::with_capacity(rings),
            quiet: (0..rings).collect(),
            until: 0,
        }
    }

    /// Looks again at rings that had nothing, at `now` by the kernel's clock, in nanoseconds.
    #[inline]
    pub fn look(&mut self, rings: &[Records], now: u64) {
        // One ring is in order by itself.
        self.until = match rings {
            [_] => u64::MAX,
            _ => now.saturating_sub(LAG.as_nanos() as u64),
        };
        self.quiet.retain(|&ring| {
            let record = rings.get(ring).and_then(Records::peek);
            if let Some(record) = record {
                self.ready.push(Reverse((arrival(record), ring)));
            }
            record.is_none()
        });
    }

    /// Takes the earliest record, if none that is earlier can come any more.
    #[inline]
    pub fn take<'a>(&mut self, rings: &'a [Records]) -> Option<&'a [u8]> {
        let mut first = self.ready.peek_mut()?;
        let Reverse((arrival_of_first, ring)) = *first;
        if arrival_of_first > self.until {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xsk::records::tests::ring;

    #[derive(Clone, Debug)]
    enum Step {
        /// Nanoseconds pass.
        Pass(u64),
        /// This ring's CPU brings a frame that came this long ago.
        Bring { ring: usize, ago: u64 },
        /// The reader looks.
        Look,
        /// And takes no more than so many, which may be long after it looked.
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let lag = LAG.as_nanos() as u64;
        prop_oneof![
            2 => (0..2 * lag).prop_map(Step::Pass),
            4 => (0..3_usize, 0..lag).prop_map(|(ring, ago)| Step::Bring { ring, ago }),
            2 => Just(Step::Look),
            2 => (0..6_usize).prop_map(Step::Take),
        ]
    }

    proptest! {
        /// Whatever the reader missed between a look and its taking, what it takes is in the order of time, and is all there is.
        #[test]
        fn what_is_taken_is_in_the_order_of_time(steps in prop::collection::vec(step(), 0..80)) {
            let (rings, mut kernels): (Vec<_>, Vec<_>) = (0..3).map(|_| ring(0)).unzip();
            let mut order = Order::new(rings.len());
            let mut now = 1_000_000;
            let mut last_of = [0; 3];
            let mut brought = Vec::new();
            let mut taken = Vec::new();
            for step in steps.into_iter().chain([Step::Pass(1_000_000), Step::Look, Step::Take(usize::MAX)]) {
                match step {
                    Step::Pass(time) => now += time,
                    Step::Bring { ring, ago } => {
                        last_of[ring] = (now - ago).max(last_of[ring]);
                        let record = Record { arrival: last_of[ring], ..Record::default() };
                        prop_assert!(kernels[ring].bring(&rings[ring], bytemuck::bytes_of(&record), 0));
                        brought.push(record.arrival);
                    }
                    Step::Look => order.look(&rings, now),
                    Step::Take(most) => {
                        let records = std::iter::from_fn(|| order.take(&rings)).take(most);
                        taken.extend(records.map(arrival));
                    }
                }
            }
            brought.sort_unstable();
            prop_assert_eq!(taken, brought);
        }
    }
}
