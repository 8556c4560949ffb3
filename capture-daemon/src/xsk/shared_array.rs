//! An array of the kernel program that this process has in its memory too (BPF_F_MMAPABLE): read and written without a system
//! call, while the program does the same.

#![expect(unsafe_code, reason = "memory that the kernel shares")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use bytemuck::Pod;

use super::bpf_map::shape_of_array;
use super::mmap::Mapping;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// An array whose values are a `T` each, of whole words.
pub struct SharedArray<T> {
    mapping: Mapping,
    len: u32,
    values: PhantomData<T>,
}

// SAFETY: the mapping belongs to no thread, and its memory is reached by atomic words only.
unsafe impl<T: Send> Send for SharedArray<T> {}

impl<T> fmt::Debug for SharedArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArray")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<T: Pod> SharedArray<T> {
    /// Takes an array that was made.
    ///
    /// # Errors
    /// The errno of bpf(2) or mmap(2), and EINVAL where it is no array of such values.
    pub fn new(data: &MapData) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(WORD) && align_of::<T>() <= WORD) };
        let (len, size) = shape_of_array(data)?;
        if size != size_of::<T>() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let mapping = Mapping::ring(data.fd().as_fd(), 0, size_of::<T>() * len as usize)?;
        Ok(Self {
            mapping,
            len,
            values: PhantomData,
        })
    }

    /// How many values there are.
    pub const fn count(&self) -> u32 {
        self.len
    }

    /// The words of a value; `None` where there is no such value.
    pub fn words(&self, at: u32) -> Option<&[AtomicU64]> {
        if at >= self.len {
            return None;
        }
        let words = size_of::<T>() / WORD;
        // SAFETY: the mapping has `len` values, as it was made and the kernel has answered, one behind the other, as their size is a
        // multiple of eight (array_map_alloc, kernel/bpf/arraymap.c); it begins a page and lives as long as `self`.
        let start = unsafe { self.mapping.start().cast::<AtomicU64>().add(at as usize * words) };
        // SAFETY: as above; whoever else reaches this memory from here does so by atomic words, and the program's loads and stores
        // are words or parts of them, each at once.
        Some(unsafe { std::slice::from_raw_parts(start, words) })
    }

    /// A value, as it stands word by word; `None` where there is no such value.
    pub fn read(&self, at: u32) -> Option<T> {
        let mut value = T::zeroed();
        let words = self.words(at)?;
        for (to, from) in bytemuck::bytes_of_mut(&mut value).chunks_exact_mut(WORD).zip(words) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
        }
        Some(value)
    }
}
