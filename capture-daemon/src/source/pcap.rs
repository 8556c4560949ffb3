//! pcap files (draft-ietf-opsawg-pcap): a 24-byte header, then records, in either byte order and either resolution.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a total function on bytes from anywhere"
)]

use std::ops::Range;

use super::{ByteOrder, Fault, MAX_FRAME, Reason};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;
use crate::xsk::prefetch::fetch;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;

/// Bytes of the file header.
pub const FILE_HEADER: usize = 24;
/// Bytes of the header in front of each frame.
pub const RECORD_HEADER: usize = 16;

/// What the file header says of all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Byte order of every number in the file.
    pub order: ByteOrder,
    /// Nanoseconds in a unit of a record's fraction: 1 or 1000.
    pub unit: u64,
    /// What every frame begins with.
    pub link: LinkType,
}

impl Header {
    /// Reads the file header.
    ///
    /// # Errors
    /// No pcap file, cut short, a version other than 2.4 and its successors, or a link type siphon does not read.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        Self::fields(bytes).map_err(|reason| Fault { offset: 0, reason })
    }

    fn fields(bytes: &[u8]) -> Result<Self, Reason> {
        let truncated = || Reason::Truncated {
            what: "file header",
            needed: FILE_HEADER as u64,
            left: bytes.len() as u64,
        };
        let magic = ByteOrder::Little.u32(bytes, 0).ok_or_else(truncated)?;
        let (order, unit) = match (magic, magic.swap_bytes()) {
            (MAGIC_MICROS, _) => (ByteOrder::Little, 1_000),
            (_, MAGIC_MICROS) => (ByteOrder::Big, 1_000),
            (MAGIC_NANOS, _) => (ByteOrder::Little, 1),
            (_, MAGIC_NANOS) => (ByteOrder::Big, 1),
            (MAGIC_MODIFIED, _) | (_, MAGIC_MODIFIED) => return Err(Reason::ModifiedPcap),
            _ => return Err(Reason::NotCapture(bytes.iter().take(4).copied().collect())),
        };
        let version = (order.u16(bytes, 4)).zip(order.u16(bytes, 6));
        let (major, minor) = version.ok_or_else(truncated)?;
        // Before 2.4 the two lengths of a record could stand in either order (libpcap, sf-pcap.c, MAYBE_SWAPPED).
        if major != 2 || minor < 4 {
            return Err(Reason::Version {
                format: "pcap",
                major,
                minor,
            });
        }
        // The upper six bits speak of the frame check sequence (libpcap, pcap-common.c, LT_LINKTYPE).
        let number = order.u32(bytes, 20).ok_or_else(truncated)? & 0x03ff_ffff;
        let link = LinkType::from_number(number).ok_or(Reason::LinkType(number))?;
        Ok(Self { order, unit, link })
    }
}

/// So far behind a record, some ten of RTP on, the file is fetched from memory meanwhile. Where a record begins is known when the one before
/// it was read; without this each would be waited for by itself, and no prefetcher of the processor's goes beyond a page.
const AHEAD: Range<usize> = 2048..2048 + 256;

/// The frames of a pcap file; ends after the first error.
#[derive(Debug)]
pub struct Records<'a> {
    header: Header,
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    /// The frames of `file`, the whole of it, of which `header` was read.
    pub fn new(header: Header, file: &'a [u8]) -> Self {
        let rest = file.get(FILE_HEADER..).unwrap_or_default();
        Self {
            header,
            rest,
            offset: FILE_HEADER as u64,
        }
    }

    #[inline(always)]
    fn record(&self) -> Result<(Frame<'a>, &'a [u8]), Reason> {
        let cut = |what, needed: u64| Reason::Truncated {
            what,
            needed,
            left: self.rest.len() as u64,
        };
        let Header { order, unit, link } = self.header;
        let (head, rest) = self
            .rest
            .split_at_checked(RECORD_HEADER)
            .ok_or_else(|| cut("record header", RECORD_HEADER as u64))?;
        let field = |at| {
            order
                .u32(head, at)
                .ok_or_else(|| cut("record header", RECORD_HEADER as u64))
        };
        let (seconds, fraction, captured, on_wire) = (field(0)?, field(4)?, field(8)?, field(12)?);
        if captured > MAX_FRAME {
            return Err(Reason::Length {
                what: "frame",
                length: captured,
            });
        }
        let (bytes, rest) = rest
            .split_at_checked(captured as usize)
            .ok_or_else(|| cut("record", RECORD_HEADER as u64 + u64::from(captured)))?;
        if let Some(soon) = rest.get(AHEAD) {
            fetch(soon);
        }
        let frame = Frame {
            // A fraction of a second or more is carried over, as libpcap's readers do: u32 × 10⁹ + u32 × 1000 fits.
            ts: Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit),
            link,
            // Some writers leave it zero.
            wire_len: on_wire.max(captured),
            bytes,
        };
        Ok((frame, rest))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Frame<'a>, Fault>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.record() {
            Ok((frame, rest)) => {
                self.offset += (self.rest.len() - rest.len()) as u64;
                self.rest = rest;
                Some(Ok(frame))
            }
            Err(reason) => {
                self.rest = &[];
                Some(Err(Fault {
                    offset: self.offset,
                    reason,
                }))
            }
        }
    }
}
