//! A ring in anonymous memory, with both its ends in this process: what tests put in the kernel's place.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::*;

/// The indices on cache lines of their own and the entries behind, as in struct xdp_ring.
const LAYOUT: RingOffset = RingOffset {
    producer: 0,
    consumer: 64,
    flags: 128,
    desc: 192,
};

/// Both ends of a ring of `entries` entries whose indices begin at `start`, and the memory itself.
pub fn ring<T: Pod>(entries: u32, start: u32) -> (Producer<T>, Consumer<T>, Memory) {
    let memory = Memory::new(192 + entries as usize * size_of::<T>());
    memory.set(LAYOUT.producer, start);
    memory.set(LAYOUT.consumer, start);
    let producer = Producer::new(memory.map(), &LAYOUT, entries).unwrap();
    let consumer = Consumer::new(memory.map(), &LAYOUT, entries).unwrap();
    (producer, consumer, memory)
}

/// Memory that can be mapped several times.
pub struct Memory(File, usize);

impl Memory {
    fn new(len: usize) -> Self {
        let file = File::from(memfd_create("ring", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(len as u64).unwrap();
        Self(file, len)
    }

    fn map(&self) -> Mapping {
        Mapping::ring(&self.0, 0, self.1).unwrap()
    }

    fn set(&self, offset: u64, value: u32) {
        self.0.write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }

    /// Raises or lowers the flags, as a driver does.
    pub fn set_flags(&self, flags: u32) {
        self.set(LAYOUT.flags, flags);
    }

    /// Puts the producer's index somewhere, as no kernel does.
    pub fn set_producer(&self, index: u32) {
        self.set(LAYOUT.producer, index);
    }
}
