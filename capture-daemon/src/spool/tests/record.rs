//! Our records are the pcap-file crate's, byte for byte.

use std::borrow::Cow;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::PcapNgBlock;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::{Endianness, TsResolution};
use proptest::prelude::*;

use crate::config::Format;
use crate::frame::{Frame, LinkType};
use crate::spool::record::{self, Run};
use crate::time::Timestamp;

/// The end of pcap's 32 bits of seconds.
const PCAP_END: u64 = (u32::MAX as u64 + 1) * 1_000_000_000;

fn encoded(format: Format, frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::encode(format, frame, &mut bytes);
    bytes
}

#[test]
fn file_headers_say_ethernet_and_nanoseconds() {
    let pcap = record::file_header(Format::Pcap, "eth0").unwrap();
    let header = PcapReader::new(&pcap[..]).unwrap().header();
    assert_eq!(
        (header.ts_resolution, u32::from(header.datalink)),
        (TsResolution::NanoSecond, 1)
    );
    assert_eq!(record::read_file_header(&pcap), Some((Format::Pcap, pcap.len())));
    let pcapng = record::file_header(Format::Pcapng, "eth0").unwrap();
    let mut reader = PcapNgReader::new(&pcapng[..]).unwrap();
    let interface = reader
        .next_block()
        .unwrap()
        .unwrap()
        .into_owned()
        .into_interface_description()
        .unwrap();
    let text = format!("{interface:?}");
    assert!(text.contains("IfTsResol(9)") && text.contains("eth0"), "{text}");
    assert_eq!(record::read_file_header(&pcapng), Some((Format::Pcapng, pcapng.len())));
    for header in [&pcap, &pcapng] {
        for end in 0..header.len() {
            assert_eq!(record::read_file_header(&header[..end]), None);
        }
    }
}

#[test]
fn times_after_2106_stay_at_the_end_of_pcap() {
    let bytes = encoded(
        Format::Pcap,
        &Frame {
            ts: Timestamp::from_nanos(u64::MAX),
            link: LinkType::Ethernet,
            wire_len: 1,
            bytes: &[1],
        },
    );
    assert_eq!(bytes[..4], [255; 4]);
}

proptest! {
    #[test]
    fn pcap_records_are_those_of_the_crate(nanos in 0..PCAP_END, cut in 0..99_u32, data in prop::collection::vec(any::<u8>(), 0..99)) {
        let wire_len = data.len() as u32 + cut;
        let frame = Frame { ts: Timestamp::from_nanos(nanos), link: LinkType::Ethernet, wire_len, bytes: &data };
        let mut header = record::file_header(Format::Pcap, "eth0").unwrap();
        let at = header.len();
        let mut writer = PcapWriter::with_header(Vec::new(), PcapReader::new(&header[..]).unwrap().header()).unwrap();
        prop_assert_eq!(writer.endianness(), Endianness::Little);
        writer.write_packet(&PcapPacket::new(Duration::from_nanos(nanos), wire_len, &data)).unwrap();
        let theirs = writer.into_writer();
        header.extend(encoded(Format::Pcap, &frame));
        prop_assert_eq!(&header, &theirs);
        prop_assert_eq!(header.len() - at, record::length(Format::Pcap, data.len()));
    }

    #[test]
    fn pcapng_records_are_those_of_the_crate(nanos: u64, cut in 0..99_u32, data in prop::collection::vec(any::<u8>(), 0..99)) {
        let wire_len = data.len() as u32 + cut;
        let frame = Frame { ts: Timestamp::from_nanos(nanos), link: LinkType::Ethernet, wire_len, bytes: &data };
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(nanos),
            original_len: wire_len,
            data: Cow::Borrowed(&data),
            options: Vec::new(),
        };
        let mut theirs = pcap_file::pcapng::PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
        let at = theirs.get_ref().len();
        let interface = pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock::new(pcap_file::DataLink::ETHERNET, 0);
        let described = theirs.write_pcapng_block(interface).unwrap();
        theirs.write_block(&block.into_block()).unwrap();
        let ours = encoded(Format::Pcapng, &frame);
        prop_assert_eq!(ours.len(), record::length(Format::Pcapng, data.len()));
        prop_assert_eq!(&ours[..], &theirs.get_ref()[at + described..]);
    }

    #[test]
    fn heads_and_runs_are_read_back(
        frames in prop::collection::vec((0..PCAP_END, prop::collection::vec(any::<u8>(), 0..50)), 0..12), ng: bool, end: prop::sample::Index,
    ) {
        let format = if ng { Format::Pcapng } else { Format::Pcap };
        let mut bytes = Vec::new();
        let mut runs = vec![Run::default()];
        for (nanos, data) in &frames {
            let ts = Timestamp::from_nanos(*nanos);
            record::encode(format, &Frame { ts, link: LinkType::Ethernet, wire_len: data.len() as u32, bytes: data }, &mut bytes);
            let before = runs[runs.len() - 1];
            runs.push(Run { len: bytes.len(), frames: before.frames + 1, latest: before.latest.max(ts) });
        }
        let end = end.index(bytes.len() + 1);
        let whole = runs.iter().rev().find(|run| run.len <= end).unwrap();
        prop_assert_eq!(record::run(format, &bytes[..end], |_, _| true), *whole);
    }

    #[test]
    fn no_bytes_make_mending_panic(bytes in prop::collection::vec(any::<u8>(), 0..99), ng: bool) {
        let format = if ng { Format::Pcapng } else { Format::Pcap };
        let run = record::run(format, &bytes, |_, _| true);
        prop_assert!(run.len <= bytes.len());
        let header = record::read_file_header(&bytes);
        prop_assert!(header.is_none_or(|(_, len)| len <= bytes.len()));
    }
}
