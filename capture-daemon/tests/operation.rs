//! What an operator does to a running siphon, and what happens to it: stopped, its interface lost, its files removed.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use capture_daemon::control::{Ask, Client, Health, Light};
use rustix::process::Signal;
use xtask::lab::mirror::{CALLEE, CALLER, TAP};
use xtask::lab::process::{run, wait_for};
use xtask::lab::siphon::Siphon;
use xtask::lab::{Need, Network, Scratch, require};

const NEEDS: [Need<'_>; 6] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ss"),
    Need::Program("ethtool"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

/// A siphon on a mirror port of its own.
struct Sensor {
    siphon: Siphon,
    network: Network,
    scratch: Scratch,
    sent: u64,
}

impl Sensor {
    fn start() -> Self {
        let network = Network::new(1).unwrap();
        let scratch = Scratch::new("operation").unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_siphon"));
        let siphon = Siphon::start(&network.sensor, binary, scratch.path(), "").unwrap();
        Self {
            siphon,
            network,
            scratch,
            sent: 0,
        }
    }

    /// Sends datagrams that siphon wants, and waits until it says that all so far are in files.
    fn send(&mut self, count: u64) {
        let socket = self.network.caller.enter(|| UdpSocket::bind((CALLER, 20_000)));
        let socket = socket.unwrap().unwrap();
        for _ in 0..count {
            socket.send_to(&[0; 160], SocketAddr::from((CALLEE, 20_000))).unwrap();
        }
        self.sent += count;
        wait_for("every frame in a file", LIMIT, || {
            let status = self.siphon.json(["status"])?;
            let spool = &status["identity"]["spool"];
            Ok((spool["passed"]["written"].as_u64() >= Some(self.sent)).then_some(()))
        })
        .unwrap();
    }

    fn client(&self) -> Client {
        Client::connect(&self.scratch.path().join("siphon.sock")).unwrap()
    }

    /// Waits until the health has the reason `what`, or none where that is empty. How full the disk of the machine is that runs
    /// the test is not what it asks.
    fn wait_health(&self, light: Light, what: &str) {
        let mut latest = String::new();
        let waited = wait_for(&format!("health {} for {what:?}", light.label()), LIMIT, || {
            let mut client = self.client();
            let answer = client.ask(&Ask::Health)?;
            let health: Health = client.understand(answer)?;
            latest = format!("{health:?}");
            let reasons = health.reasons.iter().filter(|reason| reason.what != "disk_filling");
            let reasons: Vec<(&str, Light)> = reasons.map(|reason| (reason.what.as_str(), reason.status)).collect();
            let wanted = if what.is_empty() { vec![] } else { vec![(what, light)] };
            Ok((health.status >= light && reasons == wanted).then_some(()))
        });
        assert!(waited.is_ok(), "{waited:?}: {latest}");
    }

    fn set_tap(&self, words: &[&str]) {
        run(self.network.sensor.command("ip").arg("link").args(words)).unwrap();
    }

    fn spool(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path().join("spool")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

#[test]
fn stop_returns_when_the_files_are_closed() {
    if !require("stop_returns_when_the_files_are_closed", &NEEDS) {
        return;
    }
    let mut sensor = Sensor::start();
    sensor.send(100);
    assert!(sensor.spool().iter().any(|name| name.ends_with(".part")));
    sensor.siphon.ask(["stop"]).unwrap();
    let files = sensor.spool();
    assert!(
        !files.is_empty() && files.iter().all(|name| name.ends_with(".pcap")),
        "{files:?}"
    );
}

#[test]
fn an_interface_that_is_lost_turns_the_health_red() {
    if !require("an_interface_that_is_lost_turns_the_health_red", &NEEDS) {
        return;
    }
    let mut sensor = Sensor::start();
    sensor.send(10);
    sensor.wait_health(Light::Green, "");
    sensor.set_tap(&["set", TAP, "down"]);
    sensor.wait_health(Light::Red, "interface_down");
    sensor.set_tap(&["set", TAP, "up"]);
    sensor.wait_health(Light::Green, "");
    sensor.send(10);
    sensor.set_tap(&["delete", TAP]);
    sensor.wait_health(Light::Red, "interface_gone");
    assert!(sensor.siphon.stop(Signal::TERM, LIMIT).unwrap().success());
    assert_eq!(sensor.siphon.files().unwrap().len(), 1);
}

#[test]
fn a_spool_that_was_removed_turns_the_health_red_until_it_is_back() {
    if !require("a_spool_that_was_removed_turns_the_health_red_until_it_is_back", &NEEDS) {
        return;
    }
    let mut sensor = Sensor::start();
    sensor.send(10);
    let folder = sensor.scratch.path().join("spool");
    fs::remove_dir_all(&folder).unwrap();
    sensor.wait_health(Light::Red, "spool_not_writing");
    fs::create_dir(&folder).unwrap();
    sensor.send(10);
    assert!(sensor.spool().iter().any(|name| name.ends_with(".part")));
    sensor.wait_health(Light::Green, "");
}

#[test]
fn a_second_sigterm_changes_nothing() {
    if !require("a_second_sigterm_changes_nothing", &NEEDS) {
        return;
    }
    let mut sensor = Sensor::start();
    sensor.send(100);
    // A client in the middle of a request is no reason to wait.
    let mut client = std::os::unix::net::UnixStream::connect(sensor.scratch.path().join("siphon.sock")).unwrap();
    std::io::Write::write_all(&mut client, b"{\"v\":1,").unwrap();
    sensor.siphon.signal(Signal::STOP).unwrap();
    sensor.siphon.signal(Signal::TERM).unwrap();
    sensor.siphon.signal(Signal::CONT).unwrap();
    let _ = sensor.siphon.signal(Signal::TERM);
    assert!(sensor.siphon.stop(Signal::TERM, LIMIT).unwrap().success());
    assert_eq!(sensor.spool().len(), 1);
    assert!(!sensor.scratch.path().join("siphon.sock").exists());
}
