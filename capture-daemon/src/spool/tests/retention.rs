//! Which files go.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::{Bench, NINE, config, listed, seconds};
use crate::config::{self as settings, Format};
use crate::spool::{Limits, Names, Removed, retain};
use crate::time::Timestamp;

fn names() -> Names {
    Names::new("siphon-{interface}-q{lane}-{time}.{extension}", "eth0").unwrap()
}

fn ours(lane: usize, minute: u32) -> String {
    format!("siphon-eth0-q{lane}-20261121T09{minute:02}00Z.pcap")
}

/// A file of a hundred bytes whose last frame came at `at`.
fn file(folder: &Path, name: &str, at: Timestamp) {
    let path = folder.join(name);
    fs::write(&path, [0; 100]).unwrap();
    let modified = UNIX_EPOCH + Duration::from_nanos(at.as_nanos());
    File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

/// What is said when `files` of 100 bytes went and `left` bytes stayed.
fn gone(files: u64, left: u64) -> Removed {
    Removed {
        files,
        bytes: files * 100,
        left,
    }
}

#[test]
fn the_oldest_go_until_the_total_holds() {
    let folder = tempfile::tempdir().unwrap();
    // The order is that of the last frames, not of the names.
    for (lane, minute, age) in [(0, 1, 40), (1, 0, 30), (0, 3, 20), (1, 2, 10)] {
        file(folder.path(), &ours(lane, minute), NINE.minus(seconds(age)));
    }
    let retained = |max_total, open| {
        let limits = Limits {
            max_total,
            max_age: Duration::ZERO,
        };
        retain(folder.path(), &names(), limits, open, NINE).unwrap()
    };
    let nothing = |left| Removed {
        left,
        ..Removed::default()
    };
    assert_eq!(retained(0, 1_000_000), nothing(1_000_400));
    assert_eq!(retained(400, 0), nothing(400));
    assert_eq!(retained(399, 0), gone(1, 300));
    assert_eq!(listed(folder.path()), [ours(0, 3), ours(1, 0), ours(1, 2)]);
    // What is being written counts too.
    assert_eq!(retained(300, 50), gone(1, 250));
    assert_eq!(listed(folder.path()), [ours(0, 3), ours(1, 2)]);
    assert_eq!(retained(1, 0), gone(2, 0));
}

#[test]
fn files_go_at_their_age() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), &ours(0, 0), NINE);
    file(folder.path(), &ours(0, 1), NINE.plus(seconds(1)));
    let limits = Limits {
        max_total: 0,
        max_age: seconds(60),
    };
    let retained = |now| retain(folder.path(), &names(), limits, 0, now).unwrap().files;
    assert_eq!(retained(NINE.plus(seconds(60))), 0);
    assert_eq!(retained(NINE.plus(seconds(61))), 1);
    assert_eq!(listed(folder.path()), [ours(0, 1)]);
}

#[test]
fn nothing_but_closed_files_of_this_interface_goes() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = [
        "siphon-eth1-q0-20261121T090000Z.pcap",
        "siphon-eth0-q0-20261121T090000Z.pcap.part",
        "siphon-eth0-q0-20261121T090000Z.pcap.bak",
        "evidence.pcap",
    ];
    for name in foreign {
        file(folder.path(), name, NINE);
    }
    fs::create_dir(folder.path().join(ours(7, 0))).unwrap();
    symlink(folder.path().join("evidence.pcap"), folder.path().join(ours(8, 0))).unwrap();
    file(folder.path(), &ours(0, 0), NINE);
    let before = listed(folder.path()).len();
    let limits = Limits {
        max_total: 1,
        max_age: Duration::from_nanos(1),
    };
    let removed = retain(folder.path(), &names(), limits, 0, NINE.plus(seconds(9_999))).unwrap();
    assert_eq!(removed, gone(1, 0));
    assert_eq!(listed(folder.path()).len(), before - 1);
    assert!(!folder.path().join(ours(0, 0)).exists());
}

#[test]
fn the_writer_retains_when_it_closes_a_file_and_every_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings::Spool {
        rotate_size: 24 + 116,
        max_total: 2 * 140,
        ..config(folder.path(), Format::Pcap)
    };
    let mut bench = Bench::new(&settings);
    for number in 0..5 {
        bench.write(NINE.plus(seconds(number)), &[1; 100]);
        bench.writer.tick(NINE.plus(seconds(number)));
    }
    let kept = [
        "siphon-eth0-q0-20261121T090003Z.pcap",
        "siphon-eth0-q0-20261121T090004Z.pcap.part",
    ];
    assert_eq!(listed(folder.path()), kept);
    assert_eq!(bench.counters.status().files_removed, 3);
    // A file that came from elsewhere, and nothing closed since.
    file(folder.path(), &ours(3, 0), NINE);
    bench.writer.tick(NINE.plus(seconds(13)));
    assert_eq!(listed(folder.path()).len(), 3);
    bench.writer.tick(NINE.plus(seconds(14)));
    assert_eq!(listed(folder.path()), kept);
    assert!(bench.counters.status().disk_free_bytes > 0);
}
