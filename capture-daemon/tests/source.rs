//! The readers of capture files against programs that others wrote: editcap converts, tshark reads, and ours must agree.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, with the line")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use capture_daemon::config;
use capture_daemon::frame::{Frame, Keep, LinkType};
use capture_daemon::source::{CaptureFile, merge};
use capture_daemon::spool::Spool;
use capture_daemon::time::Timestamp;

/// Whether `programs` are there; says so loudly where not, and fails where the tests must run.
fn require(test: &str, programs: &[&str]) -> bool {
    for program in programs {
        if Command::new(program).arg("--version").output().is_err() {
            let reason = format!("{program} is not installed");
            assert!(
                std::env::var_os("SIPHON_REQUIRE").is_none_or(|set| set != "1"),
                "{test}: {reason}"
            );
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
            return false;
        }
    }
    true
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A capture of frames of many lengths, some milliseconds apart, written by the spool.
fn capture(folder: &Path, start: u64) -> PathBuf {
    let config = config::Spool {
        directory: folder.to_owned(),
        ..config::Spool::default()
    };
    let (spool, mut lanes) = Spool::start(&config, "eth0", 1).unwrap();
    let mut lane = lanes.pop().unwrap();
    for number in 0..200_u64 {
        let mut bytes = vec![number as u8; 60 + 7 * number as usize];
        // An Ethernet type of no protocol, lest tshark look inside.
        bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
        let frame = Frame {
            ts: Timestamp::from_nanos(1_795_251_600_000_000_000 + start + number * 3_000_001),
            link: LinkType::Ethernet,
            wire_len: bytes.len() as u32,
            bytes: &bytes,
        };
        lane.keep(&frame, Keep::All);
    }
    lane.finish();
    let status = spool.stop().unwrap();
    assert_eq!(status.lanes[0].written_frames, 200);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().next().unwrap()
}

/// Time in nanoseconds, captured length and length on the wire of each frame, as tshark says.
fn by_tshark(file: &Path) -> Vec<(u64, usize, u32)> {
    let mut tshark = Command::new("tshark");
    tshark.args([
        "-n",
        "-T",
        "fields",
        "-e",
        "frame.time_epoch",
        "-e",
        "frame.cap_len",
        "-e",
        "frame.len",
        "-r",
    ]);
    let lines = run(tshark.arg(file));
    let fields = lines.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    fields
        .map(|fields| {
            let (seconds, nanos) = fields[0].split_once('.').unwrap();
            let nanos: u64 = format!("{nanos:0<9}").parse().unwrap();
            let ts = seconds.parse::<u64>().unwrap() * 1_000_000_000 + nanos;
            (ts, fields[1].parse().unwrap(), fields[2].parse().unwrap())
        })
        .collect()
}

fn by_us(file: &CaptureFile) -> Vec<(u64, usize, u32)> {
    let frames = file.frames().map(|frame| frame.unwrap());
    frames
        .map(|frame| (frame.ts.as_nanos(), frame.bytes.len(), frame.wire_len))
        .collect()
}

#[test]
fn files_that_editcap_converted_are_read_as_tshark_reads_them() {
    let test = "files_that_editcap_converted_are_read_as_tshark_reads_them";
    if !require(test, &["editcap", "tshark"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let original = capture(folder.path(), 0);
    let bytes: Vec<Vec<u8>> = {
        let file = CaptureFile::open(&original).unwrap();
        file.frames().map(|frame| frame.unwrap().bytes.to_vec()).collect()
    };
    for (format, snaplen) in [
        ("pcap", 0),
        ("nsecpcap", 0),
        ("pcapng", 0),
        ("nsecpcap", 96),
        ("pcapng", 96),
    ] {
        let converted = folder.path().join(format!("{format}-{snaplen}"));
        let mut editcap = Command::new("editcap");
        if snaplen > 0 {
            editcap.args(["-s", &snaplen.to_string()]);
        }
        run(editcap.args(["-F", format]).arg(&original).arg(&converted));
        let file = CaptureFile::open(&converted).unwrap();
        let ours = by_us(&file);
        assert_eq!(ours, by_tshark(&converted), "{format} {snaplen}");
        assert_eq!(ours.len(), 200);
        for (frame, whole) in file.frames().map(|frame| frame.unwrap()).zip(&bytes) {
            let len = if snaplen == 0 {
                whole.len()
            } else {
                whole.len().min(snaplen)
            };
            assert_eq!(frame.bytes, &whole[..len]);
        }
    }
}

#[test]
fn two_files_come_in_the_order_in_which_mergecap_puts_them() {
    let test = "two_files_come_in_the_order_in_which_mergecap_puts_them";
    if !require(test, &["mergecap"]) {
        return;
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let paths = [capture(folders[0].path(), 0), capture(folders[1].path(), 100_000_000)];
    let merged = folders[0].path().join("merged");
    run(Command::new("mergecap")
        .args(["-F", "nsecpcap", "-w"])
        .arg(&merged)
        .args(&paths));
    let theirs = by_us(&CaptureFile::open(&merged).unwrap());
    let files = paths.map(|path| CaptureFile::open(path).unwrap());
    let ours = merge(&files).map(|frame| (frame.ts.as_nanos(), frame.bytes.len(), frame.wire_len));
    assert_eq!(ours.collect::<Vec<_>>(), theirs);
    assert_eq!(theirs.len(), 400);
}

#[test]
fn a_file_that_is_cut_gives_as_many_frames_as_tshark_finds_in_it() {
    let test = "a_file_that_is_cut_gives_as_many_frames_as_tshark_finds_in_it";
    if !require(test, &["editcap", "tshark"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let original = capture(folder.path(), 0);
    for format in ["nsecpcap", "pcapng"] {
        let whole = folder.path().join("whole");
        run(Command::new("editcap").args(["-F", format]).arg(&original).arg(&whole));
        let bytes = fs::read(&whole).unwrap();
        for end in [1_000, bytes.len() / 2, bytes.len() - 1] {
            let cut = folder.path().join("cut");
            fs::write(&cut, &bytes[..end]).unwrap();
            // tshark prints what is whole, then says that the file is cut short, and fails.
            let tshark = Command::new("tshark").args(["-n", "-r"]).arg(&cut).output().unwrap();
            assert!(!tshark.status.success());
            let theirs = tshark.stdout.iter().filter(|byte| **byte == b'\n').count();
            let file = CaptureFile::open(&cut).unwrap();
            let ours: Vec<_> = file.frames().collect();
            let (error, frames) = ours.split_last().unwrap();
            assert_eq!(
                frames.iter().filter(|frame| frame.is_ok()).count(),
                theirs,
                "{format} cut at {end}"
            );
            let error = error.as_ref().unwrap_err();
            assert!(error.offset().is_some_and(|offset| offset < end as u64), "{error}");
        }
    }
}
