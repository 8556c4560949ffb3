//! Mending what a killed siphon left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::{Bench, NINE, config, frames, listed, seconds};
use crate::config::Format;
use crate::spool::{Mended, Names, SpoolHealth, mend};
use crate::time::Timestamp;

const TEMPLATE: &str = "siphon-{interface}-q{lane}-{time}.{extension}";
const NAME: &str = "siphon-eth0-q0-20261121T090000Z";

fn names() -> Names {
    Names::new(TEMPLATE, "eth0").unwrap()
}

/// The bytes of a file of three frames, of 61, 62 and 63 bytes, and where each record ends.
fn whole(format: Format) -> (Vec<u8>, [usize; 4]) {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), format));
    for number in 1..=3_u8 {
        bench.write(
            NINE.plus(seconds(number.into())),
            &vec![number; 60 + usize::from(number)],
        );
    }
    bench.stop();
    let bytes = fs::read(folder.path().join(&listed(folder.path())[0])).unwrap();
    let records = match format {
        Format::Pcap => [16 + 61, 16 + 62, 16 + 63],
        Format::Pcapng => [32 + 64; 3],
    };
    let header = bytes.len() - records.iter().sum::<usize>();
    let (one, two) = (header + records[0], header + records[0] + records[1]);
    let ends = [header, one, two, bytes.len()];
    (bytes, ends)
}

fn part(folder: &Path, format: Format) -> PathBuf {
    folder.join(format!("{NAME}.{}.part", super::super::name::extension(format)))
}

fn last_frame(file: &Path) -> Timestamp {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::ZERO.plus(since)
}

#[test]
fn a_file_cut_at_any_byte_keeps_its_whole_records() {
    for format in [Format::Pcap, Format::Pcapng] {
        let (bytes, ends) = whole(format);
        for end in 0..=bytes.len() {
            let folder = tempfile::tempdir().unwrap();
            let part = part(folder.path(), format);
            fs::write(&part, &bytes[..end]).unwrap();
            let mended = mend(folder.path(), &names()).unwrap();
            let records = ends[1..].iter().filter(|&&whole| whole <= end).count();
            let closed = part.with_extension("");
            if records == 0 {
                assert!(
                    matches!(&mended[..], [Mended::Removed { file }] if *file == part),
                    "cut at {end}: {mended:?}"
                );
                assert!(listed(folder.path()).is_empty());
                continue;
            }
            let [
                Mended::Closed {
                    file,
                    frames: count,
                    cut,
                },
            ] = &mended[..]
            else {
                panic!("cut at {end}: {mended:?}")
            };
            assert_eq!(
                (file, *count, *cut),
                (&closed, records as u64, (end - ends[records]) as u64)
            );
            assert_eq!(fs::read(&closed).unwrap(), bytes[..ends[records]]);
            assert_eq!(frames(&closed).len(), records);
            assert_eq!(last_frame(&closed), NINE.plus(seconds(records as u64)));
            assert_eq!(listed(folder.path()).len(), 1);
        }
    }
}

#[test]
fn what_is_no_record_is_cut_with_all_behind_it() {
    for format in [Format::Pcap, Format::Pcapng] {
        let (bytes, ends) = whole(format);
        // Zeroes at the end, a length beyond any frame, and for pcapng a length behind that differs.
        let mut spoilt = vec![[&bytes[..ends[2]], &[0; 5_000][..]].concat()];
        let length = ends[1] + if format == Format::Pcap { 8 } else { 20 };
        let mut absurd = bytes.clone();
        absurd[length..length + 4].fill(0xff);
        spoilt.push(absurd[..].to_vec());
        if format == Format::Pcapng {
            let mut torn = bytes.clone();
            torn[ends[2] - 1] ^= 1;
            spoilt.push(torn);
        }
        for (case, bytes) in spoilt.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(part(folder.path(), format), bytes).unwrap();
            let mended = mend(folder.path(), &names()).unwrap();
            let expected = if case == 0 { 2 } else { 1 };
            assert!(
                matches!(mended[..], [Mended::Closed { frames, .. }] if frames == expected),
                "{case}: {mended:?}"
            );
        }
    }
}

#[test]
fn files_in_use_foreign_files_and_closed_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (bytes, ends) = whole(Format::Pcap);
    let torn = &bytes[..ends[3] - 1];
    let foreign = [
        "siphon-eth1-q0-20261121T090000Z.pcap.part",
        "siphon-eth0-q0-20261121T090000Z.pcap",
        "notes.part",
    ];
    for name in foreign {
        fs::write(folder.path().join(name), torn).unwrap();
    }
    let used = folder.path().join("siphon-eth0-q1-20261121T090000Z.pcap.part");
    fs::write(&used, torn).unwrap();
    let lock = File::open(&used).unwrap();
    lock.try_lock().unwrap();
    fs::create_dir(folder.path().join("siphon-eth0-q2-20261121T090000Z.pcap.part")).unwrap();
    let mended = mend(folder.path(), &names()).unwrap();
    assert!(
        matches!(&mended[..], [Mended::Locked { file }] if *file == used),
        "{mended:?}"
    );
    for name in foreign {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), torn);
    }
    drop(lock);
    assert!(matches!(
        mend(folder.path(), &names()).unwrap()[..],
        [Mended::Closed { frames: 2, .. }]
    ));
}

#[test]
fn a_running_spool_is_not_mended_under_its_hands() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&config(folder.path(), Format::Pcap));
    bench.write(NINE, &[1; 60]);
    assert!(matches!(
        mend(folder.path(), &names()).unwrap()[..],
        [Mended::Locked { .. }]
    ));
    bench.write(NINE, &[2; 60]);
    assert!(matches!(bench.counters.status().health, SpoolHealth::Green { .. }));
    bench.stop();
    assert_eq!(frames(&folder.path().join(format!("{NAME}.pcap"))).len(), 2);
}

#[test]
fn a_leftover_whose_name_is_taken_gets_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(part(folder.path(), Format::Pcap), whole(Format::Pcap).0).unwrap();
    fs::write(folder.path().join(format!("{NAME}.pcap")), "old").unwrap();
    let mended = mend(folder.path(), &names()).unwrap();
    assert!(matches!(mended[..], [Mended::Closed { frames: 3, cut: 0, .. }]));
    assert_eq!(frames(&folder.path().join(format!("{NAME}-1.pcap"))).len(), 3);
    assert_eq!(fs::read(folder.path().join(format!("{NAME}.pcap"))).unwrap(), b"old");
    assert_eq!(
        last_frame(&folder.path().join(format!("{NAME}-1.pcap"))).since(NINE),
        Duration::from_secs(3)
    );
}
