//! The whole way on real calls: from the mirror port through the kernel program, rings, workers and files to the
//! operator's answers, held against what the switch sent, what tcpdump saw, and what tshark reads in the files.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::capture::{self, Capture, Direction};
use xtask::lab::compare::{side_by_side, table};
use xtask::lab::mirror::{CALLEE, CALLER, MIRROR, Sent};
use xtask::lab::process::wait_for;
use xtask::lab::prometheus::{Prometheus, check_metrics};
use xtask::lab::siphon::{METRICS, Siphon, replay, sum};
use xtask::lab::sipp::{Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Netns, Network, Scratch, http, require, tshark};

const NEEDS: [Need<'_>; 12] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ss"),
    Need::Program("ethtool"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
    Need::Program("tshark"),
    Need::Program("mergecap"),
    Need::Program("prometheus"),
    Need::Program("promtool"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

/// UDP port of discard (RFC 863), which siphon is not to want.
const UNWANTED: u16 = 9;

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// How often each frame occurs.
fn multiset<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> BTreeMap<&'a [u8], u32> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame.as_slice()).or_default() += 1;
    }
    counts
}

/// All frames of some files.
fn written(files: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let frames: Result<Vec<_>> = files.iter().map(|file| capture::frames(file)).collect();
    Ok(frames?.concat())
}

/// Sends `count` datagrams of 160 bytes from the caller, each with its number and from one of 64 ports, so that they spread
/// over the queues. The ports are none siphon wants by default.
fn send(caller: &Netns, port: u16, count: u32) -> Result<()> {
    let mut sockets = Vec::new();
    for number in 0..64_u16 {
        sockets.push(caller.enter(|| UdpSocket::bind((CALLER, 2_000 + number)))??);
    }
    for (number, socket) in (0..count).zip(sockets.iter().cycle()) {
        let mut payload = [0; 160];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        socket.send_to(&payload, SocketAddr::from((CALLEE, port)))?;
        // veth's ring has 256 entries, which NAPI on this CPU empties when the sender pauses.
        if number % 64 == 63 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Whether the frame is an IPv4 datagram to the port siphon is not to want: the header has no options here.
fn is_unwanted(frame: &[u8]) -> bool {
    frame.get(23) == Some(&17) && frame.get(36..38) == Some(&UNWANTED.to_be_bytes())
}

/// Waits until the mirror port is silent, and returns what it has sent.
fn settled(network: &Network) -> Result<Sent> {
    let mut before = None;
    wait_for("the mirror port to be silent", LIMIT, || {
        std::thread::sleep(Duration::from_millis(300));
        let sent = network.mirrored()?;
        Ok((before.replace(sent) == Some(sent)).then_some(sent))
    })
}

#[test]
fn two_hundred_calls_over_two_queues_are_all_there() {
    if !require("two_hundred_calls_over_two_queues_are_all_there", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("live").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let reference = Capture::start(&network.switch, MIRROR, Direction::Out, &reference).unwrap();
    let mut siphon_run = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
    let mut telephones = Telephones::start(&network, Duration::from_secs(3)).unwrap();
    let callers: Vec<_> = [
        (Kind::Answered, Transport::Udp, 160, 20),
        (Kind::Answered, Transport::Tcp, 40, 5),
        (Kind::Busy, Transport::Udp, 10, 5),
        (Kind::Cancelled, Transport::Udp, 5, 5),
        (Kind::Forbidden, Transport::Udp, 5, 5),
        (Kind::Registration, Transport::Udp, 10, 5),
    ]
    .into_iter()
    .map(|(kind, transport, count, rate)| {
        telephones
            .call(Calls {
                kind,
                transport,
                count,
                rate,
            })
            .unwrap()
    })
    .collect();
    send(&network.caller, UNWANTED, 50).unwrap();
    for caller in callers {
        caller.finish().unwrap();
    }
    let packets = u64::from(telephones.packets_per_stream());
    drop(telephones);

    let sent = settled(&network).unwrap();
    assert_eq!(sent.dropped, 0);
    let status = siphon_run.wait_seen(sent.frames).unwrap();
    conserved(&status, sent.frames);
    let (calls, streams) = (
        siphon_run.json(["calls"]).unwrap(),
        siphon_run.json(["streams"]).unwrap(),
    );
    let call_id = calls["calls"][0]["call_id"].as_str().unwrap();
    let flow = siphon_run.json(["call", call_id]).unwrap();
    let answers = siphon_run.answers().unwrap();
    assert!(siphon_run.stop(Signal::TERM, LIMIT).unwrap().success());
    let files = siphon_run.files().unwrap();

    let reference = reference.finish(sent.frames).unwrap();
    let (unwanted, wanted): (Vec<_>, Vec<_>) = reference.iter().partition(|frame| is_unwanted(frame));
    assert_eq!(unwanted.len(), 50);
    let kept = written(&files).unwrap();
    assert!(
        multiset(&kept) == multiset(wanted),
        "the files are not what was sent, byte for byte"
    );

    let reading = tshark::read(&files).unwrap();
    let rows = side_by_side(&answers, &reading);
    assert!(rows.iter().all(|row| row.equal), "\n{}", table(&rows));
    assert_eq!(reading.calls.len(), 220);
    assert_eq!(reading.streams.len(), 400);
    assert!(
        reading
            .streams
            .iter()
            .all(|stream| (stream.packets, stream.lost) == (packets, 0))
    );

    let mut replayed = replay(siphon(), &files).unwrap();
    let of_call = |list: &str| -> Vec<Value> {
        let items = replayed[list].as_array().unwrap().iter();
        items.filter(|item| item["call_id"] == call_id).cloned().collect()
    };
    assert_eq!(flow["calls"].as_array(), Some(&of_call("calls")));
    assert_eq!(flow["streams"].as_array(), Some(&of_call("streams")));
    assert!(
        flow["calls"][0]["ladder"]
            .as_array()
            .is_some_and(|ladder| !ladder.is_empty())
    );
    // A list of calls is told live without their messages.
    for call in replayed["calls"].as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("ladder");
    }
    assert_eq!(replayed["frames"], kept.len());
    assert_eq!(replayed["calls"], calls["calls"]);
    assert_eq!(replayed["streams"], streams["streams"]);
    assert_eq!(replayed["sip"], status["sip"]);
}

/// What was sent was seen, what was seen has one fate, and nothing was lost on the way.
fn conserved(status: &Value, sent: u64) {
    let identity = &status["identity"];
    for stage in ["program", "sockets", "engine", "spool"] {
        assert_eq!(identity[stage]["holds"], true, "{stage}: {identity}");
        assert_eq!(sum(&identity[stage]["dropped"]), 0, "{stage}: {identity}");
    }
    assert_eq!(identity["program"]["seen"], sent);
    let audit = &status["audit"];
    assert!(audit["looks"].as_u64().is_some_and(|looks| looks > 0), "{audit}");
    assert_eq!(
        audit["violations"].as_object().map(serde_json::Map::len),
        Some(5),
        "{audit}"
    );
    assert_eq!(sum(&audit["violations"]), 0, "{audit}");
    assert_eq!(status["driver_counters"]["rx_queue_0_drops"], 0, "{status}");
    assert_eq!(identity["program"]["passed"]["captured"], sent - 50);
    let frames: Vec<u64> = status["lanes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|lane| lane["frames"].as_u64())
        .collect();
    assert!(
        frames.len() == 2 && frames.iter().all(|frames| *frames > sent / 10),
        "{frames:?}"
    );
}

#[test]
fn sigterm_loses_nothing_that_is_in_the_rings() {
    if !require("sigterm_loses_nothing_that_is_in_the_rings", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("live").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let reference = Capture::start(&network.switch, MIRROR, Direction::Out, &reference).unwrap();
    let mut siphon_run = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
    // Stopped, siphon takes nothing out of its rings, which have room for all that comes. It wakes to a pending SIGTERM.
    siphon_run.signal(Signal::STOP).unwrap();
    send(&network.caller, 20_000, 2_000).unwrap();
    let sent = settled(&network).unwrap();
    assert_eq!((sent.frames, sent.dropped), (2_000, 0));
    wait_for("every frame in a ring", LIMIT, || {
        Ok((network.tap_queues()?.iter().sum::<u64>() == sent.frames).then_some(()))
    })
    .unwrap();
    siphon_run.signal(Signal::TERM).unwrap();
    assert!(siphon_run.stop(Signal::CONT, LIMIT).unwrap().success());
    let kept = written(&siphon_run.files().unwrap()).unwrap();
    let reference = reference.finish(sent.frames).unwrap();
    assert!(
        multiset(&kept) == multiset(&reference),
        "{} of {} frames",
        kept.len(),
        sent.frames
    );
}

#[test]
fn killed_in_the_middle_it_starts_again_and_mends_its_files() {
    if !require("killed_in_the_middle_it_starts_again_and_mends_its_files", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("live").unwrap();
    let reference = scratch.path().join("reference.pcap");
    let reference = Capture::start(&network.switch, MIRROR, Direction::Out, &reference).unwrap();
    let start = || Siphon::start(&network.sensor, siphon(), scratch.path(), "");
    let mut killed = start().unwrap();
    send(&network.caller, 20_000, 1_000).unwrap();
    // What siphon says is in files has to be there afterwards; what comes next may be lost with it.
    let in_files = wait_for("every frame in a file", LIMIT, || {
        let status = killed.json(["status"])?;
        let lanes = status["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let frames: u64 = lanes.iter().filter_map(|lane| lane["spool"]["written"].as_u64()).sum();
        Ok((frames == 1_000).then_some(frames))
    })
    .unwrap();
    send(&network.caller, 20_002, 500).unwrap();
    assert!(!killed.stop(Signal::KILL, LIMIT).unwrap().success());
    let sent = settled(&network).unwrap();

    let mut again = start().unwrap();
    let status = again.json(["status"]).unwrap();
    assert!(status["spool"]["files_mended"].as_u64().unwrap() >= 1, "{status}");
    assert_eq!(status["lanes"].as_array().unwrap().len(), 2);
    assert!(again.stop(Signal::TERM, LIMIT).unwrap().success());
    let files = again.files().unwrap();
    let kept = written(&files).unwrap();
    assert!(kept.len() as u64 >= in_files);
    assert_eq!(tshark::read(&files).unwrap().frames, kept.len() as u64);
    // Every frame that is there is one that was sent, and is there once.
    let reference = reference.finish(sent.frames).unwrap();
    let sent = multiset(&reference);
    for (frame, count) in multiset(&kept) {
        assert!(sent.get(frame).is_some_and(|sent| *sent >= count));
    }
}

#[test]
fn prometheus_scrapes_what_status_says() {
    if !require("prometheus_scrapes_what_status_says", &NEEDS) {
        return;
    }
    let network = Network::new(2).unwrap();
    let scratch = Scratch::new("live").unwrap();
    let siphon_run = Siphon::start(&network.sensor, siphon(), scratch.path(), "").unwrap();
    let prometheus = Prometheus::start(&network.sensor, METRICS).unwrap();
    let mut telephones = Telephones::start(&network, Duration::from_secs(1)).unwrap();
    let calls = Calls {
        kind: Kind::Answered,
        transport: Transport::Udp,
        count: 5,
        rate: 5,
    };
    telephones.call(calls).unwrap().finish().unwrap();
    drop(telephones);
    let sent = settled(&network).unwrap();
    siphon_run.wait_seen(sent.frames).unwrap();
    let is = |wanted: u64| move |value: f64| value == wanted as f64;
    prometheus.wait_for_value("up{job=\"siphon\"}", is(1)).unwrap();
    let seen = "siphon_stage_seen_frames_total{stage=\"program\"}";
    prometheus.wait_for_value(seen, is(sent.frames)).unwrap();
    prometheus
        .wait_for_value("siphon_sip_requests_total{method=\"INVITE\"}", is(5))
        .unwrap();
    prometheus.wait_for_value("sum(siphon_rtp_streams)", is(10)).unwrap();
    check_metrics(&http::get(&network.sensor, METRICS, "/metrics").unwrap()).unwrap();
}
