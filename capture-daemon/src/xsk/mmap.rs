//! Memory shared with the kernel: the rings' and the frames'. Addresses do not leave this file except inside `unsafe`.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use memmap2::{Advice, MmapOptions, MmapRaw};

/// A mapping, unmapped on drop.
#[derive(Debug)]
pub struct Mapping(MmapRaw);

/// log2 of a huge page of x86-64 and of aarch64 with 4 KiB pages.
const HUGE_PAGE_BITS: u8 = 21;

impl Mapping {
    /// Maps a ring of `socket`; `offset` is one of the XDP_…PGOFF_… constants. Or, of a BPF ring buffer, what its reader
    /// writes.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn ring(socket: impl AsFd, offset: u64, len: usize) -> io::Result<Self> {
        MmapOptions::new()
            .offset(offset)
            .len(len)
            .populate()
            .map_raw(socket.as_fd().as_raw_fd())
            .map(Self)
    }

    /// Maps `len` bytes of `map` from `offset` on for reading alone.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn read_only(map: impl AsFd, offset: u64, len: usize) -> io::Result<Self> {
        MmapOptions::new()
            .offset(offset)
            .len(len)
            .populate()
            .map_raw_read_only(map.as_fd().as_raw_fd())
            .map(Self)
    }

    /// Zeroed memory of this process.
    ///
    /// # Errors
    /// The errno of mmap(2).
    pub fn anonymous(len: usize) -> io::Result<Self> {
        let mapping = MmapOptions::new().len(len).map_anon()?;
        // Without huge pages of its own, it may still be given transparent ones; where the kernel has none, 4 KiB serve. That is decided
        // when a page is first touched: what the kernel has pinned for its own use stays what it is.
        let _ = mapping.advise(Advice::HugePage);
        // A kernel before 5.14 does not know this, and gives each page when it is touched.
        let _ = mapping.advise(Advice::PopulateWrite);
        Ok(Self(mapping.into()))
    }

    /// Zeroed memory of this process in huge pages, rounded up to whole ones.
    ///
    /// # Errors
    /// The errno of mmap(2); ENOMEM where too few huge pages are reserved (`vm.nr_hugepages`).
    pub fn huge(len: usize) -> io::Result<Self> {
        MmapOptions::new()
            .len(len.next_multiple_of(1 << HUGE_PAGE_BITS))
            .huge(Some(HUGE_PAGE_BITS))
            .populate()
            .map_anon()
            .map(|mapping| Self(mapping.into()))
    }

    /// The first byte; of a mapping for reading, nothing may be written through it.
    pub fn start(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
