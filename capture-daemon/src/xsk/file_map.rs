//! A file mapped into memory for reading: the one unsafe step of reading captures without copying them.
#![expect(unsafe_code, reason = "mmap hands out memory that another process may change")]

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Advice, Mmap};

/// The bytes of a file as they were when it was mapped; empty for an empty file, which `mmap(2)` refuses.
///
/// A file that another program cuts while it is mapped raises SIGBUS on the pages that are gone, which ends the process.
/// Two rules keep that from siphon: whoever maps a file holds a shared `flock(2)` on it, and whoever cuts one (the spool,
/// on a full disk and when it mends) holds the exclusive lock. The capture daemon itself maps no file at all; a foreign
/// program that ignores locks can end a replay, never a capture.
#[derive(Debug)]
pub struct FileMap(Option<Mmap>);

impl FileMap {
    /// Maps the whole of `file`, advising the kernel that it is read from front to back.
    ///
    /// # Errors
    /// What `fstat(2)` or `mmap(2)` say, for a pipe or a folder for instance.
    pub fn new(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the mapping is private and read-only and lives as long as the slice borrowed from `self`. What remains
        // is that the file changes meanwhile. Bytes that change are harmless: the parsers are total functions on any
        // input, check each length against the slice and never read a length twice to trust the first reading. A file
        // cut short is a fault (SIGBUS), not a wild read; the locks above keep siphon's own files from it.
        let map = unsafe { Mmap::map(file) }?;
        // Only a hint: a kernel that refuses it reads ahead less.
        let _ = map.advise(Advice::Sequential);
        Ok(Self(Some(map)))
    }
}

impl Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
