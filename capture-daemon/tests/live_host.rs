//! Host mode on real calls: siphon sits on the called host's own interface, and that host must not notice. Whether siphon is
//! there, is not, is killed or hangs, every datagram arrives and every call completes; and what siphon keeps is what tcpdump
//! sees on the same interface, both ways.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line that was wrong"
)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use rustix::process::Signal;
use serde_json::Value;
use xtask::lab::capture::{self, Capture, Direction};
use xtask::lab::mirror::{CALLEE, CALLER, WIRE};
use xtask::lab::process::wait_for;
use xtask::lab::siphon::{Siphon, sum};
use xtask::lab::sipp::{CALLEE_SSRC, CALLER_SSRC, Calls, Kind, Telephones, Transport};
use xtask::lab::{Need, Network, Scratch, require};

const NEEDS: [Need<'_>; 7] = [
    Need::Root,
    Need::Program("ip"),
    Need::Program("tc"),
    Need::Program("ethtool"),
    Need::Program("sipp"),
    Need::Program("tcpdump"),
    Need::Fact(
        capture_daemon::program::EMBEDDED,
        "the kernel program is not built: `cargo xtask build-ebpf`",
    ),
];

/// Guards against a hang; nothing is measured with it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a datagram may take there and back before it counts as lost.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Datagrams sent before their echoes are waited for: veth's ring and a socket's buffer have room for more.
const WINDOW: usize = 32;

/// Such windows of one exchange.
const WINDOWS: usize = 60;

/// A media port: what is sent to it is wanted.
const ECHO: u16 = 45_000;

fn siphon() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_siphon"))
}

/// siphon on the called host's interface. `capture` are further keys of that section.
fn start(network: &Network, scratch: &Scratch, capture: &str, spool: bool) -> Siphon {
    let shown = scratch.path().display();
    let text = format!(
        "[capture]\ninterface = \"{WIRE}\"\nmode = \"host\"\n{capture}\n\n[control]\nsocket = \"{shown}/siphon.sock\"\n\n\
         [metrics]\nenabled = false\n\n[spool]\nenabled = {spool}\ndirectory = \"{shown}/spool\"\n"
    );
    Siphon::start_with(&network.callee, siphon(), scratch.path(), &text, &[]).unwrap()
}

/// A packet of RTP with its number, as long as G.711 of 20 ms.
fn packet(number: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number as u32 * 160).to_be_bytes());
    packet.extend(0xec40_u32.to_be_bytes());
    packet.extend(std::iter::repeat_n(number as u8, 160));
    packet
}

/// Sends packets from the caller to the called host, whose socket sends each back; each must arrive at both sockets, as it
/// was sent.
fn exchange(network: &Network) -> Result<()> {
    let far = network.callee.enter(|| UdpSocket::bind((CALLEE, ECHO)))??;
    let near = network.caller.enter(|| UdpSocket::bind((CALLER, ECHO)))??;
    near.set_read_timeout(Some(ARRIVAL))?;
    far.set_read_timeout(Some(ARRIVAL))?;
    let all: Vec<_> = (0..WINDOW * WINDOWS).map(packet).collect();
    thread::scope(|scope| {
        let count = all.len();
        let echo = scope.spawn(move || -> Result<Vec<Vec<u8>>> {
            let mut arrived = Vec::new();
            let mut room = [0; 2_048];
            for number in 0..count {
                let (length, from) = far
                    .recv_from(&mut room)
                    .with_context(|| format!("packet {number} never arrived"))?;
                arrived.push(room[..length].to_vec());
                far.send_to(&room[..length], from)?;
            }
            Ok(arrived)
        });
        let mut returned = Vec::new();
        let mut room = [0; 2_048];
        for window in all.chunks(WINDOW) {
            for packet in window {
                near.send_to(packet, SocketAddr::from((CALLEE, ECHO)))?;
            }
            for _ in window {
                let length = near.recv(&mut room).context("an echo never arrived")?;
                returned.push(room[..length].to_vec());
            }
        }
        let arrived = echo.join().expect("the echo ends")?;
        ensure!(arrived == all, "what arrived is not what was sent");
        ensure!(returned == all, "what came back is not what was sent");
        Ok(())
    })
}

/// Calls over UDP and TCP, with media both ways, each to its end.
fn calls(network: &Network) -> u32 {
    let mut telephones = Telephones::start(network, Duration::from_secs(2)).unwrap();
    let callers = [(Transport::Udp, 20), (Transport::Tcp, 10)].map(|(transport, count)| {
        let calls = Calls {
            kind: Kind::Answered,
            transport,
            count,
            rate: 10,
        };
        telephones.call(calls).unwrap()
    });
    for caller in callers {
        caller.finish().unwrap();
    }
    telephones.packets_per_stream()
}

/// Programs of tcx at the called host's interface, both directions.
fn attached(network: &Network) -> usize {
    let directions = [TcAttachType::Ingress, TcAttachType::Egress];
    let count = |direction| SchedClassifier::query_tcx(WIRE, direction).map(|(_, programs)| programs.len());
    let counts = network.callee.enter(|| directions.map(count)).unwrap();
    counts.into_iter().map(Result::unwrap).sum()
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
fn written(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files.iter().flat_map(|file| capture::frames(file).unwrap()).collect()
}

/// Frames the interface has sent and received so far, once it is silent.
fn passed(network: &Network) -> u64 {
    let read = || -> Result<u64> {
        let text = network.callee.ip(&format!("-s -j link show dev {WIRE}"))?;
        let parsed: Value = serde_json::from_str(&text)?;
        let counter = |way: &str| parsed[0]["stats64"][way]["packets"].as_u64();
        counter("rx").zip(counter("tx")).map(|(rx, tx)| rx + tx).context(text)
    };
    let mut before = None;
    wait_for("the interface to be silent", LIMIT, || {
        thread::sleep(Duration::from_millis(300));
        let now = read()?;
        Ok((before.replace(now) == Some(now)).then_some(now))
    })
    .unwrap()
}

#[test]
fn what_is_kept_is_what_passes_both_ways() {
    if !require("what_is_kept_is_what_passes_both_ways", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    let scratch = Scratch::new("host").unwrap();
    for attach in ["tcx", "native"] {
        let reference = scratch.path().join(format!("reference-{attach}.pcap"));
        let before = passed(&network);
        let reference = Capture::start(&network.callee, WIRE, Direction::Both, &reference).unwrap();
        let keys = format!("attach = \"{attach}\"\nlevel = \"full\"\nring_size = \"16MiB\"");
        let mut siphon = start(&network, &scratch, &keys, true);
        let packets = u64::from(calls(&network));
        let frames = passed(&network) - before;
        let status = siphon.wait_seen(frames).unwrap();
        assert_eq!(status["mode"], "host");
        assert_eq!(status["attach"]["got"], attach);
        for stage in ["program", "sockets", "engine", "spool"] {
            assert_eq!(status["identity"][stage]["holds"], true, "{stage}: {status}");
            assert_eq!(sum(&status["identity"][stage]["dropped"]), 0, "{stage}: {status}");
        }
        assert_eq!(sum(&status["audit"]["violations"]), 0, "{status}");
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
        for ssrc in [CALLER_SSRC, CALLEE_SSRC] {
            let of_side = streams.iter().filter(|stream| {
                let told = &stream["ssrc"];
                told.as_u64() == Some(ssrc.into())
                    || told.as_str().is_some_and(|text| text.contains(&format!("{ssrc:x}")))
            });
            assert_eq!(of_side.count(), 30, "streams of {ssrc:#x}");
        }
        assert!(siphon.stop(Signal::TERM, LIMIT).unwrap().success());
        assert_eq!(attached(&network), 0);
        let reference = reference.finish(frames).unwrap();
        let files = siphon.files().unwrap();
        let kept = written(&files);
        assert!(
            multiset(&kept) == multiset(&reference),
            "{attach}: not what tcpdump saw, byte for byte"
        );
        for file in files {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn the_host_does_not_notice_whatever_becomes_of_siphon() {
    if !require("the_host_does_not_notice_whatever_becomes_of_siphon", &NEEDS) {
        return;
    }
    let network = Network::new(1).unwrap();
    // As hosts have it: checksums and segments are left to the interface, and tags too.
    for host in [&network.caller, &network.callee] {
        host.exec(&format!(
            "ethtool -K {WIRE} tx on tso on gso on gro on txvlan on rxvlan on"
        ))
        .unwrap();
    }
    let scratch = Scratch::new("host").unwrap();
    exchange(&network).unwrap();
    calls(&network);

    // Running: headers of RTP are kept, and a small ring is emptied in time or not, which the host must not notice either.
    let mut siphon = start(&network, &scratch, "ring_size = \"256KiB\"", false);
    assert_eq!(attached(&network), 2);
    exchange(&network).unwrap();
    calls(&network);

    // Hanging: rings fill, what finds no room is counted, and nobody waits for it.
    siphon.signal(Signal::STOP).unwrap();
    exchange(&network).unwrap();
    calls(&network);
    siphon.signal(Signal::CONT).unwrap();
    let full = wait_for("siphon to say what it had no room for", LIMIT, || {
        let status = siphon.json(["status"])?;
        let dropped = &status["identity"]["program"]["dropped"];
        let full = dropped["ring_full"].as_u64().unwrap_or_default();
        let is_empty = status["identity"]["sockets"]["queued"] == 0;
        Ok((full > 0 && is_empty).then_some((full, status)))
    });
    let (full, status) = full.unwrap();
    let by_lane: u64 = status["lanes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|lane| lane["ring"]["full"].as_u64())
        .sum();
    assert_eq!(by_lane, full, "{status}");
    assert_eq!(status["identity"]["program"]["holds"], true, "{status}");
    assert_eq!(sum(&status["audit"]["violations"]), 0, "{status}");

    // Killed: the programs go with the process.
    siphon.stop(Signal::KILL, LIMIT).unwrap();
    wait_for("the programs to be gone", LIMIT, || {
        Ok((attached(&network) == 0).then_some(()))
    })
    .unwrap();
    exchange(&network).unwrap();
    calls(&network);
}
