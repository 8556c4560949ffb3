//! What the configuration says is what the running daemon does, as the kernel, the files and the service manager see it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::fs;
use std::iter::repeat_n;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::mirror::{CALLEE, TAP};
use xtask::lab::process::{run, wait_for};
use xtask::lab::siphon::Siphon;
use xtask::lab::{Need, Network, Scratch, require};

const NEEDS: [Need<'_>; 7] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("mount"),
    Need::Program("tshark"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// Sends `count` datagrams of `length` bytes to `port` of the callee.
fn send(network: &Network, port: u16, count: usize, length: usize) {
    network.send(2_000, port, repeat_n(vec![0; length], count)).unwrap();
}

/// Where the kernel tells of the daemon's thread `name`.
fn thread_of(pid: u32, name: &str) -> Option<PathBuf> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let is_it = |thread: &PathBuf| fs::read_to_string(thread.join("comm")).is_ok_and(|found| found.trim_end() == name);
    threads.flatten().map(|thread| thread.path()).find(is_it)
}

/// CPUs that the daemon's thread `name` may run on, as the kernel lists them (proc_pid_status(5)).
fn cpus_of(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(thread_of(pid, name)?.join("status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(line.trim().to_owned())
}

/// Niceness of the daemon's thread `name`: the 19th field (proc_pid_stat(5)), behind the name in brackets.
fn niceness_of(pid: u32, name: &str) -> Option<i32> {
    let stat = fs::read_to_string(thread_of(pid, name)?.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(16)?.parse().ok()
}

/// Whether threads have slices of their own: since Linux 6.12.
fn has_slices() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

/// Nanoseconds of its slice (proc_sched_show_task, kernel/sched/debug.c).
fn slice_of(pid: u32, name: &str) -> Option<u64> {
    let told = fs::read_to_string(thread_of(pid, name)?.join("sched")).ok()?;
    let slice = told.lines().find(|line| line.starts_with("se.slice"))?;
    slice.rsplit_once(':')?.1.trim().parse().ok()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn what_is_configured_is_what_is_done() {
    if !require("what_is_configured_is_what_is_done", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("live-options").unwrap();
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{TAP}\"\nattach = \"generic\"\nsip_ports = [6060]\n\
         websocket_ports = [6067]\nturn_ports = [3480]\nmedia_ports = [\"30000-30001\"]\n\
         cpus = [1]\nring_entries = 4096\numem_frames = 8192\nframe_size = 4096\nhuge_pages = false\n\
         promiscuous = false\nkernel_log = true\n\
         [control]\nsocket = \"{shown}/siphon.sock\"\nmode = \"0600\"\n\
         [metrics]\nenabled = false\n\
         [log]\nfilter = \"siphon::kernel=info\"\n\
         [spool]\ndirectory = \"{shown}/spool\"\nformat = \"pcapng\"\ntemplate = \"{{time}}_{{lane}}.{{extension}}\"\n"
    );
    let mut run_siphon = Siphon::start_with(&network.sensor, siphon(), scratch.path(), &text, &[]).unwrap();
    let pid = run_siphon.pid();

    for thread in ["siphon-q0", "siphon-q1"] {
        assert_eq!(cpus_of(pid, thread).as_deref(), Some("1"), "{thread}");
        assert_eq!(niceness_of(pid, thread), Some(-10), "{thread}");
        if has_slices() {
            assert_eq!(slice_of(pid, thread), Some(100_000), "{thread}");
        }
    }
    assert_eq!(niceness_of(pid, "siphon"), Some(0));
    // It has a CPU beside the workers', and need not go behind them.
    assert_eq!(niceness_of(pid, "siphon-memory"), Some(0));
    assert_eq!(cpus_of(pid, "siphon-memory").as_deref(), Some("0"));
    let mode = fs::metadata(scratch.path().join("siphon.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        !network
            .sensor
            .exec(&format!("ip -d link show {TAP}"))
            .unwrap()
            .contains("promiscuity 1")
    );
    let listening = network.sensor.exec("cat /proc/net/tcp").unwrap();
    assert_eq!(
        listening.lines().count(),
        1,
        "nobody listens where metrics are off: {listening}"
    );

    // One wanted frame of each kind, and one of a port that is wanted by default only.
    for port in [6060, 3480, 30_000, 30_001, 5060] {
        send(&network, port, 1, 160);
    }
    // Of TCP each a SYN and its answer: the callee listens nowhere.
    for port in [6067, 8080] {
        let callee = SocketAddr::from((CALLEE, port));
        let refused = network.caller.enter(|| TcpStream::connect_timeout(&callee, LIMIT));
        assert!(refused.unwrap().is_err());
    }
    let status = run_siphon.wait_seen(9).unwrap();
    assert_eq!(status["verdicts"]["sip"], 3);
    assert_eq!(status["verdicts"]["media"], 2);
    assert_eq!(status["verdicts"]["turn"], 1);
    assert_eq!(status["verdicts"]["other_ports"], 3);
    assert_eq!(status["attach"]["got"], "generic");
    assert!(status["attach"]["why"].is_string(), "{status}");
    assert_eq!(status["lanes"][0]["pages"]["got"], "normal");
    assert_eq!(status["lanes"][0]["cpu"], 1);
    wait_for("the kernel program's log", LIMIT, || {
        Ok(run_siphon.log().contains("siphon::kernel").then_some(()))
    })
    .unwrap();
    assert!(run_siphon.stop(Signal::TERM, LIMIT).unwrap().success());

    let files = files(&scratch.path().join("spool"));
    assert!(!files.is_empty());
    let mut frames = 0;
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.contains('_') && name.ends_with(".pcapng"), "{name}");
        // A pcapng section header begins with its block type.
        assert_eq!(fs::read(file).unwrap()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
        let listed = run(Command::new("tshark").args(["-n", "-r"]).arg(file)).unwrap();
        frames += listed.lines().count();
    }
    assert_eq!(frames, 6);
}

#[test]
fn the_service_manager_hears_when_it_is_ready_and_when_it_stops() {
    if !require("the_service_manager_hears_when_it_is_ready_and_when_it_stops", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-notify").unwrap();
    let path = scratch.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let heard = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{TAP}\"\n[control]\nsocket = \"{shown}/siphon.sock\"\n[spool]\nenabled = false\n"
    );
    let environment = [("NOTIFY_SOCKET", path.as_path())];
    let mut run_siphon = Siphon::start_with(&network.sensor, siphon(), scratch.path(), &text, &environment).unwrap();
    assert_eq!(heard(), "READY=1");
    assert!(run_siphon.stop(Signal::INT, LIMIT).unwrap().success());
    assert_eq!(heard(), "STOPPING=1");
    assert!(!scratch.path().join("siphon.sock").exists());
    assert!(
        !scratch.path().join("spool").exists(),
        "a spool that is off makes no folder"
    );
}

/// A file system of its own, gone with its guard.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path))
        .unwrap();
        Self(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the daemon may still be on its way out when an assertion fails.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn spool(siphon: &Siphon) -> Value {
    siphon.json(["status"]).map(|status| status["spool"].clone()).unwrap()
}

#[test]
fn a_full_disk_stops_the_writing_and_not_the_capture() {
    if !require("a_full_disk_stops_the_writing_and_not_the_capture", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("live-full").unwrap();
    let disk = Tmpfs::new(scratch.path().join("spool"), "1m");
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 512 << 10]).unwrap();
    let mut run_siphon =
        Siphon::start(&network.sensor, siphon(), scratch.path(), "flush_interval = \"100ms\"").unwrap();

    // 1,000 frames of 1,000 bytes do not fit into what is left.
    send(&network, 20_000, 1_000, 958);
    let status = run_siphon.wait_seen(1_000).unwrap();
    assert_eq!(status["identity"]["engine"]["seen"], 1_000, "capture goes on");
    let full = wait_for("writing to stop", LIMIT, || {
        let spool = spool(&run_siphon);
        Ok((spool["writing"] == false).then_some(spool))
    })
    .unwrap();
    assert!(full["error"].as_str().unwrap().contains("No space left"), "{full}");
    let answer: Value = wait_for("red health", LIMIT, || {
        let output = run_siphon.output(["health", "--json"])?;
        Ok((output.status.code() == Some(2)).then(|| serde_json::from_slice(&output.stdout).unwrap()))
    })
    .unwrap();
    assert_eq!(answer["status"], "red");
    assert_eq!(answer["reasons"][0]["what"], "spool_not_writing", "{answer}");

    fs::remove_file(&ballast).unwrap();
    wait_for("writing to go on", LIMIT, || {
        send(&network, 20_000, 1, 160);
        Ok((spool(&run_siphon)["writing"] == true).then_some(()))
    })
    .unwrap();
    let before = written(&run_siphon);
    send(&network, 20_000, 100, 160);
    wait_for("the frames to be written", LIMIT, || {
        Ok((written(&run_siphon) >= before + 100).then_some(()))
    })
    .unwrap();
    let stage = run_siphon.json(["status"]).unwrap()["identity"]["spool"].clone();
    assert_eq!(stage["holds"], true, "{stage}");
    assert!(stage["dropped"]["disk_full"].as_u64().unwrap() > 0, "{stage}");
    assert!(run_siphon.stop(Signal::TERM, LIMIT).unwrap().success());
}

fn written(siphon: &Siphon) -> u64 {
    let status = siphon.json(["status"]).unwrap();
    status["identity"]["spool"]["passed"]["written"].as_u64().unwrap()
}
