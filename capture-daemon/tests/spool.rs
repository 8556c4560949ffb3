//! The spool as the daemon runs it: with its thread, killed in the middle of writing, and on a full disk.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it, with the line")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use capture_daemon::config::{self, Format};
use capture_daemon::frame::{Frame, Keep, LinkType};
use capture_daemon::source::CaptureFile;
use capture_daemon::spool::{LaneStatus, Mended, Spool, SpoolDrop, SpoolHealth, SpoolLane, SpoolStatus};
use capture_daemon::time::Timestamp;

/// Where the second process of a test finds its folder.
const FOLDER: &str = "SIPHON_TEST_SPOOL";
/// Which disk it fills: `tmpfs`, or an image of ext4.
const DISK: &str = "SIPHON_TEST_DISK";
/// In which format it writes.
const PCAPNG: &str = "SIPHON_TEST_PCAPNG";

/// Says that a test could not run; fails where it must.
fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("SIPHON_REQUIRE").is_none_or(|set| set != "1"),
        "{test}: {reason}"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn now() -> Timestamp {
    Timestamp::ZERO.plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

fn config(directory: &Path) -> config::Spool {
    config::Spool {
        directory: directory.to_owned(),
        ..config::Spool::default()
    }
}

/// Bytes of the frames below: the length of a G.711 packet of 20 ms.
const LEN: usize = 214;

/// An Ethernet frame that carries `number` behind a type of no protocol.
fn numbered(number: u64) -> [u8; LEN] {
    let mut bytes = [0xd5; LEN];
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    bytes[14..22].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn keep(lane: &mut SpoolLane, ts: Timestamp, number: u64) {
    let bytes = numbered(number);
    let frame = Frame {
        ts,
        link: LinkType::Ethernet,
        wire_len: LEN as u32,
        bytes: &bytes,
    };
    lane.keep(&frame, Keep::All);
}

/// The files of a folder, in order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The numbers of the frames in a file, each frame checked byte for byte.
fn numbers(file: &Path) -> Vec<u64> {
    let file = CaptureFile::open(file).unwrap();
    let frames = file.frames().map(|frame| frame.unwrap());
    frames
        .map(|frame| {
            let number = u64::from_be_bytes(frame.bytes[14..22].try_into().unwrap());
            assert_eq!(frame.bytes, numbered(number));
            number
        })
        .collect()
}

/// Frames in a file by capinfos; it fails on a file that is not whole.
fn counted_by_capinfos(file: &Path) -> usize {
    let output = Command::new("capinfos")
        .args(["-M", "-T", "-r", "-c"])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stdout).unwrap();
    line.trim().rsplit('\t').next().unwrap().parse().unwrap()
}

/// Both identities of the counters.
fn assert_conserved(status: &SpoolStatus, offered: u64) {
    assert_eq!(status.lanes.iter().map(LaneStatus::offered).sum::<u64>(), offered);
    for lane in &status.lanes {
        let lost = lane.dropped(SpoolDrop::DiskFull) + lane.dropped(SpoolDrop::WriteError);
        assert_eq!(lane.kept_frames, lane.written_frames + lost, "{lane:?}");
        assert_eq!(lane.in_chunks(), 0);
    }
}

#[test]
fn four_lanes_lose_nothing_that_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config::Spool {
        rotate_size: 1 << 20,
        chunk_size: 64 << 10,
        chunks: 3,
        ..config(folder.path())
    };
    let (spool, lanes) = Spool::start(&config, "eth0", 4).unwrap();
    let start = now();
    let workers = lanes.into_iter().enumerate().map(|(number, mut lane)| {
        thread::spawn(move || {
            for frame in 0..50_000_u64 {
                keep(
                    &mut lane,
                    start.plus(Duration::from_nanos(frame)),
                    frame * 4 + number as u64,
                );
            }
            lane.finish();
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.join().unwrap();
    }
    let status = spool.stop().unwrap();
    assert_conserved(&status, 200_000);
    assert!(status.health.is_green());
    let mut read: Vec<u64> = Vec::new();
    for file in files(folder.path()) {
        assert!(fs::metadata(&file).unwrap().len() <= 1 << 20);
        assert_eq!(file.extension().unwrap(), "pcap");
        read.extend(numbers(&file));
    }
    let written = status.lanes.iter().map(|lane| lane.written_frames).sum::<u64>();
    assert_eq!(read.len() as u64, written);
    read.sort_unstable();
    read.dedup();
    assert_eq!(read.len() as u64, written, "no frame twice");
    assert_eq!(status.files_opened, status.files_closed);
}

#[test]
fn a_lane_that_is_dropped_hands_over_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut lanes) = Spool::start(&config(folder.path()), "eth0", 2).unwrap();
    keep(&mut lanes[1], now(), 7);
    drop(lanes);
    let status = spool.stop().unwrap();
    assert_conserved(&status, 1);
    assert_eq!(numbers(&files(folder.path())[0]), [7]);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: config::Spool| Spool::start(&config, "eth0", 1).err().unwrap().to_string();
    let one = config::Spool {
        chunks: 1,
        ..config(folder.path())
    };
    assert_eq!(refused(one), "spool.chunks is 1; at least 2 are needed");
    let template = config::Spool {
        template: "{lane}".to_owned(),
        ..config(folder.path())
    };
    assert!(refused(template).starts_with("spool.template: template lacks {time}"));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(config(&file.join("spool")));
    assert!(error.contains("create") && error.contains("file/spool"), "{error}");
}

/// Not a test: the process that `killed_in_the_middle…` kills. It keeps a frame every millisecond, and says after each
/// which one that was.
#[test]
#[ignore = "the process that another test starts and kills"]
fn writes_until_it_is_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let format = if std::env::var_os(PCAPNG).is_some() {
        Format::Pcapng
    } else {
        Format::Pcap
    };
    // Chunks hold 4,000 frames and more: only their age has them handed over.
    let config = config::Spool {
        format,
        ..config(&folder)
    };
    let (_spool, mut lanes) = Spool::start(&config, "eth0", 1).unwrap();
    let mut lane = lanes.pop().unwrap();
    let mut told = std::io::stdout();
    for number in 0.. {
        let ts = now();
        keep(&mut lane, ts, number);
        lane.tick(now());
        writeln!(told, "kept {number} {}", ts.as_nanos()).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
}

/// Starts the process above, kills it once it has kept `frames` frames, and returns the times of the frames it kept.
fn killed_after(folder: &Path, format: Format, frames: usize) -> Vec<Timestamp> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture", "writes_until_it_is_killed"])
        .env(FOLDER, folder);
    if format == Format::Pcapng {
        command.env(PCAPNG, "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut kept = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness says something first, in front of the first of them on the same line.
        let Some((_, line)) = line.split_once("kept ") else {
            continue;
        };
        // The last line may be cut.
        let Some((number, nanos)) = line.split_once(' ').filter(|(_, nanos)| nanos.len() == 19) else {
            continue;
        };
        assert_eq!(number.parse(), Ok(kept.len()));
        kept.push(Timestamp::from_nanos(nanos.parse().unwrap()));
        if kept.len() == frames {
            child.kill().unwrap();
        }
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    kept
}

#[test]
fn killed_in_the_middle_of_writing_at_most_the_flush_interval_is_missing() {
    let test = "killed_in_the_middle_of_writing_at_most_the_flush_interval_is_missing";
    let capinfos = installed("capinfos");
    if !capinfos {
        skip(test, "capinfos is not installed: files are read by siphon alone");
    }
    for (format, frames) in [(Format::Pcap, 700), (Format::Pcapng, 1_150), (Format::Pcap, 1_900)] {
        let folder = tempfile::tempdir().unwrap();
        let kept = killed_after(folder.path(), format, frames);
        assert!(kept.len() >= frames);
        let left = files(folder.path());
        assert!(left.iter().all(|file| file.extension().unwrap() == "part"), "{left:?}");

        // The next start mends, and does not touch what it finds closed.
        let (spool, lanes) = Spool::start(&config(folder.path()), "eth0", 1).unwrap();
        let [Mended::Closed { file, frames, .. }] = spool.mended() else {
            panic!("{:?}", spool.mended())
        };
        let (file, frames) = (file.clone(), *frames);
        drop(lanes);
        spool.stop().unwrap();

        let read = numbers(&file);
        assert_eq!(read, (0..frames).collect::<Vec<_>>(), "a run without a gap");
        if capinfos {
            assert_eq!(counted_by_capinfos(&file) as u64, frames);
        }
        // By the frames' own times: what is missing came less than the flush interval before the last that was kept.
        let last = kept[kept.len() - 1];
        if let Some(missing) = kept.get(read.len()) {
            let lost = last.since(*missing);
            assert!(
                lost < config(folder.path()).flush_interval,
                "{lost:?} of {} frames missing",
                kept.len()
            );
        }
        assert_eq!(files(folder.path()), [file]);
    }
}

fn mount_small_disk(folder: &Path) {
    let mut mount = Command::new("mount");
    let disk = std::env::var_os(DISK).unwrap();
    if disk == "tmpfs" {
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    } else {
        mount.args(["-o", "loop"]).arg(disk);
    }
    assert!(mount.arg(folder).status().unwrap().success());
}

/// Not a test: the part of `a_full_disk…` that runs in a mount namespace of its own, which ends with it.
#[test]
#[ignore = "mounts a file system; another test starts it in a mount namespace"]
fn fills_a_small_disk() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    mount_small_disk(&folder);
    // Takes what there is but for some 400 kB, to be given back later.
    let ballast = folder.join("ballast");
    let mut filler = fs::File::create(&ballast).unwrap();
    while filler.write(&[0; 4096]).is_ok_and(|n| n == 4096) {}
    filler.set_len(filler.metadata().unwrap().len() - (400 << 10)).unwrap();
    filler.sync_all().unwrap();
    drop(filler);

    let spool_folder = folder.join("spool");
    let config = config::Spool {
        flush_interval: Duration::from_millis(20),
        ..config(&spool_folder)
    };
    let (spool, mut lanes) = Spool::start(&config, "eth0", 1).unwrap();
    let mut lane = lanes.pop().unwrap();
    let mut offered = 0;
    let mut until = |lane: &mut SpoolLane, what: &str, reached: &dyn Fn(&SpoolStatus) -> bool| {
        // Some 30 seconds on an idle machine; a bound, not a measurement.
        for _ in 0..30_000 {
            for _ in 0..10 {
                keep(lane, now(), offered);
                offered += 1;
            }
            lane.tick(now());
            thread::sleep(Duration::from_millis(1));
            let status = spool.status();
            if reached(&status) {
                return status;
            }
        }
        panic!("{what} never came: {:?}", spool.status());
    };

    let status = until(&mut lane, "a full disk", &|status| !status.health.is_green());
    let SpoolHealth::Red { reason, error, .. } = status.health else {
        panic!("not red")
    };
    assert_eq!(reason, "disk_full");
    assert!(error.contains("write") && error.contains("os error 28"), "{error}");
    // Chunks come back all the while: frames are dropped for want of disk, not of chunks.
    let lost = |status: &SpoolStatus| status.lanes[0].dropped(SpoolDrop::DiskFull);
    let status = until(&mut lane, "more drops", &|status| lost(status) > 3_000);
    assert_eq!(status.lanes[0].dropped(SpoolDrop::QueueFull), 0);
    let part = files(&spool_folder);
    assert_eq!(part.len(), 1);
    let whole = fs::metadata(&part[0]).unwrap().len();
    assert_eq!((whole - 24) % (16 + LEN as u64), 0, "ends with a whole record");
    let written = status.lanes[0].written_frames;

    fs::remove_file(&ballast).unwrap();
    let status = until(&mut lane, "room", &|status| {
        status.health.is_green() && status.lanes[0].written_frames > written + 100
    });
    assert_eq!(status.files_opened, 1, "goes on in the same file");
    lane.finish();
    let status = spool.stop().unwrap();
    assert_conserved(&status, offered);
    let closed = files(&spool_folder);
    assert_eq!(closed, [part[0].with_extension("")]);
    let read = numbers(&closed[0]);
    assert_eq!(read.len() as u64, status.lanes[0].written_frames);
    assert!(
        read.is_sorted() && read.windows(2).any(|pair| pair[1] - pair[0] > 3_000),
        "with a gap where it was full"
    );
}

fn in_mount_namespace(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(arguments);
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn fill_and_get_over(disk: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = in_mount_namespace(&[]);
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "fills_a_small_disk"]);
    let output = command.env(FOLDER, folder.path()).env(DISK, disk).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(files(folder.path()).is_empty(), "the mount was the other process's own");
}

#[test]
fn a_full_disk_is_counted_told_and_got_over() {
    let test = "a_full_disk_is_counted_told_and_got_over";
    if !succeeds(&mut in_mount_namespace(&["true"])) {
        return skip(test, "no mount namespace of its own: needs unshare(1) and root");
    }
    fill_and_get_over(Path::new("tmpfs"));
}

/// ext4 gives out blocks long after the write: that it says no at the write all the same is what the spool relies on.
#[test]
fn a_full_ext4_is_counted_told_and_got_over() {
    let test = "a_full_ext4_is_counted_told_and_got_over";
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    if !succeeds(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image)) {
        return skip(test, "mkfs.ext4 is not installed");
    }
    let there = folder.path().join("there");
    fs::create_dir(&there).unwrap();
    let trial = ["sh", "-c", "mount -o loop \"$0\" \"$1\""];
    if !succeeds(in_mount_namespace(&trial).arg(&image).arg(&there)) {
        return skip(test, "no mount namespace or no loop device: needs unshare(1) and root");
    }
    fill_and_get_over(&image);
}
