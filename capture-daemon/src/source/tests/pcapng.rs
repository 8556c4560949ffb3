//! The pcapng reader.

use std::borrow::Cow;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::packet::PacketBlock;
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::{DataLink, Endianness};
use proptest::prelude::*;

use super::{ORDERS, any_frames, enhanced, interface, pcapng_file, read_pcapng, write};
use crate::frame::LinkType;
use crate::source::{Fault, Reason, pcapng};

#[test]
fn interfaces_have_their_own_link_types_and_clocks() {
    use InterfaceDescriptionOption::{IfName, IfTsOffset, IfTsResol};
    for endianness in ORDERS {
        let file = pcapng_file(endianness, |writer| {
            write(writer, interface(DataLink::ETHERNET, vec![IfName("odd".into())]));
            write(writer, interface(DataLink::RAW, vec![IfTsResol(9)]));
            write(
                writer,
                interface(DataLink::LINUX_SLL, vec![IfTsResol(0x80 | 10), IfTsOffset(5)]),
            );
            write(writer, interface(DataLink::IEEE802_11, vec![]));
            write(writer, interface(DataLink::NULL, vec![IfTsResol(12)]));
            write(
                writer,
                interface(DataLink::NULL, vec![IfTsResol(0), IfTsOffset((-2_i64).cast_unsigned())]),
            );
            for id in 0..6 {
                write(writer, enhanced(id, 3_000, &[id as u8; 5]));
            }
        });
        let frame = |nanos, link, id| (nanos, link, 5, vec![id; 5]);
        let expected = vec![
            frame(3_000_000, LinkType::Ethernet, 0),
            frame(3_000, LinkType::Raw, 1),
            frame(5_000_000_000 + 2_929_687_500, LinkType::LinuxSll, 2),
            frame(3, LinkType::Null, 4),
            frame(2_998_000_000_000, LinkType::Null, 5),
        ];
        assert_eq!(read_pcapng(&file), (expected, None));
        let mut records = pcapng::Records::new(&file);
        assert_eq!(records.by_ref().count(), 5);
        assert_eq!(records.skipped().iter().collect::<Vec<_>>(), [(&105, &1)]);
    }
}

#[test]
fn times_beyond_what_a_timestamp_holds_are_held_at_its_ends() {
    use InterfaceDescriptionOption::{IfTsOffset, IfTsResol};
    let file = pcapng_file(Endianness::Little, |writer| {
        for (resolution, offset) in [(0, 0), (0x7f, 0), (0xff, 0), (6, i64::MIN), (6, i64::MAX)] {
            let options = vec![IfTsResol(resolution), IfTsOffset(offset.cast_unsigned())];
            write(writer, interface(DataLink::RAW, options));
        }
        for id in 0..5 {
            write(writer, enhanced(id, 0x7fff_ffff_ffff_ffff, &[1]));
        }
    });
    let times: Vec<u64> = read_pcapng(&file).0.iter().map(|frame| frame.0).collect();
    assert_eq!(times, [u64::MAX, 0, 0, 0, u64::MAX]);
}

#[test]
fn sections_begin_anew_and_unknown_blocks_are_passed_over() {
    let mut file = pcapng_file(Endianness::Little, |writer| {
        write(writer, UnknownBlock::new(0x0bad, 8, &[1, 2, 3, 4]));
        write(writer, interface(DataLink::ETHERNET, vec![]));
        write(writer, enhanced(0, 1, &[1]));
    });
    let first = file.len() as u64;
    file.extend(pcapng_file(Endianness::Big, |writer| {
        write(writer, interface(DataLink::RAW, vec![]));
        write(writer, enhanced(0, 2, &[2]));
    }));
    let expected = vec![
        (1_000, LinkType::Ethernet, 1, vec![1]),
        (2_000, LinkType::Raw, 1, vec![2]),
    ];
    assert_eq!(read_pcapng(&file), (expected.clone(), None));
    // The second section knows nothing of the first one's interface.
    let bare = {
        let section = pcapng_file(Endianness::Big, |_| {});
        let whole = pcapng_file(Endianness::Big, |writer| {
            write(writer, interface(DataLink::RAW, vec![]));
            write(writer, enhanced(0, 2, &[2]));
        });
        let packet = whole.len() - 36;
        let mut file = file[..first as usize].to_vec();
        file.extend(&section);
        file.extend(&whole[packet..]);
        (file, first + section.len() as u64)
    };
    let (read, fault) = read_pcapng(&bare.0);
    assert_eq!(read, expected[..1]);
    assert_eq!(
        fault,
        Some(Fault {
            offset: bare.1,
            reason: Reason::Interface {
                interface: 0,
                described: 0
            }
        })
    );
}

#[test]
fn packet_and_simple_packet_blocks() {
    let file = pcapng_file(Endianness::Little, |writer| {
        let mut cut = interface(DataLink::ETHERNET, vec![]);
        cut.snaplen = 6;
        write(writer, cut);
        write(writer, enhanced(0, 9, &[9; 4]));
        let data = Cow::Borrowed(&[5, 5, 5, 5, 5, 5, 0, 0][..]);
        write(
            writer,
            SimplePacketBlock {
                original_len: 100,
                data,
            },
        );
    });
    let expected = vec![
        (9_000, LinkType::Ethernet, 4, vec![9; 4]),
        (9_000, LinkType::Ethernet, 100, vec![5; 6]),
    ];
    assert_eq!(read_pcapng(&file), (expected, None));

    for endianness in ORDERS {
        let file = pcapng_file(endianness, |writer| {
            write(writer, interface(DataLink::RAW, vec![]));
            // High word first in the file: the crate writes one 64-bit number, whose halves lie so in big-endian only.
            let ticks = 0x0001_0000_0000_u64 | 7;
            let timestamp = if endianness == Endianness::Big {
                ticks
            } else {
                ticks.rotate_left(32)
            };
            let data = Cow::Borrowed(&[3, 3][..]);
            write(
                writer,
                PacketBlock {
                    interface_id: 0,
                    drop_count: 9,
                    timestamp,
                    captured_len: 2,
                    original_len: 4,
                    data,
                    options: vec![],
                },
            );
        });
        let expected = (((1_u64 << 32) + 7) * 1_000, LinkType::Raw, 4, vec![3, 3]);
        assert_eq!(read_pcapng(&file), (vec![expected], None));
    }
}

#[test]
fn cut_anywhere_gives_what_is_whole_and_names_the_block() {
    let mut ends = Vec::new();
    let file = pcapng_file(Endianness::Little, |writer| {
        ends.push(writer.get_ref().len());
        write(writer, interface(DataLink::RAW, vec![]));
        ends.push(writer.get_ref().len());
        for number in 0..3 {
            write(writer, enhanced(0, number, &[number as u8; 7]));
            ends.push(writer.get_ref().len());
        }
    });
    for end in 4..file.len() {
        let begun = ends.iter().rev().find(|&&whole| whole <= end).copied().unwrap_or(0);
        let (read, fault) = read_pcapng(&file[..end]);
        assert_eq!(read.len(), ends[2..].iter().filter(|&&whole| whole <= end).count());
        let expected = (begun != end).then_some(begun as u64);
        assert_eq!(fault.map(|fault| fault.offset), expected, "cut at {end}");
    }
}

#[test]
fn blocks_that_contradict_themselves_end_the_file() {
    let file = pcapng_file(Endianness::Little, |writer| {
        write(
            writer,
            interface(DataLink::RAW, vec![InterfaceDescriptionOption::IfTsResol(9)]),
        );
        write(writer, enhanced(0, 1, &[1]));
    });
    let packet = file.len() - 36;
    let with = |at: usize, value: u32| {
        let mut file = file.clone();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        read_pcapng(&file).1.unwrap()
    };
    assert!(matches!(
        with(8, 0x1122_3344).reason,
        Reason::ByteOrderMagic(0x1122_3344)
    ));
    assert!(matches!(with(12, 2).reason, Reason::Version { major: 2, .. }));
    assert!(matches!(
        with(packet + 4, 37).reason,
        Reason::Length {
            what: "block",
            length: 37
        }
    ));
    assert!(matches!(
        with(packet + 4, 8).reason,
        Reason::Length {
            what: "block",
            length: 8
        }
    ));
    assert!(matches!(
        with(packet + 4, u32::MAX - 3).reason,
        Reason::Truncated { what: "block", .. }
    ));
    assert!(matches!(
        with(packet + 32, 40).reason,
        Reason::LengthsDiffer {
            leading: 36,
            trailing: 40
        }
    ));
    assert!(matches!(
        with(packet + 8, 1).reason,
        Reason::Interface {
            interface: 1,
            described: 1
        }
    ));
    assert!(matches!(
        with(packet + 20, 5).reason,
        Reason::Length {
            what: "frame",
            length: 5
        }
    ));
    let option = 28 + 16;
    assert!(matches!(
        with(option, 9 | 0x4000 << 16).reason,
        Reason::Option {
            code: 9,
            length: 0x4000
        }
    ));
    assert!(matches!(with(option, 9).reason, Reason::Option { code: 9, length: 0 }));
}

proptest! {
    #[test]
    fn reads_what_the_pcap_file_crate_wrote(frames in any_frames(), big: bool) {
        let file = pcapng_file(ORDERS[usize::from(big)], |writer| {
            write(writer, interface(DataLink::ETHERNET, vec![InterfaceDescriptionOption::IfTsResol(9)]));
            for (ts, _, wire, data) in &frames {
                write(writer, EnhancedPacketBlock { original_len: *wire, ..enhanced(0, *ts, data) });
            }
        });
        prop_assert_eq!(read_pcapng(&file), (frames, None));
    }

    #[test]
    fn a_few_changed_bytes_leave_the_frames_in_front_of_them(
        frames in any_frames(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = pcapng_file(Endianness::Little, |writer| {
            write(writer, interface(DataLink::ETHERNET, vec![InterfaceDescriptionOption::IfTsResol(9)]));
            for (ts, _, _, data) in &frames {
                write(writer, enhanced(0, *ts, data));
            }
        });
        let before = read_pcapng(&file).0;
        let mut first = file.len();
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
            first = first.min(at);
        }
        let after = read_pcapng(&file).0;
        let mut end = 28 + 20 + 12;
        let whole = before.iter().take_while(|frame| {
            end += 32 + frame.3.len().next_multiple_of(4);
            end <= first
        }).count();
        prop_assert_eq!(&after[..whole], &before[..whole]);
    }
}
