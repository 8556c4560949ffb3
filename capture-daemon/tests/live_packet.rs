//! Packet mode on real calls: siphon sits beside the called host on its own interface, with CAP_NET_RAW and nothing else, and
//! what it keeps is what tcpdump sees there, both ways; what a ring had no room for while siphon hung is counted.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

mod host_lab;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use host_lab::{LIMIT, calls, exchange, multiset, passed, written};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::capture::{Capture, Direction};
use xtask::lab::mirror::{CALLEE, CALLER, WIRE};
use xtask::lab::process::wait_for;
use xtask::lab::siphon::{Siphon, sum};
use xtask::lab::{Need, Network, Scratch, require};

const NEEDS: [Need<'_>; 7] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("setpriv"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
];

/// siphon with no capability but CAP_NET_RAW, whoever runs it.
fn unprivileged(scratch: &Scratch) -> PathBuf {
    let script = scratch.path().join("siphon");
    let siphon = Path::new(env!("CARGO_BIN_EXE_siphon")).display();
    let text = format!("#!/bin/sh\nexec setpriv --inh-caps=-all --bounding-set=-all,+net_raw {siphon} \"$@\"\n");
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// siphon on the called host's interface. `capture` are further keys of that section, and what may follow it.
fn start(network: &Network, scratch: &Scratch, capture: &str) -> Siphon {
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{WIRE}\"\nmode = \"packet\"\n{capture}\n\n[control]\nsocket = \"{shown}/siphon.sock\"\n\n\
         [metrics]\nenabled = false\n\n[spool]\ndirectory = \"{shown}/spool\"\n"
    );
    Siphon::start_with(&network.callee, &unprivileged(scratch), scratch.path(), &text, &[]).unwrap()
}

/// Frames that each lane took.
fn by_lane(status: &Value) -> Vec<u64> {
    let lanes = status["lanes"].as_array().into_iter().flatten();
    lanes.filter_map(|lane| lane["frames"].as_u64()).collect()
}

fn assert_accounted(status: &Value) {
    for stage in ["program", "sockets", "engine", "spool"] {
        assert_eq!(status["identity"][stage]["holds"], true, "{stage}: {status}");
    }
    assert_eq!(sum(&status["audit"]["violations"]), 0, "{status}");
}

#[test]
fn what_is_kept_is_what_passes_by() {
    if !require("what_is_kept_is_what_passes_by", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("packet").unwrap();
    let rule = "[[rules]]\nname = \"all\"\nlevel = \"full\"\nfrom = \"*\"";
    for (lanes, keys) in [
        (1, "level = \"full\"".to_owned()),
        (2, "level = \"full\"\ncpus = [0, 1]".to_owned()),
        (1, format!("level = \"headers\"\n{rule}")),
    ] {
        let reference = scratch.path().join("reference.pcap");
        let before = passed(&network);
        let reference = Capture::start(&network.callee, WIRE, Direction::Both, &reference).unwrap();
        let mut siphon = start(&network, &scratch, &keys);
        let packets = u64::from(calls(&network));
        let frames = passed(&network) - before;
        let status = siphon.wait_seen(frames).unwrap();
        assert_eq!(status["mode"], "packet");
        assert_eq!(status["attach"]["got"], "packet");
        assert_accounted(&status);
        for stage in ["program", "sockets", "engine", "spool"] {
            assert_eq!(sum(&status["identity"][stage]["dropped"]), 0, "{stage}: {status}");
        }
        let shares = by_lane(&status);
        assert_eq!(shares.len(), lanes);
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        let streams = siphon.json(["streams"]).unwrap();
        let streams = streams["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 60, "two for each call");
        for stream in streams {
            assert_eq!(
                (&stream["packets"], &stream["lost"]),
                (&packets.into(), &0.into()),
                "{stream}"
            );
        }
        assert_eq!(siphon.complaints().unwrap(), Vec::<Value>::new());
        assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
        let reference = reference.finish(frames).unwrap();
        let files = siphon.files().unwrap();
        let kept = written(&files);
        assert!(
            multiset(&kept) == multiset(&reference),
            "{keys}: not what tcpdump saw, byte for byte"
        );
        for file in files {
            fs::remove_file(file).unwrap();
        }
    }
}

/// What comes in the moment before the end is kept: what siphon has not read, and what the kernel has not handed over yet.
#[test]
fn the_last_frames_before_the_end_are_kept() {
    if !require("the_last_frames_before_the_end_are_kept", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let caller = network.caller.enter(|| UdpSocket::bind((CALLER, 45_000)));
    let caller = caller.unwrap().unwrap();
    for hangs in [false, true] {
        let scratch = Scratch::new("packet").unwrap();
        let before = passed(&network);
        let mut siphon = start(&network, &scratch, "level = \"full\"\ncpus = [0, 1]");
        // While siphon is busy it looks often and sleeps nowhere for long.
        let (count, pause) = if hangs { (1_000, 64) } else { (200, 1) };
        for _ in 0..10 {
            caller.send_to(&[7; 172], (CALLEE, 45_000)).unwrap();
        }
        siphon.wait_seen(passed(&network) - before).unwrap();
        if hangs {
            siphon.signal(Signal::STOP).unwrap();
        }
        for number in 0..count {
            caller.send_to(&[7; 172], (CALLEE, 45_000)).unwrap();
            // veth's ring has 256 entries, which NAPI on this CPU empties when the sender pauses.
            if number % pause == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        siphon.signal(Signal::TERM).unwrap();
        siphon.signal(Signal::CONT).unwrap();
        assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
        assert_eq!(written(&siphon.files().unwrap()).len(), 10 + count, "{}", siphon.log());
        assert!(!siphon.log().contains("unaccounted"), "{}", siphon.log());
    }
}

#[test]
fn a_siphon_that_hangs_holds_nobody_up_and_counts_what_it_missed() {
    if !require("a_siphon_that_hangs_holds_nobody_up_and_counts_what_it_missed", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    // As hosts have it: checksums and segments are left to the interface.
    for host in [&network.caller, &network.callee] {
        host.exec(&format!("ethtool -K {WIRE} tx on tso on gso on gro off"))
            .unwrap();
    }
    let scratch = Scratch::new("packet").unwrap();
    let before = passed(&network);
    let mut siphon = start(&network, &scratch, "ring_size = \"256KiB\"\ncpus = [0, 1]");
    exchange(&network).unwrap();
    calls(&network);
    let status = siphon.wait_seen(passed(&network) - before).unwrap();
    assert_accounted(&status);
    assert!(
        status["verdicts"]["media_headers"].as_u64().unwrap() > 0,
        "of RTP the headers are kept: {status}"
    );

    siphon.signal(Signal::STOP).unwrap();
    exchange(&network).unwrap();
    calls(&network);
    siphon.signal(Signal::CONT).unwrap();
    let sent = passed(&network) - before;
    let status = siphon.wait_seen(sent).unwrap();
    assert_accounted(&status);
    let program = &status["identity"]["program"];
    let full = program["dropped"]["ring_full"].as_u64().unwrap();
    assert!(full > 0, "{status}");
    assert_eq!(sum(&program["passed"]) + sum(&program["dropped"]), sent, "{status}");
    let lanes = status["lanes"].as_array().unwrap().iter();
    let by_lane: u64 = lanes.filter_map(|lane| lane["ring"]["full"].as_u64()).sum();
    assert_eq!(by_lane, full, "{status}");
    let reasons = wait_for("health to tell of it", LIMIT, || {
        let output = siphon.output(["health", "--json"])?;
        let health: Value = serde_json::from_slice(&output.stdout)?;
        let reasons = health["reasons"].as_array().cloned().unwrap_or_default();
        Ok(reasons
            .iter()
            .any(|reason| reason["what"] == "ring_drops")
            .then_some(reasons))
    });
    assert!(
        reasons
            .unwrap()
            .iter()
            .all(|reason| reason["what"] != "identity_violated")
    );

    // With room again, frames are captured as before.
    let captured = |status: &Value| status["identity"]["program"]["passed"]["captured"].as_u64();
    exchange(&network).unwrap();
    let later = siphon.wait_seen(passed(&network) - before).unwrap();
    assert_accounted(&later);
    assert!(captured(&later) > captured(&status), "{later}");
    assert!(siphon.stop(Signal::KILL, LIMIT).is_ok());
    exchange(&network).unwrap();
}
