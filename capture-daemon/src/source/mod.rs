//! Capture files as a source of frames: pcap and pcapng, memory-mapped, each frame borrowed from the map.
//!
//! The readers are total functions on bytes (`pcap`, `pcapng`); this page gives them a file, a name for their errors, and
//! an order over several files (`merge`).

mod byte_order;
mod merge;
pub mod pcap;
pub mod pcapng;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use byte_order::ByteOrder;
pub use merge::{Merge, merge};

use crate::frame::Frame;
use crate::xsk::file_map::FileMap;

/// Bytes of the longest frame a file may hold: what libpcap and Wireshark allow (MAXIMUM_SNAPLEN,
/// WTAP_MAX_PACKET_SIZE_STANDARD). A record that claims more is a corrupt record.
pub const MAX_FRAME: u32 = 262_144;

/// Why a capture file gives no more frames.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file could not be opened or mapped.
    #[error("{operation} capture file {}: {error}", file.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The file is being written; mapping it would risk that it is cut under the reader.
    #[error("capture file {} is still being written; read it when it is closed", file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// The file is no capture file, or one of a kind siphon does not read.
    #[error("capture file {}: {fault}", file.display())]
    Fault {
        /// The file.
        file: PathBuf,
        /// Where and why reading ended.
        fault: Fault,
    },
}

impl SourceError {
    /// The file the error is about.
    pub fn file(&self) -> &Path {
        match self {
            Self::Io { file, .. } | Self::Locked { file } | Self::Fault { file, .. } => file,
        }
    }

    /// Offset of the bad record in bytes from the start of the file, where it is a record that is bad.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Fault { fault, .. } => Some(fault.offset),
            Self::Io { .. } | Self::Locked { .. } => None,
        }
    }
}

/// A place in a file where reading ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct Fault {
    /// Bytes from the start of the file to the record or block that is bad.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a record, a block or a whole file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The first bytes are those of no known format.
    #[error("not a pcap or pcapng file (begins with {0:02x?})")]
    NotCapture(Vec<u8>),
    /// Magic 0xa1b2cd34: Alexey Kuznetzov's patched libpcap, whose record headers are longer.
    #[error("\"modified\" pcap (magic 0xa1b2cd34) is not read; convert it with editcap -F pcap")]
    ModifiedPcap,
    /// A version of the format siphon does not read.
    #[error("{format} version {major}.{minor} is not read")]
    Version {
        /// pcap or pcapng.
        format: &'static str,
        /// Major version in the file.
        major: u16,
        /// Minor version in the file.
        minor: u16,
    },
    /// The link type of a whole pcap file.
    #[error("link type {0} is not read (0, 1, 101, 113 and 276 are)")]
    LinkType(u32),
    /// The file ends inside this header, record or block.
    #[error("{what} is cut short: {needed} bytes needed, {left} left")]
    Truncated {
        /// The thing that is cut.
        what: &'static str,
        /// Its length in bytes.
        needed: u64,
        /// Bytes from its start to the end of the file.
        left: u64,
    },
    /// A length that no frame and no block can have.
    #[error("{what} of {length} bytes cannot be")]
    Length {
        /// Whose length it is.
        what: &'static str,
        /// The length the file claims.
        length: u32,
    },
    /// The two lengths of a pcapng block differ.
    #[error("block length is {leading} in front and {trailing} behind")]
    LengthsDiffer {
        /// Block Total Length in front of the body.
        leading: u32,
        /// Block Total Length behind it.
        trailing: u32,
    },
    /// The byte-order magic of a section header is neither 0x1a2b3c4d nor its reverse.
    #[error("section header has byte-order magic {0:#010x}")]
    ByteOrderMagic(u32),
    /// A packet block of an interface that has no description.
    #[error("packet of interface {interface}, of {described} described")]
    Interface {
        /// Interface number in the packet block.
        interface: u32,
        /// Interfaces the section has described so far.
        described: usize,
    },
    /// More interfaces in one section than siphon remembers.
    #[error("more than {0} interfaces in one section")]
    TooManyInterfaces(usize),
    /// An option of an interface description does not fit into its block, or has the wrong length.
    #[error("option {code} of the interface description is {length} bytes long")]
    Option {
        /// Option code.
        code: u16,
        /// Its length in bytes, without padding.
        length: u16,
    },
}

/// Frames that were passed over, by the number of the link type siphon does not read.
pub type Skipped = BTreeMap<u32, u64>;

/// A capture file, mapped.
#[derive(Debug)]
pub struct CaptureFile {
    path: PathBuf,
    map: FileMap,
    // Held for its shared lock, which keeps a spool from cutting the file while it is mapped.
    _locked: File,
    format: FileFormat,
}

#[derive(Clone, Copy, Debug)]
enum FileFormat {
    Pcap(pcap::Header),
    Pcapng,
}

impl CaptureFile {
    /// Opens and maps `path` and reads its file header.
    ///
    /// # Errors
    /// A file that cannot be opened, is being written by a spool, or of which nothing can be read: no capture file, an
    /// unknown version, a pcap file of a link type siphon does not read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref().to_owned();
        let io_error = |operation, error| SourceError::Io {
            operation,
            file: path.clone(),
            error,
        };
        // Before the open, which would wait for a writer on a named pipe.
        if !path.metadata().map_err(|error| io_error("open", error))?.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(io_error("open", error));
        }
        let file = File::open(&path).map_err(|error| io_error("open", error))?;
        match file.try_lock_shared() {
            // A file system without locks has no spool on it that could be told apart.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(SourceError::Locked { file: path }),
        }
        let map = FileMap::new(&file).map_err(|error| io_error("map", error))?;
        let format = FileFormat::read(&map).map_err(|fault| SourceError::Fault {
            file: path.clone(),
            fault,
        })?;
        Ok(Self {
            path,
            map,
            _locked: file,
            format,
        })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The frames, in the order of the file. Everything readable is given; a corrupt or truncated file ends in one error.
    pub fn frames(&self) -> Frames<'_> {
        let records = match self.format {
            FileFormat::Pcap(header) => Records::Pcap(pcap::Records::new(header, &self.map)),
            FileFormat::Pcapng => Records::Pcapng(pcapng::Records::new(&self.map)),
        };
        Frames {
            path: &self.path,
            records,
        }
    }
}

impl FileFormat {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        if pcapng::begins(bytes) {
            return Ok(Self::Pcapng);
        }
        pcap::Header::read(bytes).map(Self::Pcap)
    }
}

/// The frames of one file, see [`CaptureFile::frames`].
#[derive(Debug)]
pub struct Frames<'a> {
    path: &'a Path,
    records: Records<'a>,
}

#[derive(Debug)]
enum Records<'a> {
    Pcap(pcap::Records<'a>),
    Pcapng(pcapng::Records<'a>),
}

impl Frames<'_> {
    /// Frames passed over so far because siphon does not read their link type.
    pub fn skipped(&self) -> Skipped {
        match &self.records {
            // A pcap file has one link type, and is refused as a whole.
            Records::Pcap(_) => Skipped::new(),
            Records::Pcapng(records) => records.skipped().clone(),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, SourceError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.records {
            Records::Pcap(records) => records.next(),
            Records::Pcapng(records) => records.next(),
        };
        next.map(|frame| {
            frame.map_err(|fault| SourceError::Fault {
                file: self.path.to_owned(),
                fault,
            })
        })
    }
}
