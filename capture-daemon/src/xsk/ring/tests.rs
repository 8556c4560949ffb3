//! Rings in anonymous memory against a simple queue.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::testing::ring;
use super::*;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Push(u64),
    PublishProduced,
    Read(u32),
    PublishConsumed,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => any::<u64>().prop_map(Operation::Push),
        2 => Just(Operation::PublishProduced),
        4 => (0..20_u32).prop_map(Operation::Read),
        2 => Just(Operation::PublishConsumed),
    ]
}

/// Anywhere, and often just below 2^32.
fn start() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), u32::MAX - 40..=u32::MAX]
}

proptest! {
    /// A ring is a queue, whatever the order of operations and wherever its indices stand.
    #[test]
    fn is_a_queue(start in start(), entries_log in 0..6_u32, operations in prop::collection::vec(operation(), 0..400)) {
        let entries = 1 << entries_log;
        let (mut producer, mut consumer, _memory) = ring::<u64>(entries, start);
        // Written and not published; published and not read; read and its place not given back.
        let (mut written, mut visible, mut held) = (VecDeque::new(), VecDeque::new(), 0_u32);
        for operation in operations {
            match operation {
                Operation::Push(value) => {
                    let used = written.len() + visible.len() + held as usize;
                    let room = used < entries as usize;
                    prop_assert_eq!(producer.push(value), if room { Ok(()) } else { Err(value) });
                    if room {
                        written.push_back(value);
                    }
                }
                Operation::PublishProduced => {
                    producer.publish();
                    visible.append(&mut written);
                }
                Operation::Read(count) => {
                    prop_assert_eq!(consumer.available(u32::MAX) as usize, visible.len());
                    for ahead in 0..count {
                        prop_assert_eq!(consumer.get(ahead), visible.get(ahead as usize).copied());
                    }
                    consumer.advance(count);
                    let read = (count as usize).min(visible.len());
                    visible.drain(..read);
                    held += read as u32;
                }
                Operation::PublishConsumed => {
                    consumer.publish();
                    held = 0;
                }
            }
            let used = written.len() + visible.len() + held as usize;
            prop_assert_eq!(producer.free(u32::MAX) as usize, entries as usize - used);
        }
    }

    /// An index that the other side never could have written gives no entry outside the ring and no endless reading.
    #[test]
    fn a_wild_index_is_bounded(start in start(), wild in any::<u32>()) {
        let (_, mut consumer, memory) = ring::<u64>(8, start);
        memory.set_producer(wild);
        let available = consumer.available(u32::MAX);
        prop_assert!(available <= 8);
        prop_assert_eq!(consumer.get(available), None);
    }
}

#[test]
fn a_place_is_free_only_after_the_consumer_has_published() {
    let (mut producer, mut consumer, _memory) = ring::<u64>(2, u32::MAX);
    producer.push(1).unwrap();
    producer.push(2).unwrap();
    assert_eq!(consumer.available(1), 0, "not published");
    producer.publish();
    assert_eq!(consumer.available(1), 2);
    consumer.advance(2);
    assert_eq!(producer.push(3), Err(3));
    consumer.publish();
    assert_eq!(producer.push(3), Ok(()));
}

#[test]
fn the_flag_is_the_kernels() {
    let (producer, _consumer, memory) = ring::<u64>(2, 0);
    assert!(!producer.needs_wakeup());
    memory.set_flags(libc::XDP_RING_NEED_WAKEUP);
    assert!(producer.needs_wakeup());
}

#[test]
fn a_ring_outside_its_memory_is_refused() {
    let good = RingOffset {
        producer: 0,
        consumer: 64,
        flags: 128,
        desc: 192,
    };
    let open = |offset: RingOffset, entries| {
        Producer::<u64>::new(Mapping::anonymous(192 + 64).unwrap(), &offset, entries).is_ok()
    };
    assert!(open(good, 8));
    assert!(!open(good, 16), "entries behind the end");
    assert!(!open(good, 0) && !open(good, 7), "no power of two");
    assert!(!open(RingOffset { producer: 254, ..good }, 8));
    assert!(!open(
        RingOffset {
            consumer: u64::MAX,
            ..good
        },
        8
    ));
    assert!(!open(RingOffset { flags: 130, ..good }, 8), "not aligned");
    assert!(!open(RingOffset { desc: 196, ..good }, 4), "not aligned");
}
