//! What the tests of the kernel side share: a namespace with a wire, a sender of any frame at one end, and siphon's
//! program and lanes at the other.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test file is a crate of its own and takes what it needs; all of this is tests"
)]

pub mod beside;
pub mod frames;
pub mod lines;

use std::env;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytemuck::{Pod, Zeroable};
use capture_common::{Fate, Verdict};
use capture_daemon::config::Capture;
use capture_daemon::program::Program;
use capture_daemon::time::Timestamp;
use capture_daemon::xsk::{Clock, Lane, sys};
use xtask::lab::{End, Need, Netns, require, veth};

/// The end frames are sent from.
pub const SENDER: &str = "out";
/// The end siphon sits at.
pub const CAPTURE: &str = "in";

/// Set in the process that runs inside the namespace, to the name of its test.
const INSIDE: &str = "SIPHON_TEST_INSIDE";

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A namespace for one test, with a wire in it.
pub struct Wire {
    /// Rx and tx queues at each end.
    pub queues: u32,
    /// Longest IP packet.
    pub mtu: u32,
    /// Address of the capturing end.
    pub address: Option<&'static str>,
}

impl Wire {
    pub const fn new(queues: u32, mtu: u32) -> Self {
        Self {
            queues,
            mtu,
            address: None,
        }
    }

    /// Runs `body` inside a namespace with this wire: in a process of its own, which `ip netns exec` gives a /sys of the
    /// namespace. The test calls this as its only statement.
    pub fn run(&self, test: &str, body: impl FnOnce()) {
        if env::var(INSIDE).is_ok_and(|inside| inside == test) {
            return body();
        }
        let needs = [
            Need::Root,
            Need::Program("ip"),
            Need::Program("ethtool"),
            Need::Fact(
                capture_daemon::program::EMBEDDED,
                "the kernel program is not built: `cargo xtask build-ebpf`",
            ),
        ];
        if !require(test, &needs) {
            return;
        }
        let netns = Netns::new("kernel").unwrap();
        let end = |name, last, address| End {
            netns: &netns,
            name,
            mac: [2, 0, 0, 0, 0, last],
            address,
        };
        veth(
            end(SENDER, 1, None),
            end(CAPTURE, 2, self.address),
            self.queues,
            self.mtu,
        )
        .unwrap();
        let output = netns
            .command(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(INSIDE, test)
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "inside the namespace:\n{text}");
        assert!(text.contains("1 passed"), "no test of this name ran inside:\n{text}");
    }
}

/// A configuration for small tests: few frames, no huge pages.
pub fn config() -> Capture {
    Capture {
        interface: CAPTURE.to_owned(),
        ring_entries: 1024,
        umem_frames: 2048,
        huge_pages: false,
        ..Capture::default()
    }
}

/// `struct sockaddr_ll` of include/uapi/linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SockaddrLl {
    family: u16,
    protocol: u16,
    ifindex: i32,
    hatype: u16,
    pkttype: u8,
    halen: u8,
    addr: [u8; 8],
}

/// Sends frames as they are.
pub struct Sender(OwnedFd);

impl Sender {
    pub fn open() -> Self {
        Self::at(SENDER)
    }

    /// Sends out of any end of the wire.
    pub fn at(end: &str) -> Self {
        let index = std::fs::read_to_string(format!("/sys/class/net/{end}/ifindex")).unwrap();
        let socket = sys::socket(libc::AF_PACKET).unwrap();
        let address = SockaddrLl {
            family: libc::AF_PACKET as u16,
            ifindex: index.trim().parse().unwrap(),
            ..SockaddrLl::zeroed()
        };
        sys::bind(&socket, &address).unwrap();
        Self(socket)
    }

    pub fn send(&self, frame: &[u8]) {
        assert_eq!(rustix::io::write(&self.0, frame).unwrap(), frame.len());
    }
}

/// A packet as a worker sees it, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub queue: u32,
    pub ts: Timestamp,
    pub verdict: Option<Verdict>,
    pub wire_len: u32,
    pub bytes: Vec<u8>,
}

/// Waits until the program has seen `sent` frames since it was attached, and takes all it captured out of the lanes;
/// `received` is what was taken before. Checks on the way that captured = received + lost.
pub fn receive(program: &Program, lanes: &mut [Lane], sent: u64, received: &mut Vec<Received>) {
    let clock = Clock::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        for lane in &mut *lanes {
            drain(lane, &clock, received);
        }
        let verdicts = program.verdicts().unwrap();
        let lost: u64 = lanes.iter().map(lost).sum();
        let has_all = received.len() as u64 + lost == verdicts.frames(Fate::Captured);
        if verdicts.seen() >= sent && has_all {
            assert_eq!(verdicts.seen(), sent, "frames nobody sent: {verdicts:?}");
            return;
        }
        assert!(
            Instant::now() < deadline,
            "sent {sent}, received {}, lost {lost}: {verdicts:?}",
            received.len()
        );
        lanes[0].poll(Duration::from_millis(5)).unwrap();
    }
}

/// Packets of this lane that the kernel or the lane lost.
pub fn lost(lane: &Lane) -> u64 {
    lane.read_statistics().unwrap();
    lane.counters().lost()
}

/// Takes all that lies in a lane's rings.
pub fn drain(lane: &mut Lane, clock: &Clock, into: &mut Vec<Received>) {
    let queue = lane.queue();
    loop {
        let before = into.len();
        let mut batch = lane.peek(64);
        while let Some(packet) = batch.next_packet() {
            let frame = packet.frame(clock);
            into.push(Received {
                queue,
                ts: frame.ts,
                verdict: packet.verdict(),
                wire_len: frame.wire_len,
                bytes: frame.bytes.to_vec(),
            });
            packet.release();
        }
        batch.release();
        lane.refill();
        lane.wake_if_needed().unwrap();
        if into.len() == before {
            return;
        }
    }
}

/// Waits until the program has seen as many frames, and leaves them in the rings.
pub fn wait_until_seen(program: &Program, frames: u64) {
    let deadline = Instant::now() + PATIENCE;
    while program.verdicts().unwrap().seen() < frames {
        assert!(Instant::now() < deadline, "{:?}", program.verdicts());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The wall clock, in nanoseconds since 1970.
pub fn wall() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}
