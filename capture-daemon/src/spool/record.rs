//! The bytes of a capture file: its header through the pcap-file crate, its records by our own hand, straight into a chunk.
//!
//! One kind of file only: little-endian, Ethernet, nanoseconds, no options on packets. So a record's head says all that
//! mending and splitting need to know, and whatever does not look like this was not written by siphon.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "mending reads what a crash left behind"
)]

use std::borrow::Cow;

use pcap_file::pcap::PcapHeader;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};

use crate::config::Format;
use crate::frame::Frame;
use crate::source::MAX_FRAME;
use crate::source::pcap::{FILE_HEADER, RECORD_HEADER};
use crate::time::Timestamp;

/// Bytes in front of the frame in an enhanced packet block.
const BLOCK_HEADER: usize = 28;
const ENHANCED_PACKET: u32 = 6;
const NANOS: u64 = 1_000_000_000;

/// The first bytes of a file.
///
/// # Errors
/// None of the crate's errors can occur when writing to memory; they are passed on rather than argued away.
pub fn file_header(format: Format, interface: &str) -> Result<Vec<u8>, PcapError> {
    let mut bytes = Vec::new();
    match format {
        Format::Pcap => {
            let header = PcapHeader {
                snaplen: MAX_FRAME,
                datalink: DataLink::ETHERNET,
                ts_resolution: TsResolution::NanoSecond,
                endianness: Endianness::Little,
                ..PcapHeader::default()
            };
            header.write_to(&mut bytes)?;
        }
        Format::Pcapng => {
            let software = concat!("siphon ", env!("CARGO_PKG_VERSION"));
            let section = SectionHeaderBlock {
                endianness: Endianness::Little,
                options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(software))],
                ..SectionHeaderBlock::default()
            };
            let description = InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: MAX_FRAME,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(interface)),
                    InterfaceDescriptionOption::IfTsResol(9),
                ],
            };
            let mut writer = PcapNgWriter::with_section_header(&mut bytes, section)?;
            writer.write_block(&description.into_block())?;
        }
    }
    Ok(bytes)
}

/// Format and length in bytes of the file header at the start of `file`, or `None` where none of ours is complete there.
pub fn read_file_header(file: &[u8]) -> Option<(Format, usize)> {
    if crate::source::pcapng::begins(file) {
        // The section header, then the description of the one interface.
        let section = word(file, 4)? as usize;
        let description = file.get(section..)?;
        let length = word(description, 4)? as usize;
        let whole = word(file, 8)? == 0x1a2b_3c4d
            && section >= 28
            && word(description, 0)? == 1
            && length >= 20
            && file.len() >= section.checked_add(length)?;
        return whole.then_some((Format::Pcapng, section + length));
    }
    let whole = word(file, 0)? == 0xa1b2_3c4d && file.len() >= FILE_HEADER;
    whole.then_some((Format::Pcap, FILE_HEADER))
}

/// Bytes of the record of a frame of which `captured` bytes are kept.
pub const fn length(format: Format, captured: usize) -> usize {
    match format {
        Format::Pcap => RECORD_HEADER + captured,
        Format::Pcapng => BLOCK_HEADER + captured.next_multiple_of(4) + 4,
    }
}

/// Appends the record of `frame`, which has at most [`MAX_FRAME`] bytes. Does not allocate where [`length`] bytes are free.
pub fn encode(format: Format, frame: &Frame<'_>, into: &mut Vec<u8>) {
    let captured = frame.bytes.len() as u32;
    let wire_len = frame.wire_len.max(captured);
    let nanos = frame.ts.as_nanos();
    match format {
        Format::Pcap => {
            // The format ends in 2106.
            let seconds = u32::try_from(nanos / NANOS).unwrap_or(u32::MAX);
            let fraction = (nanos % NANOS) as u32;
            for word in [seconds, fraction, captured, wire_len] {
                into.extend_from_slice(&word.to_le_bytes());
            }
            into.extend_from_slice(frame.bytes);
        }
        Format::Pcapng => {
            let total = length(format, frame.bytes.len()) as u32;
            let (high, low) = ((nanos >> 32) as u32, nanos as u32);
            for word in [ENHANCED_PACKET, total, 0, high, low, captured, wire_len] {
                into.extend_from_slice(&word.to_le_bytes());
            }
            into.extend_from_slice(frame.bytes);
            let padding = frame.bytes.len().next_multiple_of(4) - frame.bytes.len();
            into.extend_from_slice([0; 3].get(..padding).unwrap_or_default());
            into.extend_from_slice(&total.to_le_bytes());
        }
    }
}

/// What the head of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the whole record.
    pub len: usize,
    /// When the frame arrived.
    pub ts: Timestamp,
}

/// Bytes [`head`] needs to see.
pub const fn head_len(format: Format) -> usize {
    match format {
        Format::Pcap => RECORD_HEADER,
        Format::Pcapng => BLOCK_HEADER,
    }
}

/// Reads the head of a record, or `None` where the bytes are not the head of one that [`encode`] wrote.
pub fn head(format: Format, bytes: &[u8]) -> Option<Head> {
    let (nanos, captured, wire_len, len) = match format {
        Format::Pcap => {
            let (seconds, fraction) = (u64::from(word(bytes, 0)?), u64::from(word(bytes, 4)?));
            let captured = word(bytes, 8)?;
            if fraction >= NANOS {
                return None;
            }
            let len = length(format, captured as usize);
            (seconds * NANOS + fraction, captured, word(bytes, 12)?, len)
        }
        Format::Pcapng => {
            let captured = word(bytes, 20)?;
            let len = length(format, captured as usize);
            if word(bytes, 0)? != ENHANCED_PACKET || word(bytes, 4)? as usize != len || word(bytes, 8)? != 0 {
                return None;
            }
            let nanos = u64::from(word(bytes, 12)?) << 32 | u64::from(word(bytes, 16)?);
            (nanos, captured, word(bytes, 24)?, len)
        }
    };
    (captured <= MAX_FRAME && captured <= wire_len).then_some(Head {
        len,
        ts: Timestamp::from_nanos(nanos),
    })
}

/// Whether the last four bytes of a record, `tail`, belong to one of `len` bytes. pcap records have no tail to check.
pub fn tail_fits(format: Format, tail: [u8; 4], len: usize) -> bool {
    match format {
        Format::Pcap => true,
        Format::Pcapng => u32::from_le_bytes(tail) as usize == len,
    }
}

/// How far records of a chunk go into a file: a run of whole records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Bytes of the records.
    pub len: usize,
    /// How many they are.
    pub frames: u64,
    /// Latest time among them.
    pub latest: Timestamp,
}

/// The longest run of whole records at the start of `bytes` of which each is `wanted`, given its head and the bytes of
/// the run in front of it.
pub fn run(format: Format, bytes: &[u8], mut wanted: impl FnMut(Head, usize) -> bool) -> Run {
    let mut run = Run::default();
    while let Some(rest) = bytes.get(run.len..).filter(|rest| !rest.is_empty()) {
        match head(format, rest) {
            Some(head) if head.len <= rest.len() && wanted(head, run.len) => {
                run.len += head.len;
                run.frames += 1;
                run.latest = run.latest.max(head.ts);
            }
            _ => break,
        }
    }
    run
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}
