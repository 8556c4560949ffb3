//! The pcap reader.

use pcap_file::pcap::PcapReader;
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;

use super::{ORDERS, Seen, any_frames, pcap_file, read_pcap};
use crate::frame::LinkType;
use crate::source::{Reason, pcap};

#[test]
fn in_both_byte_orders_and_resolutions() {
    let frame = (1_795_251_600_123_456_000, LinkType::Ethernet, 60, vec![7; 42]);
    for endianness in ORDERS {
        for resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let file = pcap_file(endianness, resolution, DataLink::ETHERNET, std::slice::from_ref(&frame));
            assert_eq!(read_pcap(&file), (vec![frame.clone()], None));
        }
    }
}

#[test]
fn headers_that_are_refused_say_why() {
    let good = pcap_file(Endianness::Little, TsResolution::NanoSecond, DataLink::ETHERNET, &[]);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        pcap::Header::read(&file).unwrap_err().to_string()
    };
    assert!(with(0, &0xa1b2_cd34_u32.to_le_bytes()).contains("modified"));
    assert!(with(0, &0xa1b2_cd34_u32.to_be_bytes()).contains("modified"));
    assert!(with(0, b"RIFF").contains("not a pcap or pcapng file"));
    assert!(with(4, &[2, 0, 3, 0]).contains("pcap version 2.3"));
    assert!(with(20, &[105, 0, 0, 0]).contains("link type 105"));
    for end in 0..good.len() {
        assert!(matches!(
            pcap::Header::read(&good[..end]).unwrap_err().reason,
            Reason::Truncated {
                what: "file header",
                ..
            }
        ));
    }
    // The frame check sequence's length in the upper bits is no part of the link type.
    let mut fcs = good;
    fcs[23] = 0x24;
    assert_eq!(pcap::Header::read(&fcs).unwrap().link, LinkType::Ethernet);
}

#[test]
fn cut_anywhere_gives_what_is_whole_and_names_the_record() {
    let frames = [
        (1_000_000_000, LinkType::Raw, 3, vec![1, 2, 3]),
        (1_000_000_001, LinkType::Raw, 5, vec![4, 5, 6, 7, 8]),
    ];
    let file = pcap_file(Endianness::Big, TsResolution::NanoSecond, DataLink::RAW, &frames);
    let (first, second) = (24, 24 + 16 + 3);
    for end in 24..file.len() {
        let (read, fault) = read_pcap(&file[..end]);
        let whole = usize::from(end >= second);
        assert_eq!(read, frames[..whole]);
        let offset = fault.map(|fault| fault.offset);
        let expected = if end == first || end == second {
            None
        } else {
            Some([first, second][whole] as u64)
        };
        assert_eq!(offset, expected, "cut at {end}");
    }
}

#[test]
fn lengths_no_frame_can_have_end_the_file() {
    let frame = (1, LinkType::Ethernet, 3, vec![1, 2, 3]);
    let mut file = pcap_file(
        Endianness::Little,
        TsResolution::NanoSecond,
        DataLink::ETHERNET,
        &[frame.clone(), frame.clone()],
    );
    file[24 + 19 + 8..24 + 19 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (read, fault) = read_pcap(&file);
    assert_eq!(read, [frame]);
    assert_eq!(
        fault.unwrap().to_string(),
        "at byte 43: frame of 4294967295 bytes cannot be"
    );
}

proptest! {
    #[test]
    fn reads_what_the_pcap_file_crate_wrote(frames in any_frames(), big: bool, nanos: bool) {
        let order = ORDERS[usize::from(big)];
        let resolution = if nanos { TsResolution::NanoSecond } else { TsResolution::MicroSecond };
        let frames: Vec<Seen> = frames.into_iter().map(|(ts, link, wire, data)| (ts % 4_294_967_295_000_000_000, link, wire, data)).collect();
        let file = pcap_file(order, resolution, DataLink::ETHERNET, &frames);
        let mut reader = PcapReader::new(&file[..]).unwrap();
        let mut theirs = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            theirs.push((packet.timestamp.as_nanos() as u64, LinkType::Ethernet, packet.orig_len, packet.data.to_vec()));
        }
        prop_assert_eq!(read_pcap(&file), (theirs, None));
    }

}
