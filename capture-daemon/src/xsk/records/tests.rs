//! A ring buffer in anonymous memory, written as the kernel writes it, against a simple queue.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 4096;

/// The kernel's side. What lies twice in the kernel's mapping is written twice here.
pub(crate) struct Kernel {
    brought: u64,
}

impl Kernel {
    fn bytes(&mut self, records: &Records, at: u64, bytes: &[u8]) {
        for (ahead, byte) in (0_u64..).zip(bytes) {
            let place = (at + ahead) & records.memory.mask;
            for copy in [0, SIZE] {
                let offset = records.memory.page + (place + copy) as usize;
                assert!(offset < records.memory.producer.len());
                // SAFETY: inside an anonymous mapping, which can be written.
                let to = unsafe { records.memory.producer.start().add(offset) };
                // SAFETY: as above; nobody holds a reference into it meanwhile.
                unsafe { to.write(*byte) };
            }
        }
    }

    /// Writes a record, if there is room (__bpf_ringbuf_reserve).
    pub(crate) fn bring(&mut self, records: &Records, content: &[u8], flags: u32) -> bool {
        let next = self.brought + (content.len() as u64 + HEADER).next_multiple_of(8);
        let consumer = records
            .memory
            .position(&records.memory.consumer)
            .load(Ordering::Acquire);
        if next - consumer > records.memory.mask {
            return false;
        }
        self.bytes(records, self.brought, &(content.len() as u32 | flags).to_ne_bytes());
        self.bytes(records, self.brought + HEADER, content);
        self.brought = next;
        records
            .memory
            .position(&records.memory.producer)
            .store(next, Ordering::Release);
        true
    }
}

/// An empty ring whose positions are at `start`, and who writes it.
pub(crate) fn ring(start: u64) -> (Records, Kernel) {
    let page = 4096;
    let consumer = Mapping::anonymous(page).unwrap();
    let producer = Mapping::anonymous(page + 2 * SIZE as usize).unwrap();
    let records = Records {
        memory: Memory {
            consumer,
            producer,
            page,
            mask: SIZE - 1,
        },
        taken: Cell::new(start),
        brought: Cell::new(start),
    };
    records
        .memory
        .position(&records.memory.consumer)
        .store(start, Ordering::Relaxed);
    records
        .memory
        .position(&records.memory.producer)
        .store(start, Ordering::Relaxed);
    (records, Kernel { brought: start })
}

#[derive(Clone, Debug)]
enum Operation {
    Bring(Vec<u8>),
    BringDiscarded(Vec<u8>),
    Take,
    Release,
}

fn operation() -> impl Strategy<Value = Operation> {
    let content = || prop::collection::vec(any::<u8>(), 1..700);
    prop_oneof![
        4 => content().prop_map(Operation::Bring),
        1 => content().prop_map(Operation::BringDiscarded),
        4 => Just(Operation::Take),
        2 => Just(Operation::Release),
    ]
}

proptest! {
    /// What was brought is taken, in order and byte for byte; what was given up is passed; and room comes only by release.
    #[test]
    fn is_a_queue(start in (0..2 * SIZE / 8).prop_map(|at| at * 8), operations in prop::collection::vec(operation(), 0..200)) {
        let (mut records, mut kernel) = ring(start);
        let mut queue = VecDeque::new();
        for operation in operations {
            match operation {
                Operation::Bring(content) => {
                    if kernel.bring(&records, &content, 0) {
                        queue.push_back(content);
                    }
                }
                Operation::BringDiscarded(content) => {
                    kernel.bring(&records, &content, DISCARDED);
                }
                Operation::Take => {
                    let expected = queue.pop_front();
                    prop_assert_eq!(records.peek(), expected.as_deref());
                    prop_assert_eq!(records.take(), expected.as_deref());
                }
                Operation::Release => records.release(),
            }
        }
        while let Some(content) = queue.pop_front() {
            prop_assert_eq!(records.take(), Some(&content[..]));
        }
        prop_assert_eq!(records.take(), None);
        prop_assert!(records.is_empty());
    }
}

#[test]
fn a_record_that_is_not_submitted_is_waited_for() {
    let (records, mut kernel) = ring(0);
    assert!(kernel.bring(&records, b"first", BUSY));
    assert!(kernel.bring(&records, b"second", 0));
    assert_eq!(records.take(), None);
    assert!(!records.is_empty());
    kernel.bytes(&records, 0, &5_u32.to_ne_bytes());
    assert_eq!(records.take(), Some(&b"first"[..]));
    assert_eq!(records.take(), Some(&b"second"[..]));
}

#[test]
fn without_a_release_a_full_ring_stays_full() {
    let (mut records, mut kernel) = ring(SIZE * 3);
    let mut brought = 0;
    while kernel.bring(&records, &[7; 120], 0) {
        brought += 1;
    }
    // The kernel keeps one place free, or a full ring would look empty.
    assert_eq!(brought, 31);
    for _ in 0..brought {
        assert_eq!(records.take(), Some(&[7; 120][..]));
    }
    assert!(!kernel.bring(&records, &[7; 120], 0));
    records.release();
    assert!(kernel.bring(&records, &[7; 120], 0));
}

#[test]
fn a_length_beyond_what_was_brought_ends_the_reading() {
    let (records, mut kernel) = ring(0);
    assert!(kernel.bring(&records, b"record", 0));
    kernel.bytes(&records, 0, &(SIZE as u32 * 4).to_ne_bytes());
    assert_eq!(records.take(), None);
    assert!(records.is_empty());
}
