//! When a file begins and ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{Bench, NINE, config, frame, frames, listed, seconds};
use crate::config::{self as settings, Format};
use crate::frame::Keep;
use crate::spool::{SpoolDrop, SpoolHealth};

#[test]
fn a_file_is_part_until_it_is_closed_and_then_has_the_time_of_its_last_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    bench.write(NINE, &[1; 60]);
    let part = "siphon-eth0-q0-20261121T090000Z.pcap.part";
    assert_eq!(listed(folder.path()), [part]);
    assert_eq!(bench.counters.status().lanes[0].file.as_deref(), Some(part));
    bench.write(NINE.plus(seconds(7)), &[2; 60]);
    let counters = bench.counters.clone();
    bench.stop();
    assert_eq!(listed(folder.path()), ["siphon-eth0-q0-20261121T090000Z.pcap"]);
    let path = folder.path().join(&listed(folder.path())[0]);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    let nanos = NINE.plus(seconds(7)).as_nanos();
    assert_eq!(metadata.modified().unwrap(), UNIX_EPOCH + Duration::from_nanos(nanos));
    assert_eq!(
        frames(&path),
        [(NINE, vec![1; 60]), (NINE.plus(seconds(7)), vec![2; 60])]
    );
    let status = counters.status();
    assert_eq!(
        (status.files_opened, status.files_closed, status.lanes[0].file.clone()),
        (1, 1, None)
    );
}

#[test]
fn a_file_has_exactly_the_size_it_may_have() {
    for (format, header, record) in [(Format::Pcap, 24, 116), (Format::Pcapng, 0, 132)] {
        let folder = tempfile::tempdir().unwrap();
        let header = if header == 0 {
            super::super::record::file_header(format, "eth0").unwrap().len()
        } else {
            header
        };
        let rotate_size = (header + 10 * record) as u64;
        let mut bench = Bench::new(&settings::Spool {
            rotate_size,
            ..config(folder.path(), format)
        });
        for number in 0..25 {
            // All in one second, many in one chunk: the files' numbers tell them apart.
            bench.lane.keep(&frame(NINE, &[number; 100]), Keep::All);
            if number % 7 == 6 {
                bench.flush(NINE);
            }
        }
        bench.stop();
        let extension = super::super::name::extension(format);
        let names = ["-1", "-2", ""].map(|number| format!("siphon-eth0-q0-20261121T090000Z{number}.{extension}"));
        assert_eq!(listed(folder.path()), names);
        let sizes = [&names[2], &names[0], &names[1]].map(|name| fs::metadata(folder.path().join(name)).unwrap().len());
        assert_eq!(sizes, [rotate_size, rotate_size, (header + 5 * record) as u64]);
        assert_eq!(frames(&folder.path().join(&names[1]))[0].1[0], 20);
    }
}

#[test]
fn a_frame_larger_than_a_file_may_be_has_one_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&settings::Spool {
        rotate_size: 1,
        ..config(folder.path(), Format::Pcap)
    });
    for number in 0..3 {
        bench.lane.keep(&frame(NINE, &[number; 100]), Keep::All);
    }
    bench.stop();
    let counts: Vec<_> = listed(folder.path())
        .iter()
        .map(|name| frames(&folder.path().join(name)).len())
        .collect();
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn a_file_ends_where_its_interval_does_also_within_a_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&settings::Spool {
        rotate_interval: seconds(60),
        ..config(folder.path(), Format::Pcap)
    });
    let nanosecond = Duration::from_nanos(1);
    let end = NINE.plus(seconds(60));
    // The last is late: files are not opened again, so it goes where its successors are.
    let times = [
        NINE.plus(seconds(30)),
        end.minus(nanosecond),
        end,
        end.plus(seconds(1)),
        end.minus(nanosecond),
    ];
    for ts in times {
        bench.lane.keep(&frame(ts, &[1]), Keep::All);
    }
    bench.stop();
    let names = listed(folder.path());
    assert_eq!(
        names,
        [
            "siphon-eth0-q0-20261121T090030Z.pcap",
            "siphon-eth0-q0-20261121T090100Z.pcap"
        ]
    );
    let read = names.map_each(|name| {
        frames(&folder.path().join(name))
            .into_iter()
            .map(|frame| frame.0)
            .collect::<Vec<_>>()
    });
    assert_eq!(read, [times[..2].to_vec(), times[2..].to_vec()]);
}

#[test]
fn an_idle_file_is_closed_when_its_interval_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&settings::Spool {
        rotate_interval: seconds(60),
        ..config(folder.path(), Format::Pcap)
    });
    bench.write(NINE, &[1]);
    // The worker may hold frames of the interval back for as long as the flush interval, here a second.
    bench.writer.tick(NINE.plus(seconds(61)).minus(Duration::from_nanos(1)));
    assert_eq!(bench.counters.status().files_closed, 0);
    bench.writer.tick(NINE.plus(seconds(61)));
    assert_eq!(bench.counters.status().files_closed, 1);
    assert_eq!(listed(folder.path()), ["siphon-eth0-q0-20261121T090000Z.pcap"]);
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("siphon-eth0-q0-20261121T090000Z.pcap");
    let open = folder.path().join("siphon-eth0-q0-20261121T090000Z-1.pcap.part");
    fs::write(&taken, "old").unwrap();
    fs::write(&open, "other").unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    bench.write(NINE, &[1]);
    bench.stop();
    assert_eq!(fs::read(&taken).unwrap(), b"old");
    assert_eq!(fs::read(&open).unwrap(), b"other");
    assert_eq!(
        frames(&folder.path().join("siphon-eth0-q0-20261121T090000Z-2.pcap")).len(),
        1
    );
    assert_eq!(listed(folder.path()).len(), 3);
}

#[test]
fn a_folder_that_is_gone_is_an_error_counted_and_told_and_got_over() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("spool");
    let mut bench = Bench::new(&config(&folder, Format::Pcap));
    bench.write(NINE, &[1]);
    let status = bench.counters.status();
    assert_eq!(status.lanes[0].dropped(SpoolDrop::WriteError), 1);
    let SpoolHealth::Red { since, reason, error } = status.health else {
        panic!("not red")
    };
    assert_eq!((since, reason), (NINE, "write_error"));
    assert!(
        error.contains("create") && error.contains(".part") && error.contains("os error 2"),
        "{error}"
    );
    // Tried once more at once, then every second; what comes meanwhile is counted.
    bench.write(NINE.plus(seconds(1)), &[2]);
    fs::create_dir(&folder).unwrap();
    bench.write(NINE.plus(seconds(1)), &[3]);
    bench.write(NINE.plus(seconds(2)), &[4]);
    let status = bench.counters.status();
    assert_eq!(
        status.health,
        SpoolHealth::Green {
            since: NINE.plus(seconds(2))
        }
    );
    assert_eq!(
        (
            status.lanes[0].dropped(SpoolDrop::WriteError),
            status.lanes[0].written_frames
        ),
        (3, 1)
    );
    bench.stop();
    assert_eq!(listed(&folder), ["siphon-eth0-q0-20261121T090002Z.pcap"]);
}

trait MapEach<T> {
    fn map_each<U>(&self, each: impl FnMut(&T) -> U) -> Vec<U>;
}

impl<T> MapEach<T> for Vec<T> {
    fn map_each<U>(&self, each: impl FnMut(&T) -> U) -> Vec<U> {
        self.iter().map(each).collect()
    }
}

#[test]
fn a_file_that_was_removed_while_open_is_told_and_left_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    bench.write(NINE, &[1; 60]);
    bench.writer.tick(NINE);
    assert!(bench.counters.status().health.is_green());
    fs::remove_file(folder.path().join(&listed(folder.path())[0])).unwrap();
    let later = NINE.plus(seconds(1));
    bench.writer.tick(later);
    let status = bench.counters.status();
    let SpoolHealth::Red { error, .. } = &status.health else {
        panic!("{status:?}");
    };
    assert!(error.contains("removed") && error.contains("1 frames"), "{error}");
    assert_eq!(status.lanes[0].file, None);
    bench.write(later, &[2; 60]);
    assert!(bench.counters.status().health.is_green());
    bench.stop();
    let files = listed(folder.path());
    assert_eq!(files.len(), 1);
    assert_eq!(frames(&folder.path().join(&files[0])), [(later, vec![2; 60])]);
}

#[test]
fn a_clock_that_was_set_back_begins_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    // A year ahead, as a receiver of satellite time may be for a moment.
    let ahead = NINE.plus(seconds(365 * 86_400));
    bench.write(ahead, &[1; 60]);
    // Two queues are not in order: this one belongs to the same file.
    bench.write(ahead.minus(seconds(1)), &[2; 60]);
    bench.write(NINE, &[3; 60]);
    bench.write(NINE.plus(seconds(3_600)), &[4; 60]);
    bench.stop();
    assert_eq!(
        listed(folder.path()),
        [
            "siphon-eth0-q0-20261121T090000Z.pcap",
            "siphon-eth0-q0-20261121T100000Z.pcap",
            "siphon-eth0-q0-20271121T090000Z.pcap",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the limits and wherever chunks end: every frame is in a file once and in order, no file is longer than it
    /// may be unless it holds one frame, and no file that has more than one interval's frames has later ones after it.
    #[test]
    fn rotation_loses_nothing(
        steps in prop::collection::vec((0..20_u64, 1..400_usize, any::<bool>()), 1..60),
        rotate_size in 100..2_000_u64, interval in 0..60_u64, ng: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let format = if ng { Format::Pcapng } else { Format::Pcap };
        let settings = settings::Spool { rotate_size, rotate_interval: seconds(interval), ..config(folder.path(), format) };
        let mut bench = Bench::new(&settings);
        let mut kept = Vec::new();
        let mut now = NINE;
        for (number, (pause, len, flush)) in steps.into_iter().enumerate() {
            now = now.plus(seconds(pause));
            let bytes = vec![number as u8; len];
            bench.lane.keep(&frame(now, &bytes), Keep::All);
            kept.push((now, bytes));
            if flush || number % 4 == 3 {
                bench.flush(now);
            }
        }
        bench.stop();
        let mut read = Vec::new();
        for name in listed(folder.path()) {
            let path = folder.path().join(name);
            let frames = frames(&path);
            prop_assert!(frames.len() == 1 || fs::metadata(&path).unwrap().len() <= rotate_size);
            let ends = frames.iter().map(|frame| crate::spool::interval_end(frame.0, seconds(interval)));
            prop_assert_eq!(ends.collect::<std::collections::BTreeSet<_>>().len(), 1);
            read.extend(frames);
        }
        read.sort_by_key(|frame| (frame.0, frame.1[0]));
        prop_assert_eq!(read, kept);
    }
}
