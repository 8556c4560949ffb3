//! What a worker sees of the spool.

use super::{Bench, NINE, config, frame, frames, listed, seconds};
use crate::config::Format;
use crate::frame::{Frame, Keep, LinkType};
use crate::source::CaptureFile;
use crate::spool::{SpoolDrop, most_in_chunks};

#[test]
fn frames_without_a_free_chunk_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    // Four chunks of 2,048 bytes, two records of 1,016 in each.
    for number in 0..20_u8 {
        bench.lane.keep(&frame(NINE, &[number; 1_000]), Keep::All);
    }
    let lane = &bench.counters.status().lanes[0];
    assert_eq!(
        (lane.kept_frames, lane.dropped(SpoolDrop::QueueFull), lane.offered()),
        (8, 12, 20)
    );
    assert_eq!((lane.kept_bytes, lane.in_chunks()), (8 * 1_016, 8));
    bench.writer.drain(NINE);
    bench.lane.keep(&frame(NINE, &[99; 1_000]), Keep::All);
    let (counters, directory) = (bench.counters.clone(), bench.directory.clone());
    bench.stop();
    let lane = &counters.status().lanes[0];
    assert_eq!((lane.kept_frames, lane.written_frames, lane.in_chunks()), (9, 9, 0));
    assert_eq!(lane.written_bytes, lane.kept_bytes);
    let kept: Vec<u8> = frames(&directory.join(&listed(&directory)[0]))
        .iter()
        .map(|frame| frame.1[0])
        .collect();
    assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 7, 99]);
}

#[test]
fn a_lane_says_when_it_has_to_wait_for_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    // Four chunks of 2,048 bytes, a record of the longest frame that fits in each.
    let longest = [7; 2_048 - 16];
    for _ in 0..4 {
        assert!(bench.lane.has_room());
        bench.lane.keep(&frame(NINE, &longest), Keep::All);
    }
    assert!(!bench.lane.has_room());
    bench.lane.keep(&frame(NINE, &longest), Keep::All);
    assert_eq!(bench.counters.lanes[0].dropped(SpoolDrop::QueueFull), 1);
    bench.writer.drain(NINE);
    assert!(bench.lane.has_room());
    bench.lane.keep(&frame(NINE, &longest), Keep::All);
    assert_eq!(bench.counters.lanes[0].dropped(SpoolDrop::QueueFull), 1);
}

#[test]
fn what_was_kept_waits_for_the_writer_until_it_is_written_or_dropped() {
    let account = |bench: &Bench| {
        let lane = &bench.counters.status().lanes[0];
        (lane.kept_frames, lane.ended(), bench.counters.is_writer_awaited())
    };
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, []).unwrap();
    for (directory, dropped) in [(folder.path(), 0), (no_folder.as_path(), 1)] {
        let mut bench = Bench::new(&config(directory, Format::Pcap));
        bench.lane.keep(&frame(NINE, &[1]), Keep::All);
        assert_eq!(account(&bench), (1, 0, false), "the worker has it");
        bench.lane.tick(NINE.plus(seconds(1)));
        assert_eq!(account(&bench), (1, 0, true));
        bench.writer.drain(NINE);
        assert_eq!(account(&bench), (1, 1, false));
        assert_eq!(bench.counters.lanes[0].dropped(SpoolDrop::WriteError), dropped);
    }
}

#[test]
fn no_more_frames_are_in_chunks_than_there_is_room_for() {
    for format in [Format::Pcap, Format::Pcapng] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), format);
        let mut bench = Bench::new(&config);
        for _ in 0..1_000 {
            bench.lane.keep(&frame(NINE, &[]), Keep::All);
        }
        let kept = bench.counters.status().lanes[0].kept_frames;
        assert_eq!(kept, most_in_chunks(&config, 1), "{format:?}");
    }
}

#[test]
fn frames_that_fit_no_chunk_or_no_file_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    bench.lane.keep(&frame(NINE, &[1; 2_048 - 16]), Keep::All);
    bench.lane.keep(&frame(NINE, &[1; 2_048 - 15]), Keep::All);
    let raw = Frame {
        link: LinkType::Raw,
        ..frame(NINE, &[1])
    };
    bench.lane.keep(&raw, Keep::All);
    let lane = &bench.counters.status().lanes[0];
    assert_eq!((lane.kept_frames, lane.offered()), (1, 3));
    assert_eq!(
        (lane.dropped(SpoolDrop::TooLarge), lane.dropped(SpoolDrop::LinkType)),
        (1, 1)
    );
}

#[test]
fn a_chunk_is_handed_over_at_half_the_flush_interval() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    let half = seconds(1) / 2;
    bench.lane.tick(NINE);
    bench.lane.keep(&frame(NINE, &[1]), Keep::All);
    bench
        .lane
        .tick(NINE.plus(half).minus(std::time::Duration::from_nanos(1)));
    assert!(!bench.writer.drain(NINE));
    bench.lane.tick(NINE.plus(half));
    assert!(bench.writer.drain(NINE));
    // The clock was set back: the chunk does not wait until it has caught up.
    bench.lane.keep(&frame(NINE, &[1]), Keep::All);
    bench.lane.tick(NINE.minus(half));
    assert!(bench.writer.drain(NINE));
}

#[test]
fn what_is_not_wanted_is_counted_and_what_is_cut_keeps_its_length_on_the_wire() {
    for format in [Format::Pcap, Format::Pcapng] {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(&config(folder.path(), format));
        let bytes: Vec<u8> = (0..100).collect();
        bench.lane.keep(&frame(NINE, &bytes), Keep::Head(54));
        bench.lane.keep(&frame(NINE, &bytes), Keep::Nothing);
        bench.lane.keep(&frame(NINE, &bytes), Keep::All);
        // No more than there is.
        bench.lane.keep(&frame(NINE, &bytes), Keep::Head(101));
        let (counters, directory) = (bench.counters.clone(), bench.directory.clone());
        bench.stop();
        let lane = &counters.status().lanes[0];
        assert_eq!(
            (lane.offered(), lane.written_frames, lane.not_kept, lane.cut_frames),
            (4, 3, 1, 1)
        );
        let file = CaptureFile::open(directory.join(&listed(&directory)[0])).unwrap();
        let read: Vec<(u32, Vec<u8>)> = crate::source::merge(&[file])
            .map(|frame| (frame.wire_len, frame.bytes.to_vec()))
            .collect();
        let expected = [(100, bytes[..54].to_vec()), (100, bytes.clone()), (100, bytes.clone())];
        assert_eq!(read, expected);
    }
}
