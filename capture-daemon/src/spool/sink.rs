//! How bytes get into a spool file: whole blocks past the page cache (O_DIRECT), what is left of the last one through it.
//!
//! So the kernel copies nothing and has nothing to write back later, and yet a file ends at every moment with what was
//! written to it last. The next blocks go over the piece that went through the cache: the kernel keeps the two in step
//! (`kiocb_invalidate_pages`, mm/filemap.c). Where the file system refuses O_DIRECT, all goes through the cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

/// What O_DIRECT asks memory, offsets and lengths to be multiples of: the largest logical block of today's disks.
const BLOCK: usize = 4096;

/// Bytes written at once past the cache.
const AT_ONCE: usize = 1 << 20;

/// Bytes after which the kernel is asked to write to disk what lies in its cache, so that the `fsync(2)` at the end of a
/// file has little left to do.
const WRITE_BACK: u64 = 8 << 20;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK]);

/// Memory that whole blocks are put together in.
pub(super) struct Stage(Box<[Block]>);

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({} blocks)", self.0.len())
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self(vec![Block::zeroed(); AT_ONCE / BLOCK].into_boxed_slice())
    }
}

impl Stage {
    /// As many whole blocks of `first` and what of `then` comes behind it as there is room for.
    fn fill(&mut self, first: &[u8], then: &[u8]) -> &[u8] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.0);
        let len = (first.len() + then.len()).min(bytes.len()) / BLOCK * BLOCK;
        bytes[..first.len()].copy_from_slice(first);
        bytes[first.len()..len].copy_from_slice(&then[..len - first.len()]);
        &bytes[..len]
    }
}

/// An open file and what is to be known to go on with it.
#[derive(Debug)]
pub(super) struct Sink {
    /// Through the cache. Locked: a leftover is what nobody has locked.
    file: File,
    /// Past it, or why not.
    direct: Result<File, String>,
    /// Bytes of the file, but for those in `tail`.
    placed: u64,
    /// With `direct`: what the file has of its last block. Less than a block.
    tail: Vec<u8>,
    /// Bytes the kernel was asked to write to disk.
    written_back: u64,
}

impl Sink {
    /// Goes on with an empty `file`, which was opened for reading and writing at `path`.
    pub fn new(file: File, path: &Path) -> Self {
        let direct = OpenOptions::new()
            .write(true)
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(path);
        Self {
            file,
            direct: direct.map_err(|error| refusal(&error)),
            placed: 0,
            tail: Vec::with_capacity(BLOCK),
            written_back: 0,
        }
    }

    /// The file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Why not even whole blocks go past the cache; `None` where they do.
    pub fn refusal(&self) -> Option<&str> {
        self.direct.as_ref().err().map(String::as_str)
    }

    /// Bytes of the file.
    fn len(&self) -> u64 {
        self.placed + self.tail.len() as u64
    }

    /// Writes `bytes` at the end of the file; how many got in, and what kept the others out.
    pub fn append(&mut self, stage: &mut Stage, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut rest = bytes;
        while self.tail.len() + rest.len() >= BLOCK
            && let Ok(direct) = &self.direct
        {
            let blocks = stage.fill(&self.tail, rest);
            let (written, result) = write_all(direct, blocks, self.placed);
            // Some file systems refuse only now.
            if let Err(error) = &result
                && written == 0
                && Errno::from_io_error(error) == Some(Errno::INVAL)
            {
                self.direct = Err(refusal(error));
                self.placed += self.tail.len() as u64;
                self.tail.clear();
                break;
            }
            if result.is_err() {
                let got_in = bytes.len() - rest.len() + written.saturating_sub(self.tail.len());
                return (got_in, result);
            }
            rest = &rest[written - self.tail.len()..];
            self.placed += written as u64;
            self.tail.clear();
        }
        let (written, result) = write_all(&self.file, rest, self.len());
        match &self.direct {
            Ok(_) => self.tail.extend(&rest[..written]),
            Err(_) => {
                self.placed += written as u64;
                self.write_back();
            }
        }
        (bytes.len() - rest.len() + written, result)
    }

    /// Ends the file after its first `len` bytes, of which it has that many.
    ///
    /// # Errors
    /// The errno of ftruncate(2), or of reading what the last block has.
    pub fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.tail.clear();
        self.placed = len;
        if self.direct.is_ok() {
            self.placed = len / BLOCK as u64 * BLOCK as u64;
            self.tail.resize((len - self.placed) as usize, 0);
            self.file.read_exact_at(&mut self.tail, self.placed)?;
        }
        // What is written in the place of what was cut off is new.
        self.written_back = self.written_back.min(self.placed);
        Ok(())
    }

    /// Asks the kernel to begin writing out what is new and to forget what is on disk: DONTNEED does both for the pages
    /// it finds dirty and clean (mm/fadvise.c, generic_fadvise).
    fn write_back(&mut self) {
        if self.placed - self.written_back >= WRITE_BACK {
            let from = self.written_back.saturating_sub(WRITE_BACK);
            // A hint: a file system that refuses it is slower at the end of a file.
            let _ = rustix::fs::fadvise(&self.file, from, NonZeroU64::new(self.placed - from), Advice::DontNeed);
            self.written_back = self.placed;
        }
    }
}

fn refusal(error: &io::Error) -> String {
    format!("O_DIRECT: {error}")
}

/// Writes all bytes at this place of the file; how many got in, and what kept the others out.
fn write_all(file: &File, bytes: &[u8], at: u64) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], at + written as u64) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
impl Sink {
    /// Whether the kernel has the descriptor for whole blocks as one of O_DIRECT.
    pub fn is_direct(&self) -> bool {
        let flags = |file| rustix::fs::fcntl_getfl(file).unwrap();
        self.direct
            .as_ref()
            .is_ok_and(|file| flags(file).contains(OFlags::DIRECT))
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
