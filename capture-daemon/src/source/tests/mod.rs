//! The readers against files made byte by byte, against the pcap-file crate, and against anything at all.

mod pcap;
mod pcapng;

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;

use super::pcap as pcap_format;
use super::pcapng as pcapng_format;
use super::{CaptureFile, Fault, SourceError, merge};
use crate::frame::{Frame, LinkType};

const ORDERS: [Endianness; 2] = [Endianness::Little, Endianness::Big];

/// What the tests compare of a frame: time, link type, length on the wire, bytes.
type Seen = (u64, LinkType, u32, Vec<u8>);

fn seen(frame: &Frame<'_>) -> Seen {
    (frame.ts.as_nanos(), frame.link, frame.wire_len, frame.bytes.to_vec())
}

fn split<'a>(mut records: impl Iterator<Item = Result<Frame<'a>, Fault>>) -> (Vec<Seen>, Option<Fault>) {
    let mut frames = Vec::new();
    for record in records.by_ref() {
        match record {
            Ok(frame) => frames.push(seen(&frame)),
            Err(fault) => {
                assert!(records.next().is_none(), "one error, then the end");
                return (frames, Some(fault));
            }
        }
    }
    (frames, None)
}

fn read_pcap(bytes: &[u8]) -> (Vec<Seen>, Option<Fault>) {
    match pcap_format::Header::read(bytes) {
        Ok(header) => split(pcap_format::Records::new(header, bytes)),
        Err(fault) => (Vec::new(), Some(fault)),
    }
}

fn read_pcapng(bytes: &[u8]) -> (Vec<Seen>, Option<Fault>) {
    split(pcapng_format::Records::new(bytes))
}

fn pcap_file(endianness: Endianness, ts_resolution: TsResolution, datalink: DataLink, packets: &[Seen]) -> Vec<u8> {
    let header = PcapHeader {
        snaplen: 262_144,
        datalink,
        ts_resolution,
        endianness,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (nanos, _, wire_len, data) in packets {
        let packet = PcapPacket::new(Duration::from_nanos(*nanos), *wire_len, data);
        writer.write_packet(&packet).unwrap();
    }
    writer.into_writer()
}

fn interface(
    linktype: DataLink,
    options: Vec<InterfaceDescriptionOption<'static>>,
) -> InterfaceDescriptionBlock<'static> {
    InterfaceDescriptionBlock {
        linktype,
        snaplen: 0,
        options,
    }
}

fn enhanced(interface_id: u32, ticks: u64, data: &[u8]) -> EnhancedPacketBlock<'_> {
    EnhancedPacketBlock {
        interface_id,
        // The crate writes the number of nanoseconds as the number of ticks, whatever if_tsresol says.
        timestamp: Duration::from_nanos(ticks),
        original_len: data.len() as u32,
        data: Cow::Borrowed(data),
        options: Vec::new(),
    }
}

fn pcapng_file(endianness: Endianness, fill: impl FnOnce(&mut PcapNgWriter<Vec<u8>>)) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
    fill(&mut writer);
    writer.into_inner()
}

fn write<'a>(writer: &mut PcapNgWriter<Vec<u8>>, block: impl PcapNgBlock<'a>) {
    writer.write_pcapng_block(block).unwrap();
}

fn on_disk(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn files_are_opened_or_the_error_names_them() {
    let empty = on_disk(&[]);
    let error = CaptureFile::open(empty.path()).unwrap_err();
    assert_eq!(error.offset(), Some(0));
    assert!(error.to_string().contains(&empty.path().display().to_string()));

    let folder = tempfile::tempdir().unwrap();
    let error = CaptureFile::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
    let error = CaptureFile::open(folder.path().join("none")).unwrap_err();
    assert!(matches!(error, SourceError::Io { operation: "open", .. }), "{error}");
}

#[test]
fn a_file_that_a_spool_has_open_is_not_mapped() {
    let file = on_disk(&pcap_file(
        Endianness::Little,
        TsResolution::NanoSecond,
        DataLink::RAW,
        &[],
    ));
    file.as_file().try_lock().unwrap();
    assert!(matches!(
        CaptureFile::open(file.path()),
        Err(SourceError::Locked { .. })
    ));
    file.as_file().unlock().unwrap();
    let read = CaptureFile::open(file.path()).unwrap();
    assert!(
        file.as_file().try_lock().is_err(),
        "and a mapped file is not cut by a spool"
    );
    drop(read);
    file.as_file().try_lock().unwrap();
}

#[test]
fn merged_files_are_in_order_of_time_and_all_errors_are_told() {
    let frame = |nanos, byte| (nanos, LinkType::Ethernet, 1, vec![byte]);
    let pcap = |frames: &[Seen]| pcap_file(Endianness::Big, TsResolution::NanoSecond, DataLink::ETHERNET, frames);
    let mut broken = pcap(&[frame(2, b'd'), frame(3, b'e')]);
    broken.pop();
    let foreign = pcapng_file(Endianness::Little, |writer| {
        write(writer, interface(DataLink::IEEE802_11, vec![]));
        write(writer, enhanced(0, 1, &[1]));
        // A packet of an interface that nothing describes.
        write(writer, UnknownBlock::new(6, 32, &[7; 20]));
    });
    let files = [
        pcap(&[frame(1, b'a'), frame(4, b'b'), frame(9, b'c')]),
        broken,
        pcap(&[frame(1, b'f')]),
        foreign,
    ];
    let kept: Vec<_> = files.iter().map(|bytes| on_disk(bytes)).collect();
    let files: Vec<_> = kept
        .iter()
        .map(|file| CaptureFile::open(file.path()).unwrap())
        .collect();
    let mut merged = merge(&files);
    let order: Vec<u8> = merged.by_ref().map(|frame| frame.bytes[0]).collect();
    assert_eq!(order, *b"afdbc");
    assert_eq!(merged.skipped().into_iter().collect::<Vec<_>>(), [(105, 1)]);
    let mut errors: Vec<_> = merged
        .into_errors()
        .iter()
        .map(|error| error.file().to_owned())
        .collect();
    errors.sort();
    let mut expected = vec![kept[1].path().to_owned(), kept[3].path().to_owned()];
    expected.sort();
    assert_eq!(errors, expected);
}

fn any_frames() -> impl Strategy<Value = Vec<Seen>> {
    let frame = (0..1_u64 << 62, prop::collection::vec(any::<u8>(), 0..80), 0..9_u32)
        .prop_map(|(nanos, data, cut)| (nanos, LinkType::Ethernet, data.len() as u32 + cut, data));
    prop::collection::vec(frame, 0..20)
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..6_usize) {
        let magics: [&[u8]; 6] = [&[], &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0], &[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4],
            &[10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a], &[10, 13, 13, 10, 0, 0, 0, 28, 0x1a, 0x2b, 0x3c, 0x4d], &[10, 13, 13, 10]];
        let file = [magics[magic], &bytes].concat();
        let (frames, fault) = read_pcap(&file);
        prop_assert!(frames.len() <= file.len() / pcap_format::RECORD_HEADER);
        prop_assert!(fault.is_none_or(|fault| fault.offset <= file.len() as u64));
        let (frames, fault) = read_pcapng(&file);
        prop_assert!(frames.len() <= file.len() / 16);
        prop_assert!(fault.is_none_or(|fault| fault.offset < file.len() as u64));
    }

}
